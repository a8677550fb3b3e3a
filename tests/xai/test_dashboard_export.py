"""Export: the basket, its spec and the way back, what strangers write, the files themselves, and the page."""

from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.figure_checks import collisions
from tests.xai.test_dashboard import ROOT, run_app
from training.clip import Clip
from xai.dashboard.add_here import read
from xai.dashboard.basket import BESIDE, KEY, MOST, Basket, Item, first_figure, seen_from
from xai.dashboard.basket_spec import BOARD, GymClip, basket_of, drawn_from, request_of
from xai.dashboard.choose import ClipChoice
from xai.dashboard.exporting import Opened, Served, animate, card_of, files, preview, report
from xai.dashboard.jobs import Cancelled
from xai.dashboard.kept import Kept
from xai.dashboard.library import open_library
from xai.dashboard.live import Upload
from xai.dashboard.player import Place
from xai.dashboard.turnstile import Turnstile
from xai.evidence import gather_evidence
from xai.figures.compose import compose
from xai.figures.latex import escaped, include
from xai.figures.panel_kinds import (
    Ablation,
    Agreement,
    Confusion,
    Cube,
    Film,
    Joints,
    LeaderBoard,
    Ledger,
    Map,
    Order,
    Trust,
    Variants,
    WhoReads,
    Without,
)
from xai.figures.spec import FigureError
from xai.methods import explain
from xai.removal import from_json, predict_with
from xai.rerun import Rerun
from xai.trust import PARTS, trusted
from xai.trust import trust as measure

PAGE = "xai/dashboard/pages/export.py"
LIBRARY = open_library()
BOW, KICK = (ClipChoice(bundled=LIBRARY.clip(key)) for key in ("bow", "kick-left"))
CROSS, NONE = (LIBRARY.checkpoint(key) for key in ("gym-cross", "gym-none"))


@dataclass(frozen=True, eq=False)
class Held:
    """A clip of nobody else."""

    name: str
    clip: Clip

    def open(self) -> Clip:
        return self.clip


def basket(*items: Item, **looks: object) -> Basket:
    return replace(Basket(), **looks).adding(*items)  # type: ignore[arg-type]


# ---- The basket -----------------------------------------------------------------------------------------------------


def test_panels_move_and_stand_beside_each_other() -> None:
    found = basket(*(Item(Film(layer=n), BOW, (CROSS,)) for n in range(1, 6)))
    assert [item.number for item in found.items] == [0, 1, 2, 3, 4]
    assert [item.number for item in found.moving(3, -1).items] == [0, 1, 3, 2, 4]
    assert found.moving(0, -1).items == found.items
    assert [item.number for item in found.removing(2).adding(found.items[0]).items] == [0, 1, 3, 4, 5]
    assert [len(row) for row in found.rows] == [1, 1, 1, 1, 1]
    assert [len(row) for row in found.in_columns(2).rows] == [2, 2, 1]
    assert [len(row) for row in found.in_columns(2).removing(0).rows] == [1, 2, 1]
    every = replace(found, items=tuple(replace(item, beside=True) for item in found.items))
    assert [len(row) for row in every.rows] == [BESIDE, 2]


