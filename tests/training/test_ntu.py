"""NTU RGB+D: the grammar of .skeleton files, who counts as a person, the protocols, and joints on RGB frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.training.small_video import dot_frames, dot_places, write_avi
from training.datasets import open_dataset
from training.datasets.ntu import XSUB_60, XSUB_120, Body, Ntu, choose_bodies, is_training, read_bodies
from training.errors import ClipError

MAIN = 72057594037931101
"""Real body numbers are that large; as floats, neighbours are the same."""
Bodies = dict[int, tuple[np.ndarray, np.ndarray, int]]
"""Number -> places [25, 3], colour [25, 2], tracking state of every joint."""


def person(x: float = 0.0, sway: float = 0.0) -> np.ndarray:
    """Twenty-five joints of an upright person, about 0.4 m wide and 1.6 m high."""
    generator = np.random.default_rng(0)
    places = np.stack([generator.uniform(-0.2, 0.2, 25), np.linspace(-0.8, 0.8, 25), np.full(25, 3.0)], -1)
    return places + np.array([x + sway, 0, 0])


def skeleton_text(frames: list[Bodies]) -> str:
    """A file in the grammar of the data set, joint lines of twelve numbers and all."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for number, (places, colour, tracking) in bodies.items():
            lines += [f"{number} 0 1 1 1 1 0 0.1 -0.2 2", "25"]
            for (x, y, z), (cx, cy) in zip(places, colour, strict=True):
                lines.append(f"{x:.7g} {y:.7g} {z:.7g} 250.1 200.2 {cx:.7g} {cy:.7g} 0.1 0.2 0.3 0.4 {tracking}")
    return "\n".join(lines) + "\n"


def _colour(x: float, y: float) -> np.ndarray:
    return np.tile([x, y], (25, 1)).astype(float)


def _write(root: Path, name: str, frames: list[Bodies], video: np.ndarray | None = None) -> None:
    (root / "nturgb+d_skeletons").mkdir(parents=True, exist_ok=True)
    (root / "nturgb+d_skeletons" / f"{name}.skeleton").write_text(skeleton_text(frames))
    if video is not None:
        write_avi(root / "nturgb+d_rgb" / f"{name}_rgb.avi", video)


def _one(length: int = 14) -> list[Bodies]:
    return [{MAIN: (person(sway=t / 50), _colour(900, 500), 2)} for t in range(length)]


def test_joints_lie_on_the_frame_they_were_measured_on(tmp_path: Path) -> None:
    # the video is a tenth of 1920x1080: its pixel x is colour 10 (x + 0.5) - 0.5. Frame 3 has no body.
    video = dot_frames(14, 108, 192)
    frames: list[Bodies] = [
        {MAIN: (person(sway=t / 50), _colour(10 * (10 + t + 0.5) - 0.5, 124.5), 1 if t == 5 else 2)} for t in range(14)
    ]
    frames[3] = {}
    _write(tmp_path, "S001C001P001R001A024", frames, video)
    data = Ntu(tmp_path)
    clip = data.clip(0)
    assert (clip.label, clip.name, clip.people) == ("kick something", "S001C001P001R001A024", 1)
    there = np.arange(14) != 3
    np.testing.assert_allclose(clip.joints[there, 0, 7], dot_places(clip.frames)[there], atol=0.3)
    assert clip.score[:, 0, 0].tolist() == [1, 1, 1, 0, 1, 0.5] + [1] * 8


def test_two_people_keep_their_tracks(tmp_path: Path) -> None:
    # the second person moves less, and gets a new number in the middle; both come first in some frames
    second, again = MAIN + 1, MAIN + 2
    frames: list[Bodies] = []
    for t in range(30):
        other = second if t < 15 else again
        pair: Bodies = {
            other: (person(1.0, t / 500), _colour(1200, 540), 2),
            MAIN: (person(-1.0, t / 20), _colour(600, 540), 2),
        }
        frames.append(pair if t % 2 else dict(reversed(pair.items())))
    _write(tmp_path, "S001C001P001R001A050", frames, dot_frames(30, 108, 192))
    clip = Ntu(tmp_path).clip(0)
    assert clip.people == 2
    np.testing.assert_allclose(clip.joints[:, 0, :, 0], 59.55, atol=0.01)
    np.testing.assert_allclose(clip.joints[:, 1, :, 0], 119.55, atol=0.01)
    assert (clip.score == 1).all()


