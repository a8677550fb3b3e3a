"""Break it: what is taken away and given back, links of friends and strangers, and the changed pass itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.test_dashboard import run_app
from training.clip import Clip
from training.clip_file import load_clip
from xai.dashboard.break_controls import Scene, dragged
from xai.dashboard.breaking import Answer, History, answer_html, ledger_chart, ledger_html, sentence, stage
from xai.dashboard.changed import ByName, change, changed_payload
from xai.dashboard.film import Film
from xai.dashboard.film_points import Points
from xai.dashboard.kept import size_of
from xai.dashboard.library import open_library
from xai.dashboard.shown import plain
from xai.evidence import gather_evidence
from xai.figures.player import player_payload
from xai.removal import (
    Background,
    Joints,
    Modality,
    Offsets,
    Region,
    Thin,
    TimeOrder,
    Tokens,
    from_json,
    predict_with,
)
from xai.removal_words import in_words
from xai.rerun import Rerun

PAGE = "xai/dashboard/pages/break_it.py"


def open_page(**query: str) -> AppTest:
    app = run_app(PAGE, **query)
    assert not app.exception, app.exception
    return app


@pytest.mark.parametrize(
    ("x", "y", "region"),
    [
        ((-3, 99), (-0.5, 59.5), (0, 0, 90, 60)),  # all of it and more
        ((10.6, 19.4), (5.4, 7.6), (11, 6, 9, 2)),
        ((30, 20), (40, 40), (20, 40, 10, 1)),  # drawn from right to left, and flat
        ((89.4, 89.45), (58, 59.4), (89, 58, 1, 2)),
    ],
)
def test_a_drag_covers_the_pixels_whose_centres_are_inside(x: tuple, y: tuple, region: tuple) -> None:
    assert dragged({"x": x, "y": y}, (60, 90)) == region


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception, app.exception
    return app


def link(app: AppTest) -> list[dict[str, object]]:
    text = app.query_params.get("without", ["[]"])
    return list(json.loads(text[0] if isinstance(text, list) else text))


# ---- History --------------------------------------------------------------------------------------------------------


def test_undo_and_redo_go_the_same_way_back() -> None:
    one = History().adding({"kind": "offsets"})
    two = one.adding({"kind": "thin", "count": 3})
    assert [each["kind"] for each in two.removals] == ["offsets", "thin"]
    assert two.undo().now == one.now
    assert two.undo().undo().now == ""
    assert two.undo().redo() == two
    assert two.undo().adding({"kind": "order", "order": "reverse"}).redo().removals[-1]["kind"] == "order"
    assert History().undo() == History().redo() == History()
    assert two.dropping(0).removals == [{"kind": "thin", "count": 3}]
    assert two.dropping(0).dropping(0).now == ""


@pytest.mark.parametrize("text", ["no json", '{"kind":"thin"}', "[" * 5000, "7"])
def test_a_text_that_is_no_list_holds_no_removals(text: str) -> None:
    assert History().do(text).removals == []
    assert History().do(text).adding({"kind": "offsets"}).removals == [{"kind": "offsets"}]


# ---- The changed pass -----------------------------------------------------------------------------------------------


def test_the_player_of_a_changed_clip_shows_the_answer_of_the_changed_pass() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    rerun = Rerun.of(recognizer, clip)
    for removals in (
        (Joints(("neck",)),),
        (Region(5, 5, 20, 20, how="mean"), TimeOrder("reverse")),
        (Tokens(("pose",)), Offsets()),
        (Thin(2),),
    ):
        changed = change(rerun, removals, {})
        said = predict_with(rerun, None, removals)
        assert (changed.prediction.logits == said.logits).all()
        payload = changed_payload(rerun, changed)
        assert payload["classes"][0]["probability"] == pytest.approx(said.probabilities.max(), abs=1e-5)
        assert payload["clip"]["source"] == changed.shown.index.tolist()
    untouched = change(rerun, (), {}).prediction
    assert (untouched.logits == recognizer(clip).logits).all()


def test_words_count_as_the_page_does() -> None:
    index = np.array([0, 2, 3, 5])
    assert in_words(Joints(("neck",), frames=(2, 3)), index) == "neck not detected in frames 2-3"
    assert (
        in_words(Joints(("neck",), frames=(1,)), index) == "neck not detected in frames that the network does not read"
    )
    assert in_words(Offsets((0, 1)), index) == "no offsets in block 1 and 2"
    assert in_words(Thin(2), index) == "2 frames read"
    rerun = Rerun.of(random_recognizer(), noise_clip())
    changed = change(rerun, (TimeOrder("reverse"),), {})
    assert changed.numbers == (5, 4, 3, 2, 1)
    assert changed.words == ("backwards",)
    assert len(rerun.clip) > 5
    gone = Joints(("neck",), frames=(int(rerun.index[1]),))
    assert change(rerun, (gone,), {}).words == ("neck not detected in frame 2",)
    changed = change(rerun, (gone, Thin(24)), {})  # then the films count the clip
    assert changed.words == (f"neck not detected in frame {rerun.index[1] + 1}", f"{len(rerun.clip)} frames read")
    assert changed.numbers == tuple(range(1, len(rerun.clip) + 1))
    lost = (changed.before.score > 0) & (changed.shown.clip.score == 0)
    (unseen,) = np.flatnonzero(lost[:, :, rerun.clip.layout.joints.index("neck")].any(1))
    assert changed.numbers[unseen] == rerun.index[1] + 1


def small_person() -> Clip:
    """Noise in which the joints fill the middle of the frame, so that the square around them lies in it."""
    clip = noise_clip()
    return replace(clip, joints=(0.3 * clip.joints + [44, 20]).astype(np.float32))


def test_words_say_what_the_square_around_the_joints_leaves_out() -> None:
    known, clip = random_recognizer(), small_person()
    around = Rerun.of(replace(known, card=replace(known.card, fit="person")), clip)
    left = around.view.box()[:, 0].min()
    assert left > 3
    outside, inside = Region(0, 0, 3, 200), Region(0, 0, int(left) + 4, 200)
    words = change(around, (outside, inside, Modality("pose"), Modality("rgb")), {}).words
    assert words[0].endswith(", outside what the network sees")
    assert "outside" not in words[1]
    assert words[2:] == ("no joints (they still choose the square that the network sees)", "no pictures")
    whole = change(Rerun.of(known, clip), (outside, Modality("pose")), {}).words
    assert (words[0].startswith(whole[0]), whole[1]) == (True, "no joints")


def test_an_answer_does_not_hold_the_clips_whose_background_could_be_pasted() -> None:
    opened: list[str] = []
    rerun, clip = Rerun.of(random_recognizer(), noise_clip()), noise_clip()

    def other() -> Clip:
        opened.append("other")
        return replace(noise_clip(seed=1), person_mask=np.zeros(clip.frames.shape[:3], bool))

    others = ByName({"other": other})
    changed = change(rerun, (Joints(("neck",)),), others)
    assert size_of(changed) < size_of(change(rerun, (Joints(("neck",)),), {})) + 1000
    assert opened == []
    masked = Rerun.of(random_recognizer(), replace(clip, person_mask=np.ones(clip.frames.shape[:3], bool)))
    assert change(masked, (Background("other"),), others).shown.others == {}
    assert opened == ["other"]


def test_films_are_dark_where_the_network_does_not_look() -> None:
    known, clip = random_recognizer(), small_person()
    around = replace(known, card=replace(known.card, fit="person"))
    payload = player_payload(gather_evidence(around, clip))
    film = Film.of_payload(payload)
    height, width = clip.size
    low, high = around.view(clip).box().min(0) + 0.5, around.view(clip).box().max(0) + 0.5
    wanted = np.clip([low[0] / width, low[1] / height, high[0] / width, high[1] / height], 0, 1)
    assert np.array(film.seen) == pytest.approx(wanted, abs=1e-5)
    bright = np.full_like(film.frames, 200)
    image = replace(film, frames=bright).picture(0, max(film.frames.shape[1:3]))
    edges = (np.array(film.seen) * np.tile(image.shape[1::-1], 2)).round().astype(int)
    inside = np.zeros(image.shape[:2], bool)
    inside[edges[1] : edges[3], edges[0] : edges[2]] = True
    assert 0 < inside.sum() < inside.size
    assert (image[inside] == 200).all()
    assert (image[~inside] < 100).all()
    middle = Film.of_payload(player_payload(gather_evidence(known, clip))).seen
    assert middle == pytest.approx((1 / 6, 0, 5 / 6, 1))


def test_clips_by_name_are_opened_when_asked_for() -> None:
    opened: list[str] = []

    def open_clip(name: str) -> object:
        opened.append(name)
        return noise_clip()

    clips = ByName({name: partial(open_clip, name) for name in ("bow", "kick")})  # type: ignore[arg-type]
    assert "bow" in clips
    assert list(clips) == ["bow", "kick"]
    assert opened == []
    assert len(clips["kick"]) == 9
    assert opened == ["kick"]


def test_the_ledger_of_the_page_adds_up_and_labels_bring_no_markup() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    before = Answer.of_payload(player_payload(gather_evidence(recognizer, clip)))
    rerun = Rerun.of(recognizer, clip)
    now = Answer.of_prediction(change(rerun, (Joints(("neck", "belly")),), {}).prediction)
    same = Answer.of_prediction(change(rerun, (), {}).prediction)
    assert before.top == same.top
    for label, logit in same.logits.items():
        assert before.logits[label] == pytest.approx(logit, abs=1e-4)
        bias = logit - np.sum(same.parts[label])
        assert np.sum(now.parts[label]) + bias == pytest.approx(now.logits[label], abs=1e-4)
    html = ledger_html(before, now, before.top)
    assert f"{before.logits[before.top]:+.2f}".replace("-", "−") in html
    hostile = Answer({"<b>x</b>": 1.0}, {"<b>x</b>": 1.0}, ("cls",), {"<b>x</b>": [[1.0]]})
    assert "<b>x" not in answer_html(hostile, None)
    assert "<b>" not in sentence(hostile, None, plain).replace("\\<b\\>", "")


def test_a_frame_of_another_order_stands_beside_itself_in_the_chart() -> None:
    before = Answer({"a": 1.0}, {"a": 6.0}, ("cls",), {"a": [[1.0, 2.0, 3.0]]})
    now = Answer({"a": 1.0}, {"a": 6.0}, ("cls",), {"a": [[3.1, 2.1, 1.1]]})
    same, turned = (ledger_chart(before, now, "a", numbers) for numbers in ((1, 2, 3), (3, 2, 1)))
    assert (list(same.data[1].x), same.layout.xaxis.title.text) == ([1, 2, 3], "frame")
    assert dict(zip(turned.data[1].x, turned.data[1].y, strict=True)) == {1: 1.1, 2: 2.1, 3: 3.1}
    assert list(turned.data[0].x) == [1, 2, 3]
    assert "another order" in turned.layout.xaxis.title.text
    fewer = ledger_chart(before, Answer({"a": 1.0}, {"a": 2.0}, ("cls",), {"a": [[1.0, 1.0]]}), "a", (1, 9))
    assert list(fewer.data[1].x) == [1, 2]
    assert "k-th" in fewer.layout.xaxis.title.text


def test_answers_stand_in_the_order_of_the_last_one() -> None:
    before = Answer({"a": 0.9, "b": 0.06, "c": 0.04}, {}, (), {})
    now = Answer({"a": 0.37, "b": 0.12, "c": 0.51}, {}, (), {})
    shown = [re.findall(r'class="label">(\w)', answer_html(before, each)) for each in (None, now)]
    assert shown == [["a", "b", "c"], ["c", "a", "b"]]


def test_a_joint_lies_on_the_stage_where_it_lies_in_the_clip() -> None:
    clip = noise_clip()
    film = Film.of_clip(clip)
    small = Film(film.frames[:, ::2, ::2], (film.joints - 0.5) / 2, film.score, film.bones, film.limb_of, film.names)
    figure = stage(small, 3, clip.size, small, None)
    dots = figure.data[0]
    assert list(dots.customdata[0]) == ["neck", 0]
    assert (dots.x[0], dots.y[0]) == pytest.approx(clip.joints[3, 0, 0], abs=1e-3)
    assert figure.layout.images[0].sizex == clip.size[1]


def test_joints_that_were_taken_away_are_ringed_in_their_own_frame() -> None:
    """Also where the order is another one, and where frames are missing."""
    clip = noise_clip()
    rerun = Rerun.of(random_recognizer(), clip)
    untouched = Film.of_clip(rerun.seen)
    for order in (TimeOrder("reverse"), Thin(2), Thin(8)):
        changed = change(rerun, (Joints(("neck",)), order), {})
        same = Film.of_clip(changed.before, changed.numbers)
        if not changed.other_frames:
            again = untouched.take([number - 1 for number in changed.numbers])
            assert again.numbers == same.numbers
            assert (again.frames == same.frames).all()
        now = Film.of_clip(changed.shown.clip, changed.numbers)
        assert same.numbers == now.numbers
        assert same.joints == pytest.approx(now.joints)
        assert (same.frames == now.frames).all()


def test_the_scene_offers_what_clip_and_network_have() -> None:
    library = open_library()
    payload = library.payload("gym-none", "hand-over")
    assert payload is not None
    scene = Scene.of(payload, clip := load_clip(library.clip("hand-over").path), ("bow",))
    assert (scene.mask, scene.length) == (True, len(clip))
    assert not Scene.of(payload, replace(clip, person_mask=None), ()).mask
    assert scene.people == (0, 1)
    assert scene.tokens == ("patches", "joints")
    assert scene.frames(1, 12) is None
    assert scene.frames(2, 3) == list(scene.numbers[1:3])


def test_points_lie_where_the_pass_read_and_the_film_shows_them() -> None:
    recognizer, clip = random_recognizer(), noise_clip()
    evidence = gather_evidence(recognizer, clip)
    assert evidence.sampling_points is not None
    untouched = change(Rerun.of(recognizer, clip), (), {}).points
    stored = Points.of_payload(player_payload(evidence))
    assert len(untouched) == len(stored) == recognizer.network.config.layers
    for mine, its in zip(untouched, stored, strict=True):
        assert mine.place == pytest.approx(its.place, abs=0.02)
        assert mine.mass == pytest.approx(its.mass, abs=1e-3)
    still = change(Rerun.of(recognizer, clip), (Offsets(),), {}).points[-1]
    assert still.place == pytest.approx(still.reference, abs=1e-4)
    one = Points(np.array([[2.2, 30.0, 20.0]]), np.array([[2.0, 30.0, 20.0]]), np.ones(1))
    film = Film.of_clip(clip)
    images = [np.zeros_like(frame) for frame in film.frames]
    one.draw(images, film, clip.size[1])
    assert [bool(image.any()) for image in images[:4]] == [False, False, True, False]
    assert images[2][20, 30].any()
    assert change(Rerun.of(random_recognizer(deformable="off"), clip), (), {}).points == ()


# ---- The page -------------------------------------------------------------------------------------------------------


def test_take_away_undo_redo_reset_and_link() -> None:
    app = open_page(clip="kick left")
    assert "Take something away" in app.markdown[0].value
    app.session_state["limbs chosen"] = ["left leg"]
    app.run()
    press(app, "Take limbs away")
    assert link(app) == [{"kind": "limbs", "limbs": ["left leg"]}]
    assert any(m.value.endswith("left leg not detected") for m in app.markdown)
    assert "says" in app.markdown[0].value
    assert "Take something away" not in app.markdown[0].value
    press(app, "Take all joints away, in all frames")
    assert [each["kind"] for each in link(app)] == ["limbs", "modality"]
    press(app, "Undo")
    assert [each["kind"] for each in link(app)] == ["limbs"]
    press(app, "Redo")
    press(app, "Drop")  # the first one
    assert [each["kind"] for each in link(app)] == ["modality"]
    press(app, "Reset")
    assert link(app) == []
    assert "Take something away" in app.markdown[0].value
    press(app, "Undo")
    assert [each["kind"] for each in link(app)] == ["modality"]


def test_an_address_that_is_older_than_the_last_click_takes_nothing_back() -> None:
    app = open_page(clip="kick left")
    press(app, "Take all joints away, in all frames")
    del app.query_params["without"]  # what a browser sends that has not yet heard of the new address
    app.run()
    assert [each["kind"] for each in link(app)] == ["modality"]
    app.query_params["without"] = '[{"kind":"offsets"}]'
    app.run()
    assert [each["kind"] for each in link(app)] == ["offsets"]
    press(app, "Undo")
    assert [each["kind"] for each in link(app)] == ["modality"]


def test_what_a_link_says_is_done() -> None:
    without = '[{"kind":"limbs","limbs":["left arm"],"people":[1]},{"kind":"background","clip":"bow"}]'
    app = open_page(clip="hand over", without=without)
    said = [m.value for m in app.markdown]
    assert "1\\. left arm of person 2 not detected" in said
    assert "2\\. before the background of bow" in said
    app.toggle(key="watch").set_value(True).run()
    assert not app.exception, app.exception
    payload = json.loads(app.get("bidi_component")[-1].proto.json)
    assert [reading["model"]["name"] for reading in payload["readings"]] == ["Untouched", "Now"]


def test_a_thinned_clip_has_a_stage_and_a_player_of_its_own() -> None:
    app = open_page(clip="kick left", without='[{"kind":"thin","count":1}]')
    press(app, "Undo")
    press(app, "Redo")
    app.toggle(key="watch").set_value(True).run()
    assert not app.exception, app.exception
    payload = json.loads(app.get("bidi_component")[-1].proto.json)
    assert [reading["clip"]["frames"] for reading in payload["readings"]] == [1]


@pytest.mark.parametrize(
    ("without", "sentence_"),
    [
        ("no json at all", "no JSON"),
        ('{"kind":"thin","count":2}', "JSON list"),
        ('[{"kind":"rm -rf"}]', "no removal"),
        ('[{"kind":"joints","joints":["tail"]}]', "no joint 'tail'"),
        ('[{"kind":"thin","count":1e999}]', "number"),
        ('[{"kind":"background","clip":"../../etc/passwd"}]', "no other clip"),
        ("[" * 30000, "JSON"),
    ],
)
def test_hostile_links_end_in_a_sentence_and_the_page_goes_on(without: str, sentence_: str) -> None:
    app = open_page(clip="kick left", without=without)
    assert sentence_ in app.error[0].value.replace("\\", "")
    press(app, "Reset")
    assert not app.error


def test_every_kind_of_removal_has_a_button_that_makes_it() -> None:
    """Whatever the controls write, `from_json` reads."""
    app = open_page(clip="hand over")
    made: set[str] = set()
    app.session_state["people chosen"] = [1]
    app.session_state["joints chosen"] = ["neck"]
    for what in ("Joints", "Region", "Background", "Frames", "Inside"):
        app.session_state["what"] = what
        if what == "Frames":
            app.run()
            app.session_state["thin"] = 5  # it stands at what is read now, which there is no use in asking for
        app.session_state["in_frames"] = (3, 5)
        app.session_state["tokens chosen"] = ["pose"]
        app.run()
        labels = [b.label for b in app.button if not b.disabled and b.label not in ("Undo", "Redo", "Reset", "Drop")]
        for label in labels:
            press(app, label)
            assert not app.error, (label, [e.value for e in app.error])
            made |= {str(each["kind"]) for each in link(app)}
            assert from_json(json.dumps(link(app)))
            press(app, "Reset")
            app.session_state["what"] = what
    assert made == {
        "joints", "people", "frames", "region", "ground", "background", "modality", "tokens", "offsets", "order",
        "thin",
    }  # fmt: skip


def test_a_network_that_sees_pixels_only_is_offered_no_joints() -> None:
    app = open_page(clip="sit down", checkpoint="gym-msca-kv")
    app.session_state["what"] = "Joints"  # as another network left it
    app.run()
    assert not app.exception
    assert app.session_state["what"] == "Region"
    assert not [b for b in app.button if "joint" in b.label.lower()]


def test_more_frames_than_usual_are_read_and_the_link_says_where_the_page_stands() -> None:
    app = open_page(clip="kick left", without='[{"kind":"thin","count":16}]', at="15", points="1")
    assert not app.error
    assert app.slider(key="at").value == 15
    assert app.slider(key="at").max == 16
    assert any("which has 16" in caption.value for caption in app.caption)
    order = [element.label for element in app.selectbox]
    assert "What adds up to the logit of" in order
    app = open_page(clip="kick left", at="99")
    assert 1 <= app.slider(key="at").value <= 12


def test_the_frames_to_read_begin_at_what_is_read_now() -> None:
    app = open_page(clip="kick left")
    app.session_state["what"] = "Frames"
    app.run()
    assert app.slider(key="thin").value == 12
    assert app.button(key="take thin").disabled
    app.slider(key="thin").set_value(6).run()
    press(app, "Read 6 frames")
    assert app.slider(key="thin").value == 6
    press(app, "Undo")
    assert app.slider(key="thin").value == 12


def test_a_clip_of_a_data_set_can_have_its_background_exchanged() -> None:
    app = open_page(source="Data", set="Gym", split="test", number="1")
    app.session_state["what"] = "Background"
    app.run()
    assert not app.info
    press(app, "Paste it behind the people")
    assert not app.error
    assert [each["kind"] for each in link(app)] == ["background"]