def test_the_player_adds_what_it_shows() -> None:
    payload = LIBRARY.payload("gym-cross", "kick-left")
    assert payload is not None
    panels = ("film strip", "joint curves", "ledger")
    address = "?clip=kick+left&layer=1&head=3&query=cls&person=1&label=bow&frame=4"
    (film, at, _), (joints, *_), (ledger, *_) = (read({"panel": panel, "address": address}, panels) for panel in panels)
    assert seen_from(film, at, payload) == Film(layer=1, query="cls", head=3, points=32, frame=4)
    assert seen_from(joints, at, payload) == Joints(layer=1, query="cls", head=3, person=1)
    assert seen_from(ledger, at, payload) == Ledger(label="bow")
    assert seen_from("space and time", at, payload, 128) == Cube(layer=1, query="cls", head=3, points=128, frame=4)
    # As the player opens: first query, mean of heads, as many points as it draws; of no frame, for the film runs.
    assert seen_from(film, Place(), payload) == Film(query="cls", points=payload["start"]["count"])
    assert seen_from(film, Place(frame=99), payload, 10**6) == Film(query="cls", points=payload["points"]["limits"])
    strange = Place.from_query({"layer": "<b>", "query": "nobody", "label": "swim", "head": "0"})
    assert seen_from(joints, strange, payload) == Joints(query="cls")
    assert seen_from(ledger, strange, payload) == Ledger()
    for said in (None, "film strip", {"panel": "cube", "address": "?"}, {"panel": "ledger", "address": 7}):
        assert read(said, panels) == ("", Place(), None)
    for count, points in (("48", 48), ("0", None), ("-3", None), ("9" * 40, None), ("<b>", None)):
        assert read({"panel": film, "address": f"?points={count}"}, panels) == (film, Place(), points)


def test_a_basket_is_bounded() -> None:
    full = basket(*[Item(Film(), BOW, (CROSS,))] * 60)
    assert len(full.items) == MOST
    assert full.adding(Item(Film(), BOW, (CROSS,))).items == full.items


# ---- The spec and the way back --------------------------------------------------------------------------------------


def test_every_kind_of_panel_comes_back_from_its_spec() -> None:
    taken = ({"kind": "limbs", "limbs": ["left leg"]}, {"kind": "background", "clip": "wave right hand"})
    found = basket(
        Item(Film(layer=2, query="cls", head=1), BOW, (CROSS,), caption="What: a {film} & more", letter="A"),
        Item(Joints(person=1), KICK, (CROSS,)),
        Item(Ledger(label="bow"), BOW, (NONE,), beside=True),
        Item(Cube(), BOW, (CROSS,)),
        Item(Map("integrated gradients", "joints", target="bow", against="a", options={"steps": 8}), BOW, (CROSS,)),
        Item(Trust("ledger", "time", parts=("faithfulness", "sanity")), BOW, (CROSS,)),
        Item(Variants(), BOW, (NONE, CROSS)),
        Item(Order(), KICK, (CROSS,)),
        Item(Without(taken), BOW, (CROSS,)),
        Item(WhoReads(layer=1), KICK, (NONE,)),
        Item(Confusion(("a", "no"), ("a", "no"), ((3, 0), (1, 2)), "Gym"), None, (CROSS,)),
        Item(Agreement(("x", "y"), ((0.0, 0.5), (0.5, 0.0)), ((0.0, 0.1), (0.1, 0.0))), None, (NONE, CROSS)),
        Item(LeaderBoard(BOARD), None, ()),
        Item(Ablation(("none", "cross"), ((0.5, 0.6), (0.8,)), "Table 5"), None, ()),
        width="slide", text=14.0, theme="dark", scale="per clip", dpi=150, caption="All of it: 100 %",
    )  # fmt: skip
    request = request_of(found)
    again, spec = basket_of(request.text, "fig.yaml", LIBRARY, Basket())
    assert again == found
    assert spec.clips["wave right hand"].endswith("wave-right-hand.npz")  # the background travels under its name
    assert request_of(again).text == request.text
    assert spec.height == 7.5


def test_a_figure_of_panels_without_a_clip() -> None:
    found = basket(Item(Confusion(("a",), ("a",), ((3,),), "Gym"), None, (CROSS,)))
    assert found.items[0].title == "confusion matrix, Gym, gym-cross"
    back, _ = basket_of(request_of(found).text, "spec.yaml", LIBRARY, Basket())
    assert back.items == found.items
    alone = basket(Item(LeaderBoard(BOARD, "mass"), None, ()))
    back, _ = basket_of(request_of(alone).text, "spec.yaml", LIBRARY, Basket())
    assert back.items == alone.items


