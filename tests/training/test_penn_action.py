"""Penn Action: the official split, places counted from 1, and frames that do not quite agree with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from tests.training.small_video import dot_frames, dot_places, write_pictures
from training.datasets import open_dataset
from training.datasets.penn_action import LABELS, PennAction
from training.errors import ClipError
from training.skeleton import PENN


@pytest.fixture(scope="module")
def official(data_dir: Path) -> PennAction:
    data = open_dataset(f"penn:{data_dir / 'penn_action'}?joints_only=1")
    assert isinstance(data, PennAction)
    return data


def test_official_split(official: PennAction) -> None:
    sizes = {part: len(members) for part, members in official.splits.items()}
    assert sizes["train"] + sizes["val"] == 1258
    assert sizes["test"] == 1068
    assert len(official) == 2326
    assert not official.left_out
    assert len({i for members in official.splits.values() for i in members}) == 2326
    assert {official.label(i) for i in official.splits["val"]} == set(range(15))
    assert 120 <= sizes["val"] <= 160
    counts = np.bincount([official.label(i) for i in range(len(official))])
    assert counts[LABELS.index("squat")] == 231
    assert counts[LABELS.index("jump_rope")] == 82


def test_every_kind_of_label_file_is_read(official: PennAction, data_dir: Path) -> None:
    # whole numbers of 8 and 16 bits without a sign, and floats: places near 0 must not wrap around
    unseen = []
    for index in range(2326):
        clip = official.clip(index)
        name = official.clips[index][0]
        found = scipy.io.loadmat(data_dir / "penn_action" / "labels" / f"{name}.mat")
        height, width = (int(n) for n in found["dimensions"].flat[:2])
        assert len(clip) == int(found["nframes"].flat[0])
        factor = np.array([width / clip.size[1], height / clip.size[0]])
        places = (clip.joints[:, 0] + 0.5) * factor - 0.5  # back in pixels of the source
        np.testing.assert_allclose(places[..., 0], found["x"].astype(float) - 1, atol=1e-3)
        np.testing.assert_allclose(places[..., 1], found["y"].astype(float) - 1, atol=1e-3)
        assert (clip.score[:, 0] <= found["visibility"]).all()
        if not clip.score.any():
            unseen.append(name)
    assert unseen == ["1516"]  # its file says that no joint is visible in any frame


def test_left_and_right_are_the_viewers(official: PennAction, data_dir: Path) -> None:
    signs = []
    for index in range(0, 2326, 8):
        path = data_dir / "penn_action" / "labels" / f"{official.clips[index][0]}.mat"
        found = scipy.io.loadmat(path, variable_names=["pose", "x", "visibility"])
        both = found["visibility"][:, 1:3].all(1)
        if str(found["pose"][0]) == "front" and both.any():
            signs.append(np.median(found["x"][both, 1].astype(float) - found["x"][both, 2]) < 0)
    assert len(signs) > 50
    assert np.mean(signs) > 0.9


def _tree(root: Path, names: dict[str, tuple[str, int]], frames: np.ndarray, resized: int = 1) -> None:
    """Sequences in the official layout: name -> (action, train). The head lies on the dot, counted from 1."""
    length, height, width = frames.shape[:3]
    (root / "labels").mkdir(parents=True)
    for name, (action, train) in names.items():
        x = np.tile(11 + np.arange(length)[:, None], (1, 13)).astype(np.uint8)
        y = np.full((length, 13), 13, np.uint8)
        visibility = np.ones((length, 13), np.uint8)
        visibility[2, 4] = 0
        scipy.io.savemat(
            root / "labels" / f"{name}.mat",
            {
                "action": action, "pose": "front", "x": x, "y": y, "visibility": visibility, "train": train,
                "bbox": np.ones((length, 4)), "dimensions": [[height // resized, width // resized, length]],
                "nframes": length,
            },
        )  # fmt: skip
        write_pictures(root / "frames" / name, frames, "{:06d}.jpg")


def test_places_lie_where_they_were_counted(tmp_path: Path) -> None:
    frames = dot_frames(6, 48, 64)
    _tree(tmp_path, {"0001": ("squats", 1), "0002": ("bowl", -1)}, frames)
    data = PennAction(tmp_path)
    assert data.splits == {"train": [0], "val": [], "test": [1]}
    clip = data.clip(0)
    assert (clip.label, clip.layout, clip.people) == ("squat", PENN, 1)
    np.testing.assert_allclose(clip.joints[:, 0, 0], dot_places(clip.frames), atol=0.3)
    assert clip.score[2, 0, 4] == 0
    assert clip.score.sum() == 6 * 13 - 1
    np.testing.assert_allclose(clip.time, np.arange(6) / 30)


def test_one_more_picture_is_no_damage(tmp_path: Path) -> None:
    frames = dot_frames(9, 48, 64)
    _tree(tmp_path, {"0001": ("squat", 1)}, frames[:8])
    write_pictures(tmp_path / "frames" / "0001", frames, "{:06d}.jpg")
    assert len(PennAction(tmp_path).clip(0)) == 8


def test_resized_pictures_take_their_joints_along(tmp_path: Path) -> None:
    # the dot's place on frames of half the size is (10 + t, 12) from 0, as the labels say
    frames = dot_frames(6, 96, 128, x=20, y=24)
    for t in range(6):
        frames[t] = np.roll(frames[0], 2 * t, axis=1)
    _tree(tmp_path, {"0001": ("squat", 1)}, frames, resized=2)
    clip = PennAction(tmp_path).clip(0)
    np.testing.assert_allclose(clip.joints[:, 0, 0], dot_places(clip.frames) + 0.5, atol=0.3)


def test_damage_is_named_and_does_not_spread(tmp_path: Path) -> None:
    _tree(tmp_path, {f"{n:04d}": ("squat", 1) for n in range(1, 7)}, dot_frames(8, 48, 64))
    frames = tmp_path / "frames"
    (frames / "0001" / "000004.jpg").unlink()
    (frames / "0002" / "000004.jpg").write_bytes(b"nothing")
    for picture in (frames / "0003").iterdir():
        picture.unlink()
    (tmp_path / "labels" / "0004.mat").write_bytes(b"nothing")
    path = tmp_path / "labels" / "0005.mat"
    found = scipy.io.loadmat(path)
    found["x"] = found["x"][:, :12]
    scipy.io.savemat(path, {key: value for key, value in found.items() if not key.startswith("__")})
    data = PennAction(tmp_path)
    assert data.left_out == {"unreadable label file": 1}
    for index, sentence in enumerate(
        ["0001 has 3 frames and joints for 8", "000004.jpg is damaged", "no picture 000001.jpg", r"0005\.mat cannot"]
    ):
        with pytest.raises(ClipError, match=sentence):
            data.clip(index)
    assert data.clip(4).name == "0006"


@pytest.mark.parametrize("side", [0, -4, np.inf, np.nan])
def test_impossible_sizes_are_named(tmp_path: Path, side: float) -> None:
    _tree(tmp_path, {f"{n:04d}": ("squat", 1) for n in (1, 2)}, dot_frames(8, 48, 64))
    _change(tmp_path / "labels" / "0001.mat", dimensions=[[side, 64, 8]])
    data = PennAction(tmp_path)
    with pytest.raises(ClipError, match=r"0001\.mat cannot"):
        data.clip(0)
    assert data.clip(1).name == "0002"


def test_a_flag_that_is_none_is_left_out(tmp_path: Path) -> None:
    _tree(tmp_path, {f"{n:04d}": ("squat", 1) for n in (1, 2)}, dot_frames(8, 48, 64))
    cell = np.empty((1, 1), object)
    cell[0, 0] = np.ones((2, 2))
    _change(tmp_path / "labels" / "0001.mat", train=cell)
    assert PennAction(tmp_path).left_out == {"unreadable label file": 1}


def _change(path: Path, **values: object) -> None:
    found = {key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("__")}
    scipy.io.savemat(path, found | values)


def test_wrong_folders_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="is no Penn Action folder"):
        open_dataset(f"penn:{tmp_path}")
    _tree(tmp_path / "penn", {"0001": ("squat", 1)}, dot_frames(4, 48, 64))
    (tmp_path / "penn" / "frames").rename(tmp_path / "elsewhere")
    with pytest.raises(ClipError, match="has no folder frames; add it, or read the joints with"):
        open_dataset(f"penn:{tmp_path / 'penn'}")
    with pytest.raises(ClipError, match="needs 0 or 1"):
        open_dataset(f"penn:{tmp_path / 'penn'}?joints_only=yes")
