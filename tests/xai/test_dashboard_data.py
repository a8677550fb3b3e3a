"""The page Data without a browser: data sets, predictions on disk, what they come to, thumbnails, and the page."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from model import checkpoint_hash
from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.test_dashboard import ROOT, run_app
from training.clip import Clip
from training.config import DataConfig
from training.errors import ClipError
from training.pack import write_pack
from training.skeleton import JHMDB
from xai.dashboard import data_live
from xai.dashboard.data_choice import choose_link, member_link, member_query, open_link
from xai.dashboard.data_grid import Tile, clicked
from xai.dashboard.data_matrix import cell_of, matrix_figure
from xai.dashboard.data_panels import explore_tile
from xai.dashboard.data_predictions import CACHE, Predicted, content_hash, file_name, find, forget, predict_some, prune
from xai.dashboard.data_progress import Network, span, working_words
from xai.dashboard.data_scores import Confusion, Share, Verdicts, Wanted, agreement, disagreements
from xai.dashboard.data_sets import Offer, Split, in_turn, offers, splits_of
from xai.dashboard.data_thumbnails import FRAMES, SIDE, Thumbnail
from xai.dashboard.jobs import Standing
from xai.dashboard.library import ASSETS, open_library

PAGE = "xai/dashboard/pages/data.py"
EXPLORE = "xai/dashboard/pages/explore.py"


class Six:
    """Six clips of noise, three of `a` and three of `b`; those in `damaged` cannot be read."""

    name, layout, labels = "six", JHMDB, ("a", "b")

    def __init__(self, damaged: Sequence[int] = (), seed: int = 0) -> None:
        self.damaged, self.seed, self.reads = damaged, seed, 0
        self.splits = {"train": range(0), "test": range(6)}

    def __len__(self) -> int:
        return 6

    def label(self, index: int) -> int:
        return index // 3

    def flipped(self, label: str) -> str | None:
        return label

    def clip(self, index: int) -> Clip:
        self.reads += 1
        if index in self.damaged:
            raise ClipError(f"/secret/place/{index}.avi is damaged.")
        return replace(noise_clip(seed=self.seed + index), label=self.labels[index // 3], name=f"six {index}")


def six(*damaged: int, seed: int = 0) -> Split:
    return Split.of(Offer("Six", "folder:/secret/place"), Six(damaged, seed), "test")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KINESCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "predictions"


def quietly(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def predicted(
    split: Split, labels: Sequence[str], rows: dict[int, str], sure: float = 0.9, **changes: Any
) -> Predicted:
    """A network that gives these clips these labels, each with probability `sure`."""
    rest = (1 - sure) / (len(labels) - 1)
    likely = np.array([[sure if label == said else rest for label in labels] for said in rows.values()])
    count = len(rows)
    return Predicted(
        tuple(labels), np.array(list(rows), np.int32), np.log(likely).astype(np.float32).reshape(count, len(labels)),
        ("f" * 16,) * count, tuple(f"clip {at}" for at in rows), np.full(count, 0.5, np.float32), **changes,
    )  # fmt: skip


# ---- Which data sets there are --------------------------------------------------------------------------------------


def test_the_operator_names_data_sets_and_nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KINESCOPE_DATA", raising=False)
    assert [offer.title for offer in offers({})] == ["Gym"]
    found = offers({"KINESCOPE_SETS": f"Judo=folder:{tmp_path}; Small = gym?test=36 ;"})
    assert [(offer.title, offer.source) for offer in found[1:]] == [
        ("Judo", f"folder:{tmp_path}"),
        ("Small", "gym?test=36"),
    ]
    with pytest.raises(
        ValueError, match=r"KINESCOPE_SETS lists TITLE=SOURCE, parted by semicolons; '/data' is no such"
    ):
        offers({"KINESCOPE_SETS": "/data"})
    with pytest.raises(ValueError, match="names 'Gym' twice"):
        offers({"KINESCOPE_SETS": "Gym=folder:/x"})
    with pytest.raises(ClipError, match="This server has no data set '/etc'"):
        data_live.split("/etc", "test")


def test_a_visitor_reads_no_path_of_the_server(tmp_path: Path) -> None:
    with pytest.raises(ClipError) as raised:
        Offer("Judo", f"folder:{tmp_path}/nothing").open()
    assert str(raised.value).startswith("The data set 'Judo' cannot be opened: There is no folder Judo;")
    split = six(2)
    with pytest.raises(ClipError, match=r"^Six/2\.avi is damaged\.$"):
        split.clip(2)


def test_a_decoder_that_raises_anything_ends_in_a_sentence() -> None:
    split = six()
    split.dataset.clip = lambda index: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(ClipError, match=r"^Clip 3 of Six, test cannot be read \(ZeroDivisionError\)\.$"):
        split.clip(2)
    with pytest.raises(ClipError, match="Six, test has clips 1 to 6; 8 was asked for"):
        split.clip(7)


def test_the_fingerprint_names_the_content() -> None:
    assert six().fingerprint == six().fingerprint
    assert len({six().fingerprint, six(seed=9).fingerprint, six(1).fingerprint}) == 3
    gym = [Split.of(Offer("Gym", text), Offer("Gym", text).open(), name) for text, name in
           (("gym?test=36", "test"), ("gym?test=36", "val"), ("gym?test=36&size=64", "test"))]  # fmt: skip
    assert len({split.fingerprint for split in gym}) == 3
    assert gym[0].kinds[:2] == ("pose", "pose")
    assert splits_of(gym[0].dataset) == ["test", "val", "train"]


def test_any_beginning_is_spread_over_the_classes() -> None:
    assert in_turn([0, 0, 0, 1, 1, 2]) == [0, 3, 5, 1, 4, 2]


# ---- Predictions on disk --------------------------------------------------------------------------------------------


def test_predictions_are_those_of_the_recognizer(cache: Path) -> None:
    split, network = six(), random_recognizer()
    assert predict_some(split, network, 1e9, quietly) == 6
    found = Predicted.read(cache / file_name(split.fingerprint, network.checkpoint), 6)
    assert found is not None
    assert found.position.tolist() == [0, 3, 1, 4, 2, 5]
    for row, position in enumerate(found.position.tolist()):
        clip = split.clip(position)
        expected = network(clip)
        assert np.array_equal(found.logits[row], expected.logits)
        assert found.probabilities[row] == pytest.approx(expected.probabilities, abs=1e-6)
        assert (found.clip[row], found.name[row]) == (clip.fingerprint, f"six {position}")
    assert (found.labels, found.rounds, found.done) == (("a", "b", "c", "d"), 1, 6)


def test_work_ends_in_time_and_goes_on_where_it_was(cache: Path) -> None:
    split, network = six(), random_recognizer()
    ticks = iter(range(10_000))
    seen: list[tuple[int, int]] = []
    first = predict_some(split, network, 20, lambda *how: seen.append(how), clock=lambda: float(next(ticks)))
    assert 0 < first < 6
    assert seen[0] == (0, 6)
    reads = split.dataset.reads  # type: ignore[attr-defined]
    assert predict_some(split, network, 1e9, quietly) == 6
    assert split.dataset.reads == reads + 6 - first  # type: ignore[attr-defined]
    found = Predicted.read(find(split.fingerprint, network.checkpoint), 6)
    assert found is not None
    assert (sorted(found.position.tolist()), found.rounds) == (list(range(6)), 2)


def test_a_damaged_clip_is_named_and_stops_nothing(cache: Path) -> None:
    split, network = six(1, 4), random_recognizer()
    predict_some(split, network, 1e9, quietly)
    found = Predicted.read(find(split.fingerprint, network.checkpoint), 6)
    assert found is not None
    assert sorted(found.position.tolist()) == [0, 2, 3, 5]
    assert found.damaged == {1: "Six/1.avi is damaged.", 4: "Six/4.avi is damaged."}
    assert found.done == 6
    verdicts = Verdicts.of(split, found)
    assert verdicts.accuracy is not None
    assert verdicts.accuracy.count == 4
    assert Wanted(outcome="cannot be read").positions(verdicts) == [1, 4]


def test_when_nothing_can_be_predicted_it_is_said_once(cache: Path) -> None:
    with pytest.raises(ClipError, match="None of the first clips can be predicted: Six/"):
        predict_some(six(*range(6)), random_recognizer(), 1e9, quietly)
    assert not list(cache.glob("*.npz"))


def test_what_was_done_is_saved_when_nobody_waits_any_more(cache: Path) -> None:
    split, network = six(), random_recognizer()

    def impatient(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_some(split, network, 1e9, impatient)
    found = Predicted.read(find(split.fingerprint, network.checkpoint), 6)
    assert found is not None
    assert (found.done, found.rounds) == (2, 0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.unlink(),
        lambda path: np.savez(path, header=np.zeros(3, np.uint8)),
    ],
)
def test_a_file_that_cannot_be_read_is_computed_again(cache: Path, damage: Callable[[Path], None]) -> None:
    split, network = six(), random_recognizer()
    predict_some(split, network, 1e9, quietly)
    path = find(split.fingerprint, network.checkpoint)
    damage(path)
    assert Predicted.read(path, 6) is None
    assert predict_some(split, network, 1e9, quietly) == 6
    assert Predicted.read(path, 6) is not None


def test_a_file_of_another_data_set_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    predicted(six(), "ab", {0: "a", 5: "b"}).save(path)
    assert Predicted.read(path, 6) is not None
    assert Predicted.read(path, 5) is None
    replace(predicted(six(), "ab", {0: "a", 5: "b"}), damaged={5: "twice"}).save(path)
    assert Predicted.read(path, 6) is None


def test_a_changed_clip_is_noticed_and_can_be_predicted_again(cache: Path) -> None:
    split, network = six(), random_recognizer()
    predict_some(split, network, 1e9, quietly)
    verdicts = Verdicts.of(split, Predicted.read(find(split.fingerprint, network.checkpoint), 6))
    tile = explore_tile(verdicts, Network(None, "gym-cross", "gym-cross", network.checkpoint), {})
    assert not any("changed" in line for line in tile(3, Thumbnail.of(split.clip(3))).lines)
    assert tile(3, Thumbnail.of(split.clip(4))).lines[-1] == "changed since"
    forget(split, network.checkpoint, {3})
    again = Predicted.read(find(split.fingerprint, network.checkpoint), 6)
    assert again is not None
    assert 3 not in again.position
    assert predict_some(split, network, 1e9, quietly) == 6


def test_clips_that_are_forgotten_while_others_are_predicted_stay_forgotten(cache: Path) -> None:
    split, network = six(), random_recognizer()
    predict_some(split, network, 0.0, quietly)  # one at least
    seconds = iter(np.arange(0, 1e6, 10.0))  # everything is saved at once
    first = Predicted.read(find(split.fingerprint, network.checkpoint), 6)
    assert first is not None

    def forgetting(done: int, total: int) -> None:
        if done == 3:
            forget(split, network.checkpoint, set(first.position.tolist()))

    predict_some(split, network, 1e9, forgetting, lambda: float(next(seconds)))
    found = Predicted.read(find(split.fingerprint, network.checkpoint), 6)
    assert found is not None
    assert not set(found.position.tolist()) & set(first.position.tolist())
    assert len(set(found.position.tolist())) == len(found.position) == 6 - len(first.position)
    assert predict_some(split, network, 1e9, quietly) == 6


def test_what_ships_is_read_where_there_is_nothing_newer(cache: Path, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    predicted(six(), "ab", {0: "a"}).save(shipped / file_name("d", "c"))
    assert find("d", "c", shipped).parent == shipped
    predicted(six(), "ab", {1: "a"}).save(cache / file_name("d", "c"))
    assert find("d", "c", shipped).parent == cache


def test_the_folder_stays_bounded(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(b"")
        import os

        os.utime(path, (number, number))
    prune(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.npz", "4.npz"]


def test_names_agree_with_those_of_the_floors_below() -> None:
    path = open_library().checkpoints[0].path
    assert content_hash(path) == checkpoint_hash(path)
    assert DataConfig().cache == CACHE


# ---- What they come to ----------------------------------------------------------------------------------------------


def test_accuracy_by_hand() -> None:
    split = replace(six(), kinds=("pose", "time") * 3)
    rows = {0: "a", 1: "a", 2: "b", 3: "b", 4: "a"}
    verdicts = Verdicts.of(split, predicted(split, "ab", rows))
    assert verdicts.accuracy == Share(3, 5)
    assert str(Share(3, 5)) == "60.0 % [23.1, 88.2]"  # Wilson
    assert verdicts.by_kind == {"pose": Share(1, 3), "time": Share(2, 2)}
    assert verdicts.guessing == pytest.approx(3 / 5)
    assert [verdicts.said(position) for position in range(6)] == ["a", "a", "b", "b", "a", ""]
    assert Verdicts.of(split, None).accuracy is None


def test_labels_that_the_network_does_not_know_are_not_counted() -> None:
    split = six()
    verdicts = Verdicts.of(split, predicted(split, ["b", "z"], {0: "z", 3: "b", 4: "z"}))
    assert verdicts.accuracy == Share(1, 2)
    assert Wanted(outcome="no verdict").positions(verdicts) == [0]
    confusion = Confusion.of(verdicts)
    assert (confusion.rows, confusion.columns) == (("a", "b"), ("b", "z"))
    assert confusion.counts.tolist() == [[0, 1], [1, 1]]


def test_the_matrix_counts_and_a_click_names_a_cell() -> None:
    split = six()
    rows = {0: "a", 1: "b", 2: "b", 3: "b"}
    confusion = Confusion.of(Verdicts.of(split, predicted(split, "ba", rows)))
    assert confusion.rows == confusion.columns == ("a", "b")
    assert confusion.counts.tolist() == [[1, 2], [0, 1]]
    figure = matrix_figure(confusion, ("a", "b"))
    points = figure.data[-1]
    cells = {tuple(data[:3]): (x, y) for data, x, y in zip(points.customdata, points.x, points.y, strict=True)}
    assert cells == {("a", "a", 1): (0, 0), ("a", "b", 2): (1, 0), ("b", "b", 1): (1, 1)}
    assert list(figure.layout.yaxis.ticktext) == ["a", "b"]
    frame = figure.layout.shapes[0]
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (0.5, 1.5, -0.5, 0.5)
    right, wrong = figure.data[:2]
    assert np.isnan(np.asarray(right.z)[0, 1])
    assert np.asarray(wrong.z)[0, 1] == pytest.approx(2 / 3)
    assert cell_of({"selection": {"points": [{"customdata": ["a", "b", 2, 3, 0.67]}]}}) == ("a", "b")
    assert cell_of({"selection": {"points": []}}) is None
    assert cell_of(None) is None


def test_of_very_many_labels_those_with_mistakes_are_shown() -> None:
    labels = tuple(f"l{i}" for i in range(50))
    split = replace(six(), labels=labels, targets=np.arange(6))
    rows = {0: "l0", 1: "l1", 2: "l40", 3: "l41", 4: "l4", 5: "l5"}
    confusion = Confusion.of(Verdicts.of(split, predicted(split, labels, rows)), most=4)
    assert confusion.rows == ("l2", "l3", "l40", "l41")
    assert confusion.counts.tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [0] * 4, [0] * 4]
    assert confusion.left_out == 46


def test_filters() -> None:
    split = replace(six(), kinds=("pose", "time") * 3)
    some = predicted(split, "ab", {0: "a", 1: "b"}, 0.9)
    more = predicted(split, "ab", {2: "a", 3: "b"}, 0.6)
    both = replace(
        some, position=np.concatenate([some.position, more.position]), damaged={5: "why"},
        logits=np.concatenate([some.logits, more.logits]), clip=some.clip * 2, name=some.name + more.name,
        seconds=np.concatenate([some.seconds] * 2),
    )  # fmt: skip
    verdicts = Verdicts.of(split, both)
    assert Wanted().positions(verdicts) == [0, 1, 2, 3, 4, 5]
    assert Wanted(label="b").positions(verdicts) == [3, 4, 5]
    assert Wanted(predicted="b").positions(verdicts) == [1, 3]
    assert Wanted(outcome="wrong").positions(verdicts) == [1]
    assert Wanted(outcome="not predicted").positions(verdicts) == [4]
    assert Wanted(kind="time").positions(verdicts) == [1, 3, 5]
    assert Wanted(least=0.5, most=0.7).positions(verdicts) == [2, 3]
    assert Wanted(order="surest first").positions(verdicts) == [0, 1, 2, 3, 4, 5]
    assert Wanted(order="least sure first").positions(verdicts) == [2, 3, 0, 1, 4, 5]
    assert Wanted(label="b", outcome="right").positions(verdicts) == [3]
    assert Wanted(label="nobody").positions(verdicts) == []


def test_agreement_by_hand() -> None:
    split = six()
    one = Verdicts.of(split, predicted(split, "ab", {0: "a", 1: "a", 2: "b", 3: "b"}))
    other = Verdicts.of(split, predicted(split, "ba", {0: "a", 1: "b", 2: "b", 4: "b"}))  # labels in another order
    found = agreement(one, other)
    assert found is not None
    assert found.same == Share(2, 3)
    assert found.by_chance == pytest.approx(2 / 3 * 1 / 3 + 1 / 3 * 2 / 3)
    assert found.both_right == 1
    assert disagreements([one, other]) == [1]
    assert agreement(one, Verdicts.of(split, None)) is None
    third = Verdicts.of(split, predicted(split, "abc", {0: "b", 1: "c"}))
    assert disagreements([one, other, third]) == [1, 0]


# ---- Pictures and words ---------------------------------------------------------------------------------------------


def test_a_thumbnail_moves_and_has_a_still() -> None:
    clip = noise_clip(frames=30, height=200, width=300)
    made = Thumbnail.of(clip)
    assert (made.width, made.height) == (SIDE, round(200 * SIDE / 300))
    done, animation = cv2.imdecodeanimation(np.frombuffer(made.moving, np.uint8))
    assert done
    assert len(animation.frames) == FRAMES
    assert animation.frames[0].shape[:2] == (made.height, made.width)
    assert sum(animation.durations) == pytest.approx(3000, abs=FRAMES)  # 30 frames, 10 a second
    still = cv2.imdecode(np.frombuffer(made.still, np.uint8), cv2.IMREAD_COLOR)
    assert still is not None
    assert still.shape[:2] == (made.height, made.width)
    assert made.clip == clip.fingerprint


def test_thumbnails_are_made_for_what_is_shown_and_a_damaged_one_says_why() -> None:
    split = six(1, seed=40)
    _, work = data_live.picturing(split, [0, 1])
    assert data_live.thumbnail(split, 0) is None
    work(quietly)
    assert data_live.thumbnail(split, 0).moving  # type: ignore[union-attr]
    assert data_live.thumbnail(split, 1).sentence == "Six/1.avi is damaged."  # type: ignore[union-attr]
    assert data_live.thumbnail(split, 2) is None


def test_a_tile_says_what_it_shows_and_links_to_the_clip() -> None:
    split = six()
    verdicts = Verdicts.of(split, predicted(split, "ab", {0: "b", 3: "b"}, 0.87))
    tile = explore_tile(verdicts, Network(None, "gym-cross", "gym-cross", "x"), {})
    wrong, right, neither = tile(0, None), tile(3, None), tile(5, None)
    assert (wrong.title, wrong.lines, wrong.mark) == ("a", ("→ b 0.87",), "wrong")
    assert wrong.words == "Clip 1: a, said to be b with probability 0.87, wrong. Opens in Explore."
    assert wrong.link == "./?source=Data&set=Six&split=test&number=1&checkpoint=gym-cross"
    assert right.mark == "right"
    assert (neither.lines, neither.mark) == ((), "")
    assert member_link("tokens", member_query(split, 2)) == "./tokens?source=Data&set=Six&split=test&number=3"


def test_waiting_is_said_in_words() -> None:
    assert working_words(Standing("waiting", ahead=2), 100, 10, 0.5) == (
        "In the queue: 2 before this. 10 of 100 clips are done."
    )
    assert working_words(Standing("running", part=0.5), 1080, 100, 0.5) == "540 of 1,080 clips; about 4 min left"
    assert working_words(Standing("running", part=0.0), 1080, 0, None) == "0 of 1,080 clips"
    assert [span(seconds) for seconds in (1, 42, 100, 7200)] == ["5 s", "40 s", "2 min", "2.0 h"]


# ---- The page -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A pack of four small clips with labels of the gym, named to the server, and an empty cache."""

    class Four(Six):
        name, labels = "four", ("kick left", "kick right")

        def label(self, index: int) -> int:
            return index % 2

        def clip(self, index: int) -> Clip:
            clip = noise_clip(frames=4, height=24, width=24, people=1, seed=index)
            return replace(clip, label=self.labels[index % 2], name=f"four {index}")

    folder = tmp_path_factory.mktemp("tiny")
    write_pack(folder / "tiny", Four(), {"test": range(4)}, 24, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESCOPE_SETS", f"Tiny=pack:{folder}/tiny")
        patch.setenv("KINESCOPE_CACHE", str(folder / "cache"))
        yield folder


def follow(app: AppTest, seconds: float = 200.0) -> AppTest:
    deadline = time.monotonic() + seconds
    while app.get("progress"):
        assert time.monotonic() < deadline, "the predictions did not end"
        time.sleep(0.5)
        app.run()
    assert not app.exception, app.exception
    return app


def texts(app: AppTest) -> str:
    return " ".join(each.value for each in [*app.markdown, *app.caption, *app.info])


def test_from_nothing_to_a_filtered_grid(tiny: Path) -> None:
    app = run_app(PAGE, set="Tiny", checkpoint="gym-none")
    assert not app.exception, app.exception
    assert app.selectbox(key="set").value == "Tiny"
    assert "is not known yet" in texts(app)
    assert "**4 clips**" in texts(app)  # the grid is there before anything is predicted
    app.button(key="start data").click().run()
    follow(app)
    assert "of 4 clips; 95 % interval" in texts(app)
    assert app.get("plotly_chart")
    again = run_app(PAGE, set="Tiny", checkpoint="gym-none")
    assert not again.get("progress")
    assert "of 4 clips; 95 % interval" in texts(again)
    again.selectbox(key="labelled").select("kick right").run()
    assert "**2 of 4 clips**" in texts(again)
    again.session_state["confusion"] = {"selection": {"points": []}}
    assert len(list((tiny / "cache" / "predictions").glob("*.npz"))) == 1


def test_a_data_set_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KINESCOPE_SETS", f"Gone=folder:{tmp_path}/gone")
    app = run_app(PAGE, set="Gone")
    assert not app.exception
    assert app.error[0].value.replace("\\", "").startswith("The data set 'Gone' cannot be opened")
    assert str(tmp_path) not in app.error[0].value.replace("\\", "")
    monkeypatch.setenv("KINESCOPE_SETS", "nonsense")
    assert "KINESCOPE_SETS lists" in run_app(PAGE).error[0].value.replace("\\", "")


def test_a_link_opens_the_clip_in_explore(tiny: Path) -> None:
    app = run_app(EXPLORE, source="Data", set="Tiny", split="test", number="3", checkpoint="gym-none")
    assert not app.exception, app.exception
    assert app.number_input(key="number").value == 3
    assert "player" in {part.key for part in app.get("bidi_component")}
    far = run_app(EXPLORE, source="Data", set="Tiny", split="nowhere", number="99", checkpoint="gym-none")
    assert not far.exception, far.exception


def test_a_second_visit_needs_no_torch(tiny: Path) -> None:
    split = data_live.split("Tiny", "test")
    checkpoint = open_library().checkpoint("gym-single")
    labels = checkpoint.card["labels"]
    done = predicted(split, labels, dict.fromkeys(range(4), "kick left"), rounds=1)
    done.save(tiny / "cache" / "predictions" / file_name(split.fingerprint, content_hash(checkpoint.path)))
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        f"app = AppTest.from_file({PAGE!r}, default_timeout=60); "
        "app.query_params['set'] = 'Tiny'; app.query_params['checkpoint'] = 'gym-single'; app.run(); "
        "assert not app.exception, app.exception; "
        "assert any('50.0 % right' in m.value for m in app.markdown), app.markdown; "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done_ = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done_.returncode == 0, done_.stderr[-800:]


def test_predictions_that_ship_fit_what_ships() -> None:
    gym = data_live.split("Gym", "test")
    known = {file_name(gym.fingerprint, content_hash(each.path)) for each in open_library().checkpoints}
    for path in (ASSETS / "predictions").glob("*.npz"):
        assert path.name in known, f"{path.name} is of another checkpoint or renderer; make it again."
        found = Predicted.read(path, len(gym))
        assert found is not None
        assert found.done == len(gym)


# ---- Opening a clip -------------------------------------------------------------------------------------------------


def test_a_click_names_a_tile_of_the_sheet_and_nothing_else() -> None:
    tiles = [Tile(3, "./?number=3", "a"), Tile(4, "./?number=4", "b")]
    assert clicked(tiles, 4) is tiles[1]
    for other in (None, 5, "4", True, {"number": 4}):
        assert clicked(tiles, other) is None


def test_a_clip_opens_in_the_session_and_a_checkpoint_of_ones_own_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, object] = {"checkpoint": "upload", "basket": "full"}
    gone: list[str] = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: gone.append(page))
    monkeypatch.setattr(st, "session_state", state)
    split = six()
    link = member_link("", member_query(split, 1, "upload"))
    choose_link(link)
    open_link(link, "data")
    where = {"source": "Data", "set": "Six", "split": "test", "basket": "full", "settled": None}
    assert state == where | {"number": 2, "checkpoint": "upload"}
    link = member_link("tokens", member_query(split, 2, "gym-cross"))
    choose_link(link)
    open_link(link, "data")
    assert state == where | {"number": 3, "checkpoint": "gym-cross"}
    assert gone == ["xai/dashboard/pages/explore.py", "xai/dashboard/pages/tokens.py"]
