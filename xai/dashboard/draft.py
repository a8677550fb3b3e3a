"""A clip in the making: a video of one's own, a cut of it, and joints that were brought, estimated or placed by hand.

    draft = start(clip, original)                       # a video was opened; everything else is a choice
    draft = draft.cut(first, last).placing(keys)
    clip = draft.finished(draft.joints())               # what the network gets

A draft is immutable and knows nothing of the page; the page keeps one for each visitor, in their session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

import numpy as np

from training.bring_joints import fitted
from training.clip import Clip
from training.clip_file import seen as inside
from training.joints_file import Joints
from training.skeleton import SkeletonLayout, layout_named
from training.track_joints import Tracked, Tracker
from xai.dashboard.limits import limits
from xai.dashboard.placing import Key

BY_HAND = "placed by hand"
"""Source of a clip whose joints were placed and tracked; those with score 1 are on key frames."""
MOST_PEOPLE = 2


@dataclass(frozen=True, eq=False)
class Draft:
    clip: Clip
    """All frames of the video. Its joints and scores are those that were brought for it, or there are none."""
    original: tuple[int, int]
    """(height, width) of the frames in the file; those of the clip may have been shrunk."""
    span: tuple[int, int]
    """First and last frame of the cut, counted from 0."""
    layout: SkeletonLayout
    digest: str
    """Names the file of the video."""
    people: int = 1
    keys: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)
    """By name of the layout; frames are those of the video."""
    brought: str = ""
    """Where the joints of the clip are from; empty when there are none."""
    edition: int = 0
    """Counts what makes the browser start anew."""
    opened: str = field(default_factory=lambda: uuid4().hex)
    """Tells this draft from others of the same video."""

    def __len__(self) -> int:
        return self.span[1] - self.span[0] + 1

    @property
    def frames(self) -> np.ndarray:
        return self.clip.frames[self.span[0] : self.span[1] + 1]

    @property
    def seconds(self) -> np.ndarray:
        return self.clip.time[self.span[0] : self.span[1] + 1]

    @property
    def given(self) -> tuple[bool, ...]:
        """Of which people joints were brought for this cut and this layout."""
        if not self.brought or self.clip.layout.name != self.layout.name:
            return (False,) * self.people
        score = self.clip.score[self.span[0] : self.span[1] + 1]
        return tuple(m < self.clip.people and bool(score[:, m].any()) for m in range(self.people))

    @property
    def placed(self) -> tuple[Key, ...]:
        """The key frames of this cut and these people; frames counted from 0 within the cut."""
        first, last = self.span
        return tuple(
            replace(key, frame=key.frame - first)
            for key in self.keys.get(self.layout.name, ())
            if first <= key.frame <= last and key.person < self.people
        )

    # ---- Choices; those that change what the browser shows are a new edition ---------------------------------------

    def cut(self, first: int, last: int) -> Draft:
        if not 0 <= first <= last < len(self.clip):
            raise ValueError(f"The video has frames 1 to {len(self.clip)}; {first + 1} to {last + 1} is no cut of it.")
        return self if self.span == (first, last) else replace(self, span=(first, last), edition=self.edition + 1)

    def of(self, layout: SkeletonLayout, people: int) -> Draft:
        people = max(1, min(people, MOST_PEOPLE))
        if (layout.name, people) == (self.layout.name, self.people):
            return self
        return replace(self, layout=layout, people=people, edition=self.edition + 1)

    def placing(self, keys: tuple[Key, ...]) -> Draft:
        """With these key frames of the cut in place of those before; key frames outside the cut stay."""
        first, last = self.span
        name = self.layout.name
        kept = tuple(k for k in self.keys.get(name, ()) if not first <= k.frame <= last or k.person >= self.people)
        made = tuple(replace(key, frame=key.frame + first) for key in keys)
        return replace(self, keys={**self.keys, name: (*kept, *made)})

    def bring(self, found: Joints, whence: str) -> Draft:
        """With joints from a file or a network, for the whole video or for the cut; of the people seen best.

        Raises ClipError in one sentence for joints that do not fit.
        """
        (first, last), length = self.span, len(self.clip)
        span = (0, length - 1) if len(found.joints) == length else (first, last)
        placed = fitted(found, length, span, self.clip.size, self.original)
        best = np.sort(np.argsort(-placed.score.sum((0, 2)), kind="stable")[:MOST_PEOPLE])
        people = len(best)
        joints = np.zeros((length, people, len(found.layout), 2), np.float32)
        score = np.zeros(joints.shape[:3], np.float32)
        joints[span[0] : span[1] + 1], score[span[0] : span[1] + 1] = placed.joints[:, best], placed.score[:, best]
        clip = replace(self.clip, joints=joints, score=score, layout=found.layout, amodal=placed.amodal)
        keys = {name: each for name, each in self.keys.items() if name != found.layout.name}
        return replace(
            self, clip=clip, layout=found.layout, people=max(1, people), keys=keys, brought=whence,
            edition=self.edition + 1,
        )  # fmt: skip

    def without_joints(self) -> Draft:
        """As it was before anything was brought or placed."""
        length = len(self.clip)
        empty = np.zeros((length, 0, len(self.clip.layout)), np.float32)
        clip = replace(self.clip, joints=np.zeros((*empty.shape, 2), np.float32), score=empty, amodal=False)
        return replace(self, clip=clip, keys={}, brought="", edition=self.edition + 1)

    # ---- What comes of it ------------------------------------------------------------------------------------------

    def joints(self, tracker: Tracker | None = None) -> Tracked:
        """Joints of every frame of the cut: tracked between key frames, or brought and corrected on key frames.

        Without a `tracker` nobody is tracked, and what was brought is all there is.
        """
        shape = len(self), self.people, len(self.layout)
        places, seen = np.zeros((*shape, 2), np.float32), np.zeros(shape, bool)
        key = np.zeros(shape[:2], bool)
        for each in self.placed:
            places[each.frame, each.person], seen[each.frame, each.person] = each.places, each.seen
            key[each.frame, each.person] = True
        given = np.array(self.given)
        joints, score = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
        if tracker is not None:
            tracked = tracker.track(places, seen, key & ~given)
            joints, score = tracked.joints, tracked.score
        for m in np.flatnonzero(given):
            first, last = self.span
            joints[:, m], score[:, m] = self.clip.joints[first : last + 1, m], self.clip.score[first : last + 1, m]
            joints[key[:, m], m], score[key[:, m], m] = places[key[:, m], m], seen[key[:, m], m]
        return Tracked(joints, score)

    def finished(self, found: Tracked, label: str | None = None) -> Clip:
        """The clip of the cut. People who are seen nowhere are not in it."""
        there = found.score.any(axis=(0, 2))
        joints = found.joints[:, there]
        by_hand = any(not self.given[key.person] for key in self.placed) and not any(self.given)
        first, last = self.span
        mask = self.clip.person_mask
        amodal = self.clip.amodal and all(np.array(self.given)[there])
        score = found.score[:, there]
        return Clip(
            frames=self.frames,
            joints=joints,
            score=score if amodal else inside(joints, score, *self.clip.size),
            layout=self.layout,
            time=self.seconds,
            label=label or None,
            name=self.clip.name,
            source=BY_HAND if by_hand else self.clip.source,
            person_mask=None if mask is None else mask[first : last + 1],
            amodal=amodal,
        )


def start(clip: Clip, original: tuple[int, int], layout: str, digest: str) -> Draft:
    """A draft of a video, or of a saved clip, whose joints go on where they were left.

    `layout` is what joints are placed in when the clip has none; `digest` names the file.
    """
    length = len(clip)
    bare = replace(clip, cause=None, trail=None)
    if not clip.score.any():
        return Draft(bare, original, (0, min(length, limits().placed_frames) - 1), layout_named(layout), digest)
    people = max(1, min(clip.people, MOST_PEOPLE))
    draft = Draft(bare, original, (0, length - 1), clip.layout, digest, people, brought=clip.source or "a saved clip")
    keys = _placed_before(clip)
    if not keys:
        return draft
    return replace(draft.without_joints(), keys={clip.layout.name: keys}, edition=0)


def _placed_before(clip: Clip) -> tuple[Key, ...]:
    """The key frames of a clip that was saved here: where all that is seen of somebody has score 1."""
    if clip.source != BY_HAND:
        return ()
    found = []
    for t, m in zip(*np.nonzero(clip.score.any(axis=2)), strict=True):
        score = clip.score[t, m]
        if m < MOST_PEOPLE and (score[score > 0] == 1).all():
            places = tuple((float(x), float(y)) for x, y in clip.joints[t, m])
            found.append(Key(int(t), int(m), places, tuple(bool(value) for value in score > 0)))
    return tuple(found)