def test_a_clip_of_ones_own_is_found_again_only_in_its_session() -> None:
    own = Item(Film(), Held("my video.mp4", noise_clip()), (CROSS,))
    request = request_of(basket(own))
    assert list(request.clips) == ["kinescope-figure-clips/my video.npz"]
    again, _ = basket_of(request.text, "fig.yaml", LIBRARY, basket(own))
    assert again.items[0].clip is own.clip
    with pytest.raises(FigureError, match=r"^fig\.yaml, line 3: there is no clip 'kinescope-figure-clips/my video"):
        basket_of(request.text, "fig.yaml", LIBRARY, Basket())


def test_things_of_the_same_name_are_told_apart() -> None:
    two = [Held("clip", noise_clip()), Held("clip", noise_clip())]
    nets = [Upload("gym-cross.safetensors", b"a"), Upload("gym-cross.safetensors", b"b")]
    request = request_of(basket(*(Item(Film(), clip, (net,)) for clip, net in zip(two, nets, strict=True))))
    assert list(request.clips.values()) == two
    assert list(request.checkpoints.values()) == nets
    assert len({*request.spec.clips, *request.spec.checkpoints}) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checkpoint: /etc/passwd\nclip: bow.npz\npanels: [film]", "line 1: there is no checkpoint '/etc/passwd' here"),
        ("checkpoint: gym-cross.safetensors\nclip: /etc/shadow\npanels: [film]", "line 2: there is no clip"),
        ("checkpoint: gym-cross.safetensors\nclip: jhmdb:/:../etc\npanels: [film]", "line 2: there is no clip"),
        ("checkpoint: gym-cross.safetensors\nclip: 'gym:bow:-1'\npanels: [film]", "line 2: there is no clip"),
        (
            "checkpoint: gym-cross.safetensors\nclip: bow.npz\npanels: [leader board: {scores: /etc/passwd}]",
            "only assets/leader_board.json",
        ),
        ("checkpoint: gym-cross.safetensors\nclip: bow.npz\njoints: /etc/hosts\npanels: [film]", "line 3: joints"),
        ("clip: bow.npz\npanels: [film]", "no checkpoint"),
        ("checkpoint: gym-cross.safetensors\nclip: bow.npz\npanels: [film: {clip: x}]", "line 3: there is no clip 'x'"),
        ("checkpoint: gym-cross.safetensors\nclip: bow.npz\npanels: [film: {letter: ../x}]", "one to three letters"),
        ("checkpoint: gym-cross.safetensors\nclip: bow.npz\npanels: [film: {letter: b}, film]", "letter 'b'"),
        ("checkpoint: gym-cross.safetensors\nclip: bow.npz\ndpi: 99999\npanels: [film]", "expected 50 to 1200"),
        (
            "checkpoint: gym-cross.safetensors\nclip: bow.npz\nwidth: column\ntext: 30\npanels: [film]",
            "too little room",
        ),
        ("clips: {gym-cross: bow.npz}\ncheckpoint: gym-cross.safetensors\npanels: [film]", "a checkpoint and a clip"),
    ],
)
def test_a_spec_of_a_stranger_opens_nothing_else(text: str, words: str) -> None:
    with pytest.raises(FigureError) as caught:
        basket_of(text, "fig.yaml", LIBRARY, Basket())
    assert words in str(caught.value)
    assert str(caught.value).startswith("fig.yaml, line ")
    assert "\n" not in str(caught.value)


def test_gym_clips_are_drawn_by_name() -> None:
    text = "checkpoint: some/where/gym-cross.safetensors\nclip: gym:bow:3\npanels: [film]"
    found, spec = basket_of(text, "fig.yaml", LIBRARY, Basket())
    assert found.items[0].clip == GymClip("gym:bow:3")
    assert found.items[0].checkpoints == (CROSS,)
    assert request_of(found).spec.clips == {"clip": "gym:bow:3"}
    assert drawn_from(replace(spec, made_from={"clip": "0123"}), found) == (("clip", GymClip("gym:bow:3"), "0123"),)


# ---- The files ------------------------------------------------------------------------------------------------------