@pytest.fixture
def bodies_of(tmp_path: Path) -> Callable[[list[Bodies]], list[Body]]:
    """Writes frames to a file and reads the bodies back."""

    def read(frames: list[Bodies]) -> list[Body]:
        path = tmp_path / "a.skeleton"
        path.write_text(skeleton_text(frames))
        return read_bodies(path)[1]

    return read


def test_furniture_and_brief_bodies_are_no_people(bodies_of: Callable[[list[Bodies]], list[Body]]) -> None:
    chair = person(2.0) * (8, 0.2, 1)  # far wider than high, and shaking
    frames: list[Bodies] = []
    for t in range(30):
        frames.append({
            5: (chair + np.array([0, 0, (-1) ** t]), _colour(100, 100), 2),
            6: (person(sway=t / 100), _colour(900, 500), 2),
        })  # fmt: skip
        if t < 8:
            frames[-1][7] = (person(1.5, (-1) ** t), _colour(1500, 500), 2)
    tracks = choose_bodies(bodies_of(frames), 2)
    assert [[body.colour[0, 0, 0] for body in track] for track in tracks] == [[900]]
    # nothing is left out when nothing would be left
    assert len(choose_bodies(bodies_of([{5: f[5]} for f in frames]), 2)) == 1
    assert len(choose_bodies(bodies_of(_one(5)), 2)) == 1
    assert choose_bodies(bodies_of([{}, {}]), 2) == []


def test_the_most_moving_body_comes_first(bodies_of: Callable[[list[Bodies]], list[Body]]) -> None:
    frames: list[Bodies] = [
        {MAIN: (person(0, t / 500), _colour(1, 1), 2), MAIN + 1: (person(1, t / 50), _colour(2, 2), 2)}
        for t in range(20)
    ]
    assert float(MAIN) == float(MAIN + 1)  # as floats they would be one body
    tracks = choose_bodies(bodies_of(frames), 2)
    assert [track[0].colour[0, 0, 0] for track in tracks] == [2, 1]
    x = np.concatenate([frame[MAIN][0] for frame in frames])
    assert tracks[1][0].motion == pytest.approx(x.var(axis=0).sum(), rel=1e-4)


def test_numbers_that_are_none(tmp_path: Path) -> None:
    frames = _one()
    text = skeleton_text(frames).splitlines()
    joint = text[4].split()
    text[4] = " ".join(["-1.#IND"] * 3 + joint[3:5] + ["NaN", "NaN"] + joint[7:])
    text[5] = " ".join(["0"] * 12)
    _write(tmp_path, "S001C001P001R001A001", frames, dot_frames(14, 108, 192))
    (tmp_path / "nturgb+d_skeletons" / "S001C001P001R001A001.skeleton").write_text("\n".join(text))
    clip = Ntu(tmp_path).clip(0)
    assert clip.score[0, 0, :3].tolist() == [0, 0, 1]
    assert np.isfinite(clip.joints).all()


def test_protocols() -> None:
    assert (len(XSUB_60), len(XSUB_120)) == (20, 53)
    for name, protocol, classes, training in [
        ("S001C001P001R001A001", "xsub", 60, True),
        ("S001C001P003R001A001", "xsub", 60, False),
        ("S020C001P045R001A061", "xsub", 120, True),
        ("S020C001P045R001A061", "xsub", 60, False),
        ("S020C001P103R001A061", "xsub", 120, True),
        ("S020C001P104R001A061", "xsub", 120, False),
        ("S001C001P001R001A001", "xview", 60, False),
        ("S001C002P003R001A001", "xview", 60, True),
        ("S001C003P003R001A001", "xview", 60, True),
        ("S032C001P099R001A061", "xset", 120, True),
        ("S031C001P099R001A061", "xset", 120, False),
    ]:
        assert is_training(name, protocol, classes) == training, (name, protocol, classes)


