"""Removals: what they leave, how they are written down, and that nothing but the prediction changes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.tap import HEAD_TOKENS, points_tap, tokens_tap
from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.synthetic import painted_clip
from training.clip import Clip
from training.recognizer import Prediction, Recognizer
from training.skeleton import JHMDB
from xai import edits
from xai.question import Question
from xai.removal import (
    KINDS,
    Background,
    Frames,
    Ground,
    Joints,
    Limbs,
    Modality,
    Offsets,
    People,
    Region,
    Removal,
    Thin,
    TimeOrder,
    Tokens,
    from_json,
    predict_with,
    shown_with,
    to_json,
)
from xai.rerun import Rerun
from xai.trace import Trace

torch.set_num_threads(1)
WRIST = JHMDB.joints.index("left wrist")


def masked_clip(frames: int = 5, people: int = 2) -> Clip:
    clip = noise_clip(frames, people=people)
    mask = np.zeros((frames, *clip.size), bool)
    mask[:, 10:40, 30:60] = True
    return replace(clip, person_mask=mask)


def same(a: Prediction, b: Prediction) -> bool:
    return a.logits.tobytes() == b.logits.tobytes() and a.ledger.tobytes() == b.ledger.tobytes()


EVERY: tuple[Removal, ...] = (
    Joints(("left wrist", "belly")),
    Joints(("left wrist",), people=(0,), frames=(1, 2), how="first"),
    Limbs(("right leg",), how="mean"),
    People((0,)),
    Frames((2, 3)),
    Frames((2,), how="interpolate"),
    Region(20, 10, 25, 15),
    Region(20, 10, 25, 15, frames=(0, 3), how="inpaint"),
    Region(-5, -5, 500, 500, how="mean"),
    Ground("person"),
    Ground("background", how="mean"),
    Background("other"),
    Modality("rgb"),
    Modality("pose"),
    Offsets(),
    Offsets((1,)),
    TimeOrder("reverse"),
    TimeOrder("shuffle", seed=3),
    Thin(2),
)


def test_every_kind_is_tried_here() -> None:
    assert {type(removal) for removal in EVERY} | {Tokens} == set(KINDS.values())


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
@pytest.mark.parametrize(("frames", "people"), [(4, 1), (16, 2)])
def test_without_removals_the_prediction_is_the_recognizers(token_mode: str, frames: int, people: int) -> None:
    recognizer = random_recognizer(frames=frames, token_mode=token_mode)
    clip = noise_clip(11, people=people)
    plain = recognizer(clip)
    assert same(predict_with(recognizer, clip, ()), plain)
    question = Question.ask(recognizer, clip)
    again = predict_with(recognizer, question, [])
    assert same(again, plain)
    np.testing.assert_array_equal(again.view.frame_index, plain.view.frame_index)


def test_nothing_that_comes_in_is_written_to() -> None:
    recognizer, clip = random_recognizer(frames=5), masked_clip()
    rerun = Rerun.of(recognizer, clip)
    held = (clip, rerun.seen)
    before = [
        getattr(c, f.name).tobytes() for c in held for f in fields(c) if isinstance(getattr(c, f.name), np.ndarray)
    ]
    weights = {name: tensor.clone() for name, tensor in recognizer.network.state_dict().items()}
    backbone, plain = recognizer.network.backbone, recognizer(clip)
    changed = 0
    for removal in (*EVERY, Tokens(("cls",)), Tokens(("pose",), where="head")):
        prediction = predict_with(rerun, None, [removal], others={"other": noise_clip(4, 50, 50, seed=5)})
        assert np.isfinite(prediction.logits).all()
        changed += not same(prediction, plain)
    assert changed == len(EVERY) + 2
    after = [
        getattr(c, f.name).tobytes() for c in held for f in fields(c) if isinstance(getattr(c, f.name), np.ndarray)
    ]
    assert before == after
    assert recognizer.network.backbone is backbone
    assert all(torch.equal(tensor, weights[name]) for name, tensor in recognizer.network.state_dict().items())
    assert same(recognizer(clip), plain)


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_clip_removals_are_the_recognizer_on_the_changed_clip(token_mode: str) -> None:
    recognizer, clip = random_recognizer(frames=6, token_mode=token_mode), noise_clip(6)
    score = clip.score.copy()
    score[2:4, 1, WRIST] = 0
    removed = predict_with(recognizer, clip, [Joints(("left wrist",), people=(1,), frames=(2, 3))])
    assert same(removed, recognizer(replace(clip, score=score)))
    joints = clip.joints.copy()
    for person in range(2):
        for joint in dict(JHMDB.limbs)["left leg"]:
            joints[:, person, joint] = joints[np.flatnonzero(clip.score[:, person, joint])[0], person, joint]
    assert same(
        predict_with(recognizer, clip, [Limbs(("left leg",), how="first")]), recognizer(replace(clip, joints=joints))
    )
    frames, held = clip.frames.copy(), (clip.joints.copy(), clip.score.copy())
    for array in (frames, *held):
        array[3] = array[2]
    assert same(
        predict_with(recognizer, clip, [Frames((3,))]),
        recognizer(replace(clip, frames=frames, joints=held[0], score=held[1])),
    )
    reverse = predict_with(recognizer, clip, [TimeOrder("reverse")])
    assert same(reverse, recognizer(clip.take(np.arange(6)[::-1])))
    np.testing.assert_array_equal(reverse.view.frame_index, np.arange(6)[::-1])
    assert same(predict_with(recognizer, clip, [TimeOrder("reverse")] * 2), recognizer(clip))
    thin = predict_with(recognizer, clip, [Thin(3)])
    assert thin.ledger.shape[-1] == 3
    assert same(thin, recognizer(clip, recognizer.view(clip, frames=3)))


def test_frames_go_by_their_numbers_in_the_original_clip() -> None:
    rerun = Rerun.of(random_recognizer(frames=4), noise_clip(12))
    np.testing.assert_array_equal(rerun.index, [1, 4, 7, 10])
    untouched = shown_with(rerun, [Region(0, 0, 90, 60, frames=(2, 3), how="mean")]).clip.frames
    np.testing.assert_array_equal(untouched, rerun.seen.frames)  # frames 2 and 3 are not read
    shown = shown_with(rerun, [TimeOrder("reverse"), Region(0, 0, 90, 60, frames=(4,), how="mean")])
    flat = [len(np.unique(frame.reshape(-1, 3), axis=0)) == 1 for frame in shown.clip.frames]
    assert flat == [False, False, True, False]
    assert shown.index.tolist() == [10, 7, 4, 1]


def test_regions_are_where_they_say() -> None:
    rerun = Rerun.of(random_recognizer(frames=3), noise_clip(3))
    for how in ("blur", "inpaint", "mean"):
        frames = shown_with(rerun, [Region(20, 10, 25, 15, frames=(1,), how=how)]).clip.frames
        differs = (frames != rerun.seen.frames).any(-1)
        assert not differs[[0, 2]].any()
        ys, xs = np.nonzero(differs[1])
        assert (xs.min(), xs.max(), ys.min(), ys.max()) == (20, 44, 10, 24), how
        assert differs[1, 10:25, 20:45].mean() > 0.95, how


def test_blur_and_paint_take_nothing_from_elsewhere() -> None:
    clip = noise_clip(1, 40, 40, people=0)
    frames = np.zeros_like(clip.frames)
    frames[0, 10:20, 10:20] = 200
    frames[0, 10:20, 15:20] = 100
    gone = np.zeros((1, 40, 40), bool)
    gone[0, 10:20, 10:20] = True
    clip = replace(clip, frames=frames)
    blurred = edits.cover(clip, gone, "blur").frames[0, 10:20, 10:20]
    assert blurred.min() >= 100, "black from outside leaked in"
    assert blurred.std() < frames[0, 10:20, 10:20].std()
    assert (edits.cover(clip, gone, "inpaint").frames == 0).all(), "what was erased is still there"


def test_frames_are_held_or_interpolated() -> None:
    clip = noise_clip(5, 32, 32, people=1)
    clip = replace(
        clip,
        frames=np.stack([np.full((32, 32, 3), 10 * t, np.uint8) for t in range(5)]),
        score=np.ones_like(clip.score),
    )
    gone = np.array([False, True, True, True, False])
    assert edits.take_frames(clip, gone, "hold").frames[:, 0, 0, 0].tolist() == [0, 0, 0, 40, 40]
    mixed = edits.take_frames(clip, gone, "interpolate")
    assert mixed.frames[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
    np.testing.assert_allclose(mixed.joints[1], 0.75 * clip.joints[0] + 0.25 * clip.joints[4], rtol=1e-5)
    ends = edits.take_frames(clip, ~gone, "interpolate")
    assert ends.frames[:, 0, 0, 0].tolist() == [10, 10, 20, 30, 30]
    with pytest.raises(ValueError, match="at least one"):
        edits.take_frames(clip, np.ones(5, bool), "hold")


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_a_token_at_the_head_is_its_part_of_the_ledger(token_mode: str) -> None:
    recognizer, clip = random_recognizer(frames=5, token_mode=token_mode), noise_clip(5)
    plain = recognizer(clip)
    slot = len(plain.slots) - 1
    without = predict_with(recognizer, clip, [Tokens((plain.slots[slot],), frames=(1, 3), where="head")])
    part = plain.ledger[:, slot, [1, 3]].sum(-1)
    np.testing.assert_allclose(plain.logits - without.logits, part, atol=1e-5)
    assert np.abs(part).max() > 1e-4


def test_a_token_everywhere_carries_nothing() -> None:
    recognizer, clip = random_recognizer(frames=5), noise_clip(5)
    names = tuple(tokens_tap(layer, "modal") for layer in range(3))
    with Trace(keep=(*names, HEAD_TOKENS)) as trace:
        predict_with(recognizer, clip, [Tokens(("rgb",), frames=(2,))])
    for name in names:
        assert (trace.values[name][0, 1, 2] == 0).all(), name
        assert (trace.values[name][0, [0, 2], 2] != 0).any(), name
        assert (trace.values[name][0, 1, 3] != 0).any(), name
    assert (trace.values[HEAD_TOKENS][0, 2, 1] == 0).all()
    assert len(trace.attentions) == 6, "a trace around the call goes on listening"


def test_offsets_are_taken_away_in_one_layer() -> None:
    recognizer, clip = random_recognizer(frames=5), noise_clip(5)
    with Trace() as trace:
        predict_with(recognizer, clip, [Offsets((1,))])
    first, second = trace.points[points_tap(0)], trace.points[points_tap(1)]
    assert (first.position[0] - first.reference).abs().max() > 0.05
    torch.testing.assert_close(second.position[0], second.reference)
    with pytest.raises(ValueError, match="no 3D token search"):
        predict_with(random_recognizer(frames=5, deformable="off"), clip, [Offsets()])


def test_many_variants_in_batches_agree_with_single_passes() -> None:
    recognizer, clip = random_recognizer(frames=5), masked_clip()
    rerun = Rerun.of(recognizer, clip)
    removals = [r for r in EVERY if not isinstance(r, Background)] + [Tokens(("cls",)), Tokens(("pose",), where="head")]
    shown = [shown_with(rerun, [removal]) for removal in removals]
    done: list[int] = []
    logits = rerun.logits((rerun.variant(s.clip, s.exchange) for s in shown), done.append)
    assert done == sorted(done)
    assert done[-1] == len(removals)
    for removal, row in zip(removals, logits, strict=True):
        alone = predict_with(rerun, None, [removal]).logits
        np.testing.assert_allclose(row, alone, atol=1e-5, err_msg=removal.in_words)


def test_the_backbone_runs_once_for_all_that_leaves_the_pixels_alone() -> None:
    recognizer, clip = random_recognizer(frames=5), noise_clip(5)
    calls = 0

    class Counted(torch.nn.Module):
        def __init__(self, backbone: torch.nn.Module) -> None:
            super().__init__()
            self.backbone = backbone

        def forward(self, frames: torch.Tensor) -> object:
            nonlocal calls
            calls += 1
            return self.backbone(frames)

    recognizer.network.backbone = Counted(recognizer.network.backbone)  # type: ignore[assignment]
    rerun = Rerun.of(recognizer, clip)
    for removal in (Joints(("face",)), People((1,)), Modality("pose"), Tokens(("cls",)), Offsets()):
        predict_with(rerun, None, [removal])
    assert calls == 1
    predict_with(rerun, None, [Frames((2,))])
    assert calls == 2


def test_two_threads_do_not_mix() -> None:
    recognizer, clip = random_recognizer(frames=5), noise_clip(5)
    lists: list[list[Removal]] = [[], [Tokens(("cls",))], [Tokens(("rgb",), where="head")], [Offsets()]]
    alone = [predict_with(recognizer, clip, removals) for removals in lists]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: predict_with(recognizer, clip, lists[i % 4]), range(24)))
    for i, prediction in enumerate(together):
        assert same(prediction, alone[i % 4]), lists[i % 4]


def test_backgrounds() -> None:
    clip = masked_clip()
    rerun = Rerun.of(random_recognizer(frames=5), clip)
    other = replace(painted_clip(4, 50, 70), frames=np.full((4, 50, 70, 3), 77, np.uint8))
    mask = rerun.seen.person_mask
    assert mask is not None
    pasted = shown_with(rerun, [Background("other")], {"other": other}).clip.frames
    assert (pasted[~mask] == 77).all()
    np.testing.assert_array_equal(pasted[mask], rerun.seen.frames[mask])
    for what, kept in (("person", ~mask), ("background", mask)):
        covered = shown_with(rerun, [Ground(what)]).clip.frames
        np.testing.assert_array_equal(covered[kept], rerun.seen.frames[kept])
        assert (covered[~kept] != rerun.seen.frames[~kept]).mean() > 0.9
    moving = np.zeros((2, 40, 40), bool)
    moving[0, :, :10] = moving[1, :, 5:20] = True  # columns 5 to 9 are hidden in both
    frames = np.full((2, 40, 40, 3), 50, np.uint8)
    frames[moving] = 250
    people = replace(noise_clip(2, 40, 40), frames=frames, person_mask=moving)
    assert np.abs(edits.plate(people).astype(int) - 50).max() <= 2, (
        "the people of the other clip came with its background"
    )


@pytest.mark.parametrize(
    ("removal", "says"),
    [
        (Joints(("third arm",)), "no joint 'third arm'"),
        (Limbs(("tail",)), "no limb 'tail'"),
        (People((2,)), "no person number 2"),
        (Ground("person"), "no person mask"),
        (Background("x"), "no other clip 'x'"),
        (Tokens(("patches",)), "no token 'patches'"),
        (Offsets((2,)), "no layer 2"),
        (Frames(tuple(range(5))), "at least one"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(removal: Removal, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        predict_with(random_recognizer(frames=5), noise_clip(5), [removal])
    assert str(caught.value).endswith(".")


def test_in_words() -> None:
    assert [removal.in_words for removal in EVERY] == [
        "left wrist and belly not detected",
        "left wrist of person 1 held where first seen in frames 1-2",
        "right leg held at its mean place",
        "person 1 without joints",
        "frames 2-3 held",
        "frame 2 interpolated",
        "25 x 15 pixels at (20, 10) blurred",
        "25 x 15 pixels at (20, 10) painted over in frames 0 and 3",
        "500 x 500 pixels at (-5, -5) in the mean colour",
        "person blurred",
        "background in the mean colour",
        "before the background of other",
        "no pictures",
        "no joints",
        "no offsets",
        "no offsets in layer 1",
        "backwards",
        "shuffled in time (seed 3)",
        "2 frames read",
    ]
    assert Tokens(("cls", "pose"), where="head").in_words == "cls and pose token at zero at the head"


# ---- JSON -----------------------------------------------------------------------------------------------------------

numbers = st.lists(st.integers(0, 1 << 20), min_size=1, max_size=5).map(tuple)
some = st.none() | numbers
names = st.lists(st.text('abc \\"é\u2028', min_size=1, max_size=12), min_size=1, max_size=4).map(tuple)
hows = st.sampled_from(("unseen", "first", "mean"))
place, side = st.floats(-1e4, 1e4), st.floats(0.001, 1e4)
removals = st.lists(
    st.builds(Joints, names, some, some, hows)
    | st.builds(Limbs, names, some, some, hows)
    | st.builds(People, numbers, some, hows)
    | st.builds(Frames, numbers, st.sampled_from(("hold", "interpolate")))
    | st.builds(Region, place, place, side, side, some, st.sampled_from(("blur", "inpaint", "mean")))
    | st.builds(Ground, st.sampled_from(("person", "background")), st.sampled_from(("blur", "mean")), some)
    | st.builds(Background, st.text('abc \\"é\u2028', min_size=1, max_size=12))
    | st.builds(Modality, st.sampled_from(("rgb", "pose")))
    | st.builds(Tokens, names, some, st.sampled_from(("everywhere", "head")))
    | st.builds(Offsets, some)
    | st.builds(TimeOrder, st.sampled_from(("reverse", "shuffle")), st.integers(0, 1 << 20))
    | st.builds(Thin, st.integers(1, 24)),
    max_size=8,
).map(tuple)


@settings(max_examples=40, deadline=None)
@given(removals)
def test_round_trip(chosen: tuple[Removal, ...]) -> None:
    assert from_json(to_json(chosen)) == chosen
    assert all(removal.in_words for removal in chosen)
    assert len({hash(removal) for removal in chosen}) == len(set(chosen))


HOSTILE = (
    "", "{", "null", "7", '"joints"', "{}", "[7]", "[null]", "[[]]", '[{"kind": 3}]', '[{"kind": ["joints"]}]',
    '[{"kind": "exec", "code": "1"}]', '[{"kind": "joints"}]', '[{"kind": "joints", "joints": []}]',
    '[{"kind": "joints", "joints": "face"}]', '[{"kind": "joints", "joints": [7]}]',
    '[{"kind": "joints", "joints": ["face"], "how": "gone"}]', '[{"kind": "joints", "joints": ["face"], "how": []}]',
    '[{"kind": "joints", "joints": ["face"], "apply": 1}]', '[{"kind": "joints", "joints": ["face"], "people": [-1]}]',
    '[{"kind": "joints", "joints": ["face"], "people": [true]}]', '[{"kind": "frames", "frames": null}]',
    '[{"kind": "frames", "frames": [1e3]}]', '[{"kind": "frames", "frames": [99999999999999999999999]}]',
    '[{"kind": "region", "x": NaN, "y": 0, "width": 1, "height": 1}]',
    '[{"kind": "region", "x": Infinity, "y": 0, "width": 1, "height": 1}]',
    '[{"kind": "region", "x": 1e999, "y": 0, "width": 1, "height": 1}]',
    '[{"kind": "region", "x": 0, "y": 0, "width": -1, "height": 1}]',
    '[{"kind": "region", "x": 0, "y": 0, "width": 1' + "0" * 400 + ', "height": 1}]',
    '[{"kind": "region", "x": "0", "y": 0, "width": 1, "height": 1}]', '[{"kind": "thin", "count": 0}]',
    '[{"kind": "thin", "count": 2.0}]', '[{"kind": "background", "clip": ""}]', "[" * 60_000,
    '[{"kind": "order", "order": "reverse", "seed": 1' + "0" * 5000 + "}]", " " * 70_000,
    json.dumps([{"kind": "modality", "modality": "rgb"}] * 65),
    json.dumps([{"kind": "frames", "frames": list(range(2000))}]),
    json.dumps([{"kind": "background", "clip": "x" * 300}]),
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40])
def test_hostile_text_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{10,400}\.$"):
        from_json(text)


@settings(max_examples=40, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text('a"', max_size=8) | st.sampled_from([*KINDS]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(("kind", "joints", "frames", "people", "how", "x", "count")), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_any_json_is_removals_or_a_sentence(value: object) -> None:
    text = json.dumps([value])
    sentence = None
    try:
        read = from_json(text)
    except ValueError as error:
        sentence = str(error)
    assert sentence.endswith(".") if sentence is not None else from_json(to_json(read)) == read


def test_a_rerun_or_a_clip_is_needed() -> None:
    recognizer: Recognizer = random_recognizer()
    with pytest.raises(ValueError, match="no clip"):
        predict_with(recognizer, None, [])


# ---- How many frames are read ---------------------------------------------------------------------------------------


def test_frames_are_read_from_the_whole_clip_and_also_more_than_usual() -> None:
    recognizer, clip = random_recognizer(frames=4), noise_clip(20)
    for count in (1, 3, 4, 16):
        shown = shown_with(Rerun.of(recognizer, clip), [Thin(count)])
        np.testing.assert_array_equal(shown.index, recognizer.view(clip, count).frame_index)
        assert same(predict_with(recognizer, clip, [Thin(count)]), recognizer(clip, recognizer.view(clip, count)))
    assert len(shown_with(Rerun.of(recognizer, noise_clip(5)), [Thin(24)]).index) == 5
    with pytest.raises(ValueError, match="1 to 24 frames"):
        Thin(25)


def test_which_frames_are_read_is_settled_first_and_the_last_word_counts() -> None:
    rerun = Rerun.of(random_recognizer(frames=4), noise_clip(20))
    first = shown_with(rerun, [Thin(2), TimeOrder("reverse")])
    last = shown_with(rerun, [Thin(9), TimeOrder("reverse"), Thin(2)])
    np.testing.assert_array_equal(first.index, [15, 5])
    np.testing.assert_array_equal(last.index, first.index)
    np.testing.assert_array_equal(last.clip.frames, first.clip.frames)


def test_people_can_be_held_at_rest() -> None:
    rerun = Rerun.of(random_recognizer(frames=4), noise_clip(8, people=2))
    held = shown_with(rerun, [People((1,), how="mean")]).clip
    assert (held.joints[:, 1] == held.joints[:1, 1]).all()
    np.testing.assert_array_equal(held.joints[:, 0], rerun.seen.joints[:, 0])
    np.testing.assert_array_equal(held.score, rerun.seen.score)
    assert People((1,), how="mean").in_words == "person 2 held at its mean place"