NETWORK = random_recognizer(size=32, frames=4, width=4)
CLIP = noise_clip(6, 40, 56, 1)


def opened(found: Basket, kept: Kept | None = None) -> Opened:
    request = request_of(found)
    clips = {text: choice.open() for text, choice in request.clips.items()}
    networks = dict.fromkeys(request.checkpoints, NETWORK)
    return Opened(request, clips, networks, kept or Kept(50, 1 << 28), Turnstile(1))


def small(*options: object, **looks: object) -> Basket:
    held = Held("<b>noise</b>", CLIP)
    return basket(*(Item(each, held, (CROSS,)) for each in options), **{"dpi": 72, **looks})


def test_everything_in_the_bundle_agrees() -> None:
    panels = (Film(points=5, frames=3, head=2), Ledger(), Map("joint removal", frames=2))
    found = opened(small(*panels, caption="Two\nlines"))
    steps: list[tuple[int, int]] = []
    shown = preview(found, lambda done, total: steps.append((done, total)))
    assert all(0 <= done <= total for done, total in steps)
    assert len({done for done, _ in steps}) > 3
    rest = files(found, shown.png, lambda done, total: None)
    archive = zipfile.ZipFile(io.BytesIO(rest.bundle))
    assert archive.testzip() is None
    read = {
        name.partition("/")[2]: archive.read(name)
        for name in archive.namelist()
        if name.startswith("kinescope-figure/")
    }
    assert read["figure.png"] == shown.png
    assert read["figure.pdf"] == rest.pdf
    about = json.loads(read["manifest.json"])
    assert about["command"] == "python -m xai figure kinescope-figure/spec.yaml"
    assert about["checkpoints"]["gym-cross"]["card"]["labels"] == list(NETWORK.card.labels)
    assert about["checkpoints"]["gym-cross"]["hash"] == NETWORK.checkpoint
    assert about["clip"]["hash"] == CLIP.fingerprint
    assert "/tmp" not in read["manifest.json"].decode() + rest.spec
    numbers = np.load(io.BytesIO(read["numbers.npz"]))
    evidence = gather_evidence(NETWORK, CLIP)
    np.testing.assert_array_equal(numbers["b.ledger.part of the logit"], evidence.ledger.values[evidence.top])
    asked = explain(NETWORK, CLIP, "joint removal")
    np.testing.assert_allclose(numbers[f"c.joint map.{asked.unit}"], asked.values, atol=1e-6)
    points = evidence.sampling_points
    assert points is not None
    head = points.values.take(1, points.axis("head"))[-1]
    mass = np.sort(head.reshape(-1, head.shape[-1]).mean(0))[::-1]
    np.testing.assert_allclose(numbers["a.sampling points.attention mass"], mass[:5], rtol=1e-5)
    caption = read["caption.txt"].decode()
    assert "head 2" in caption
    assert "never trained" in caption
    own = [name for name in archive.namelist() if name.startswith("kinescope-figure-clips/")]
    assert len(own) == 1
    assert rest.spec.splitlines()[2].endswith(own[0])
    # The same request is the same files, from what is kept.
    again = opened(small(*panels, caption="Two\nlines"), found.kept)
    assert files(again, shown.png, lambda done, total: None).bundle == rest.bundle


def test_the_card_is_inside_every_picture() -> None:
    found = opened(small(Ledger()))
    shown = preview(found, lambda done, total: None)
    rest = files(found, shown.png, lambda done, total: None)
    sentence = f"Checkpoint gym-cross (random), {NETWORK.checkpoint}: was never trained"
    assert sentence in Image.open(io.BytesIO(shown.png)).text["Description"]  # type: ignore[attr-defined]
    assert sentence in "".join(ElementTree.fromstring(rest.svg).itertext())
    assert NETWORK.checkpoint.encode() in rest.pdf or NETWORK.checkpoint.encode("utf-16-be") in rest.pdf
    assert NETWORK.checkpoint in card_of(NETWORK)