def test_splits_and_what_is_left_out(tmp_path: Path) -> None:
    names = [f"S{s:03d}C{c:03d}P{p:03d}R001A001" for s in (1, 2) for c in (1, 2, 3) for p in (*range(1, 10), 13, 14)]
    for name in names:
        _write(tmp_path, name, [{}])
        (tmp_path / "nturgb+d_rgb").mkdir(exist_ok=True)
        (tmp_path / "nturgb+d_rgb" / f"{name}_rgb.avi").touch()
    _write(tmp_path, "S003C001P001R001A001", [{}])  # no video
    for name in ("S018C001P001R001A001", "S001C001P001R001A061"):
        _write(tmp_path, name, [{}])
        (tmp_path / "nturgb+d_rgb" / f"{name}_rgb.avi").touch()
    prose = "The following samples have missing skeletons.\nIgnore them in training and testing.\n\n"
    (tmp_path / "NTU_RGBD_samples_with_missing_skeletons.txt").write_text(prose + names[0] + "\n")
    data = open_dataset(f"ntu:{tmp_path}?protocol=xsub&classes=60")
    assert isinstance(data, Ntu)
    assert data.left_out == {
        "in the list of missing skeletons": 1, "without a video": 1, "of the 120 classes only": 2,
    }  # fmt: skip
    sizes = {part: len(members) for part, members in data.splits.items()}
    # performers 1 2 4 5 8 9 13 14 train; six clips each, less the missing one; the eighth performer is held out
    assert sizes == {"train": 41, "val": 6, "test": 18}
    assert {data.clips[i][8:12] for i in data.splits["val"]} == {"P014"}
    views = Ntu(tmp_path, "xview")
    assert {views.clips[i][4:8] for i in views.splits["test"]} == {"C001"}
    sets = Ntu(tmp_path, "xset", 120)
    assert len(sets) == 67
    assert len(sets.labels) == 120
    assert {sets.clips[i][:4] for i in sets.splits["test"]} == {"S001"}
    other = tmp_path / "mine.txt"
    other.write_text("\n".join(names[:5]))
    assert len(open_dataset(f"ntu:{tmp_path}?missing={other}")) == 61


def test_damage_is_named_and_does_not_spread(tmp_path: Path) -> None:
    good = skeleton_text(_one())
    bad = {
        "A001": (good[: len(good) // 2], "it breaks off"),
        "A002": (good.replace("\n25\n", "\n24\n", 1), "a body has 24 joints"),
        "A003": (good + "1 2 3\n", "it goes on after its last frame"),
        "A004": ("nothing", "is no .skeleton file"),
        "A005": ("", "it breaks off"),
        "A006": (good.replace("14", "20000", 1), "it says 20000 frames"),
        "A007": (skeleton_text(_one(40)), "has 14 frames and joints for 40"),
        "A008": (good.replace("250.1", "x", 1), "is no .skeleton file"),
        "A009": (good, ""),
    }
    for action, (text, _) in bad.items():
        _write(tmp_path, f"S001C001P001R001{action}", _one(), dot_frames(14, 108, 192))
        (tmp_path / "nturgb+d_skeletons" / f"S001C001P001R001{action}.skeleton").write_text(text)
    data = Ntu(tmp_path)
    for index, (_, sentence) in enumerate(bad.values()):
        if sentence:
            with pytest.raises(ClipError, match=sentence):
                data.clip(index)
        else:
            assert data.clip(index).people == 1


def test_wrong_names_get_one_sentence(tmp_path: Path) -> None:
    for text, sentence in [
        (f"ntu:{tmp_path}?protocol=xset", "xset with 60 was asked for"),
        (f"ntu:{tmp_path}?classes=30", "xsub with 30 was asked for"),
        (f"ntu:{tmp_path}", "has 0 .skeleton files and 0 videos"),
        (f"ntu:{tmp_path / 'none'}", "There is no folder"),
        (f"ntu:{tmp_path}?colour=1", "it takes protocol, classes, missing"),
    ]:
        with pytest.raises(ClipError, match=sentence):
            open_dataset(text)
    _write(tmp_path, "S001C001P001R001A001", [{}], dot_frames(2, 54, 96))
    (tmp_path / "mine.txt").write_text("nothing")
    with pytest.raises(ClipError, match="names no sample"):
        open_dataset(f"ntu:{tmp_path}?missing={tmp_path / 'mine.txt'}")