def test_a_slide_is_a_slide_and_text_is_as_large_as_asked() -> None:
    slide = preview(opened(small(Ledger(), width="slide", text=14.0)), lambda done, total: None)
    assert slide.inches == pytest.approx((40 / 3, 7.5))
    assert slide.text == 14
    pixels = cv2.imdecode(np.frombuffer(slide.png, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape[:2] == (540, 960)
    many = preview(opened(small(*[Ledger()] * 8, width="slide", text=14.0)), lambda done, total: None)
    assert many.inches == pytest.approx((40 / 3, 7.5))
    assert many.text < 14
    column = preview(opened(small(Ledger(), width="wide column", text=9.0)), lambda done, total: None)
    assert column.inches[0] == 3.5


def test_break_it_and_the_order_test_on_paper() -> None:
    """Nothing lies over anything, in a column with large text too; the parts add up before and now."""
    taken = ({"kind": "joints", "joints": ["neck", "belly"]}, {"kind": "thin", "count": 2})
    for width, text in (("page", 7.0), ("column", 9.0)):
        found = opened(small(Without(taken), Order(), width=width, text=text))
        composed = compose(found.request.spec, Served(found.request.spec, found, lambda done, total: None))
        assert collisions(composed.figure) == []
    (answers, ledger, frames), (orders,) = (drawn.tables for _, _, drawn in composed.panels)
    parts = ledger.values["part of the logit"]
    rerun = Rerun.of(NETWORK, CLIP)
    for number, removals in enumerate(((), from_json(json.dumps(taken)))):
        said = predict_with(rerun, None, removals)
        np.testing.assert_allclose(answers.values["probability"][:, number], said.probabilities, atol=1e-6)
        target = int(predict_with(rerun, None, ()).logits.argmax())
        assert parts[number].sum() == pytest.approx(said.logits[target], abs=1e-4)
    assert len(frames.values["frame of the clip"]) == 2
    assert orders.values["probability"].shape == (1, 4)
    assert "neck" in composed.panels[0][2].caption


@pytest.mark.parametrize(
    ("panel", "words"),
    [
        (Film(layer=9), "Panel b: layer is 9, and the network has 2."),
        (Joints(head=9), "Panel b: head is 9"),
        (Map("no such"), "Panel b: There is no method 'no such'"),
        (
            Map("integrated gradients", options={"steps": 10**9}),
            "steps is 1000000000; expected more than 0 and at most",
        ),
        (Trust("ledger", orders=10**6), "trust: orders is 1000000"),
        (Without(({"kind": "joints", "joints": ["tail"]},)), "Panel b: There is no joint 'tail' here"),
        (Without(({"kind": "background", "clip": "nowhere"},)), "nowhere"),
    ],
)
def test_what_cannot_be_drawn_names_its_panel(panel: object, words: str) -> None:
    with pytest.raises(FigureError) as caught:
        preview(opened(small(Ledger(), panel)), lambda done, total: None)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_pixels_are_refused() -> None:
    with pytest.raises(FigureError, match="million pixels"):
        preview(opened(small(*[Ledger()] * 12, width="slide", dpi=1200)), lambda done, total: None)


def test_a_cancelled_figure_ends_at_the_next_report() -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        preview(opened(small(Ledger())), stop)


@pytest.mark.parametrize("kind", ["WebP", "GIF", "WebM"])
def test_films_are_read_back(kind: str) -> None:
    """One of the points, one of a map; the WebP and the GIF say which checkpoint it was."""
    panel = Map("joint removal") if kind == "GIF" else Film(points=4)
    found = animate(opened(small(panel)), kind, 60, 0.5, "dark", lambda done, total: None)  # type: ignore[arg-type]
    assert (found.frames, found.width) == (4, 216)
    if kind == "WebM":
        assert found.data[:4] == b"\x1a\x45\xdf\xa3"
        return
    film = Image.open(io.BytesIO(found.data))
    assert (film.n_frames, film.size) == (4, (found.width, found.height))  # type: ignore[attr-defined]
    said = film.info["xmp"] if kind == "WebP" else film.info["comment"]
    assert NETWORK.checkpoint.encode() in said
    durations = []
    for frame in range(4):
        film.seek(frame)
        film.load()
        durations.append(film.info["duration"])
    assert sum(durations) == pytest.approx(1000 * found.seconds, abs=40)


def test_the_report_names_the_card_and_escapes_what_strangers_wrote() -> None:
    hostile = replace(CLIP, name="<script>alert(1)</script>")
    page = report(
        NETWORK, hostile, ("clip.npz", "net.safetensors"), ["ledger"], [], Kept(9, 1 << 26), lambda d, t: None
    )
    text = page.decode()
    assert "<script>alert(1)" not in text
    assert "model card" in text
    assert f"{NETWORK.checkpoint}: was never trained" in text
    assert "python -m xai report clip.npz --checkpoint net.safetensors" in text


def test_latex_finds_no_command_in_a_caption() -> None:
    assert escaped(r"50% of a_b & \input{x} −1") == r"50\% of a\_b \& \textbackslash{}input\{x\} $-$1"
    lines = include("Figure. (a) All of it.\n", 3.25)
    assert lines.startswith("\\begin{figure}[t]")
    assert r"\includegraphics[width=\columnwidth]{figure.pdf}" in lines
    assert r"\caption{(a) All of it.}" in lines
    assert include("x", 6.75).startswith("\\begin{figure*}")


# ---- The page -------------------------------------------------------------------------------------------------------


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception, app.exception
    return app


def drawn(app: AppTest, seconds: float = 240) -> AppTest:
    """Ask again until the files are there."""
    deadline = time.monotonic() + seconds
    while not any("The bundle holds" in each.value for each in app.caption):
        assert time.monotonic() < deadline, [each.value for each in (*app.error, *app.warning)]
        time.sleep(0.5)
        app.run()
        assert not app.exception, app.exception
        assert not app.error, [each.value for each in app.error]
    return app


def test_nothing_yet_is_one_click_from_a_figure() -> None:
    app = run_app(PAGE)
    assert not app.exception
    assert "0 panels" in app.markdown[0].value
    press(app, "Start with the demo clip")
    assert [item.kind for item in app.session_state[KEY].items] == [item.kind for item in first_figure()]
    drawn(app)
    assert "4 panels" in app.markdown[0].value
    assert any("gym\\-cross" in each.value and "drawn in" in each.value for each in app.caption)
    assert "\\begin{figure*}" in app.code[0].value
    press(app, "Remove all")
    assert app.session_state[KEY] == Basket()


def test_order_captions_and_looks_are_the_baskets() -> None:
    app = AppTest.from_file(str(ROOT / PAGE), default_timeout=60)
    app.session_state[KEY] = basket(Item(Ledger(), BOW, (CROSS,)), Item(Film(), BOW, (CROSS,)))
    app.run()
    assert not app.exception
    next(button for button in app.button if button.label == "Down").click().run()
    assert [item.kind for item in app.session_state[KEY].items] == ["film", "ledger"]
    app.text_area(key="caption 0").input("Parts of\nthe answer ").run()
    app.checkbox(key="beside 0").check().run()
    app.selectbox(key="figure width").select("slide").run()
    found = app.session_state[KEY]
    assert found.items[1].caption == "Parts of the answer"
    assert (found.width, found.text) == ("slide", 14.0)
    assert [len(row) for row in found.rows] == [2]
    app.text_input(key="letter 0").input("a!").run()
    assert "expected one to three letters" in app.error[0].value.replace("\\", "")
    next(button for button in app.button if button.label == "Remove").click().run()
    assert [item.kind for item in app.session_state[KEY].items] == ["ledger"]


def test_a_figure_that_is_drawn_at_once_says_what_its_panels_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cards stand before the figure on the page, and show its captions without another click."""
    monkeypatch.setattr("xai.dashboard.methods_panel.AT_ONCE", 240.0)
    app = AppTest.from_file(str(ROOT / PAGE), default_timeout=300)
    app.session_state[KEY] = basket(Item(Film(frame=3), KICK, (CROSS,)))
    app.run()
    assert not app.exception
    assert app.text_area(key="caption 0").placeholder.startswith("Frames ")


def test_a_spec_is_loaded_and_a_wrong_one_is_a_sentence() -> None:
    app = run_app(PAGE)
    text = "checkpoint: gym-none.safetensors\nclip: bow.npz\nmade_from: {clip: '0000'}\npanels: [ledger: {letter: Q}]\n"
    app.get("file_uploader")[0].set_value(("fig.yaml", text.encode(), "application/yaml")).run()
    assert not app.exception, app.exception
    (item,) = app.session_state[KEY].items
    assert (item.kind, item.letter, item.checkpoints) == ("ledger", "Q", (NONE,))
    drawn(app)
    assert any("was drawn from 0000" in each.value for each in app.warning)
    assert not any("never trained" in each.value for each in app.markdown)  # the checkpoint that is named was
    app.get("file_uploader")[0].set_value(("<b>.yaml", b"panels: [flim]", "application/yaml")).run()
    assert not app.exception
    assert "did you mean 'film'" in app.error[0].value.replace("\\", "")
    assert "<b>" not in app.error[0].value.replace("\\<b\\>", "")
    assert app.session_state[KEY].items[0].letter == "Q"


def test_what_a_page_has_measured_is_not_measured_again() -> None:
    """The map and its trust come from the jobs of the server, and the numbers of the figure are theirs."""
    recognizer, clip = NETWORK, CLIP
    asked = explain(recognizer, clip, "ledger", on="time")
    report_ = measure(recognizer, clip, asked, orders=4)
    panel = Trust("ledger", "time", parts=PARTS)
    found = opened(small(panel))
    spec = found.request.spec
    sources = Served(spec, found, lambda done, total: None)
    sources.give(spec.rows[0][0].options, trusted(asked, report_))
    composed = compose(spec, sources)
    table = composed.panels[0][2].tables[0]
    assert report_.faithfulness is not None
    np.testing.assert_array_equal(table.values["deletion"], report_.faithfulness.deletion)
    np.testing.assert_array_equal(table.values["random_deletion"], report_.faithfulness.random_deletion.mean(0))


@pytest.mark.parametrize(
    ("page", "query", "labels"),
    [
        ("tokens", {}, {"Add to figure"}),
        ("break_it", {"clip": "kick left", "without": '[{"kind":"limbs","limbs":["left leg"]}]'}, {"Add to figure"}),
        ("trust", {"clip": "kick left", "compare": "true", "method_left": "ledger", "method_right": "ledger"},
         {"Add to figure"}),
    ],
)  # fmt: skip
def test_every_view_has_its_button(page: str, query: dict[str, str], labels: set[str]) -> None:
    app = run_app(f"xai/dashboard/pages/{page}.py", **query)
    assert not app.exception, app.exception
    buttons = [button for button in app.button if button.key and button.key.startswith("add ")]
    assert {button.label for button in buttons} >= labels
    for count in range(len(buttons)):
        [button for button in app.button if button.key and button.key.startswith("add ")][count].click().run()
        assert not app.exception, app.exception
        assert len(app.session_state[KEY].items) == count + 1
        assert app.toast, "nothing was said"
    request_of(app.session_state[KEY])


def test_a_lesson_has_its_buttons() -> None:
    app = run_app("xai/dashboard/pages/lessons.py", lesson="tokens")
    assert not app.exception, app.exception
    said = [json.loads(each.proto.json or "{}") for each in app.get("bidi_component")]
    assert {"panels": ["film strip", "joint curves", "ledger", "space and time"]} in said
    presented = run_app("xai/dashboard/pages/lessons.py", lesson="tokens", present="1")
    assert not any("panels" in json.loads(each.proto.json or "{}") for each in presented.get("bidi_component"))
