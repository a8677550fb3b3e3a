"""Maps on a page: drawn where they are, on a scale that says what it is, in the player's hues."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.xai.clips import noise_clip
from training.clip import Clip
from xai.dashboard import maps
from xai.dashboard.film import Film, at, skeleton_pictures, strip_html
from xai.dashboard.library import open_library
from xai.dashboard.maps import Map, Scale, digits
from xai.explanation import Axis, Explanation, MadeBy
from xai.trust import TrustReport

MADE_BY = MadeBy("c", "d", "m", {"size": [48, 48], "target": "a"})
BOX = np.array([[14.5, -0.5], [74.5, -0.5], [74.5, 59.5], [14.5, 59.5]])  # the middle 60 x 60 of 60 x 90


def pixels(values: np.ndarray, base: float = 0.0, unit: str = "logit") -> Explanation:
    axes = (Axis("frame"), Axis("y"), Axis("x"))
    return Explanation(
        "pixel map", values.astype(np.float32), axes, unit, MADE_BY, np.float32(base) * np.ones(1), "nothing",
        companions={"box": BOX},
    )  # fmt: skip


def joints(values: np.ndarray, clip: Clip, base: float = 0.0) -> Explanation:
    axes = (Axis("frame"), Axis("person"), Axis("joint", clip.layout.joints))
    about = "taking away one joint picked at random"
    return Explanation("joint map", values.astype(np.float32), axes, "logit", MADE_BY, np.full(1, base), about)


def grey_clip() -> Clip:
    clip = noise_clip(frames=5)
    return replace(clip, frames=np.full_like(clip.frames, 128))


def test_a_cell_is_drawn_where_it_lies_in_the_clip() -> None:
    clip, values = grey_clip(), np.zeros((5, 6, 6))
    values[2, 1, 4] = 1.0  # the view's cells are 10 pixels of the clip wide: x 54.5 ... 64.5, y 9.5 ... 19.5
    shown = Map.of(pixels(values), signed=False)
    scale = Scale.of([shown], per_clip=False)
    film = Film.of_clip(clip)
    image = maps.picture(shown, film, 2, scale, side=180)
    assert image.shape == (120, 180, 3)
    plain = maps.picture(shown, film, 1, scale, side=180)
    changed = (image != plain).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (rows[0], rows[-1]) == pytest.approx((20, 39), abs=1)
    assert (columns[0], columns[-1]) == pytest.approx((110, 129), abs=1)
    assert shown.centre((2, 1, 4)) == pytest.approx((59.5, 14.5))


@pytest.mark.parametrize(("method", "about"), [("limb removal", {}), ("Shapley joints", {"by": "limb"})])
def test_a_method_that_takes_whole_limbs_away_names_a_limb(method: str, about: dict[str, str]) -> None:
    clip, values = noise_clip(frames=5, people=1), np.zeros((5, 1, 15))
    values[:, 0, list(dict(clip.layout.limbs)["left arm"])] = 4.5
    values[:, 0, list(dict(clip.layout.limbs)["right leg"])] = -1.5
    asked = joints(values, clip)
    by_limb = replace(asked, made_by=replace(MADE_BY, method=method, parameters=about))
    said = maps.finding(Map.of(by_limb, signed=True), Film.of_clip(clip))
    assert said.startswith("Most for it: left arm (+4.5 logit")
    assert said.endswith("Most against it: right leg (−1.5).")
    assert "left shoulder" in maps.finding(Map.of(asked, signed=True), Film.of_clip(clip))
    payload = open_library().payload("gym-cross", "bow")
    assert payload is not None
    assert Film.of_payload(payload).limbs == tuple(dict(clip.layout.limbs))


def test_maps_of_single_pixels_are_summed_and_their_base_rate_with_them() -> None:
    shown = Map.of(pixels(np.full((5, 48, 48), 0.5), base=0.25), signed=True)
    assert shown.values.shape == (5, 6, 6)
    assert shown.values == pytest.approx(32.0)
    assert shown.base == pytest.approx(16.0)


def test_raw_scales_end_at_a_round_number_and_do_not_stretch_what_is_at_its_base_rate() -> None:
    flat = Map.of(pixels(np.full((5, 6, 6), 0.011), base=0.011), signed=False)
    scale = Scale.of([flat], per_clip=False)
    assert scale.end == pytest.approx(0.025)  # at least twice the base rate, rounded up
    assert scale.part(flat.values) == pytest.approx(0.44)
    strong = Map.of(pixels(np.full((5, 6, 6), 0.37)), signed=True)
    assert Scale.of([strong], per_clip=False).end == pytest.approx(0.4)
    both = Scale.of([flat, strong], per_clip=False)
    assert both.end == pytest.approx(0.4)  # shared, so that the two can be compared
    clip = Scale.of([strong], per_clip=True)
    assert (clip.end, clip.part(np.array(-0.37))) == (1.0, pytest.approx(-1.0))
    assert "largest of the clip" in clip.unit


def test_zero_maps_are_said_to_be_zero() -> None:
    clip = grey_clip()
    shown = Map.of(joints(np.zeros((5, 2, 15)), clip), signed=True)
    assert "zero everywhere" in maps.finding(shown, Film.of_clip(clip))
    assert Scale.of([shown], per_clip=True).end == 1.0


def test_the_finding_names_joint_person_frame_value_and_base_rate() -> None:
    clip, values = grey_clip(), np.zeros((5, 2, 15))
    values[3, 1, clip.layout.joints.index("left wrist")] = 0.31
    values[0, 0, 0] = -0.2
    said = maps.finding(Map.of(joints(values, clip, base=0.01), signed=True), Film.of_clip(clip))
    assert said == (
        "Most for it: left wrist of person 2 in frame 4 (+0.31 logit; base rate 0.010). "
        "Most against it: neck of person 1 in frame 1 (−0.20)."
    )


def test_a_joint_map_that_stands_still_is_bars_and_one_that_moves_a_heat_map() -> None:
    clip = grey_clip()
    film = Film.of_clip(clip)
    still = Map.of(joints(np.ones((5, 2, 15)), clip), signed=True)
    figure = maps.chart(still, film, Scale.of([still], False))
    assert figure.data[0].type == "bar"
    moving = Map.of(joints(np.random.default_rng(0).random((5, 2, 15)), clip), signed=True)
    figure = maps.chart(moving, film, Scale.of([moving], False))
    assert figure.data[0].type == "heatmap"
    z = np.array(figure.data[0].z, float)
    assert np.isnan(z).sum() == (clip.score == 0).sum()  # what was not seen is empty, not zero


def test_the_key_escapes_what_it_is_told() -> None:
    hostile = replace(pixels(np.ones((5, 6, 6))), base_rate_of="<script>alert(1)</script>")
    shown = Map.of(hostile, signed=False)
    html = maps.key_html(shown, Scale.of([shown], False))
    assert "<script>" not in html
    assert "logit (raw)" in html


def test_the_film_of_a_payload_is_the_film_of_its_clip() -> None:
    from training.clip_file import load_clip

    library = open_library()
    payload = library.payload(library.checkpoints[0].key, library.clips[0].key)
    assert payload is not None
    clip = load_clip(library.clips[0].path).take(np.array(payload["clip"]["source"]))
    film = Film.of_payload(payload)
    assert film.frames.shape == clip.frames.shape
    assert np.abs(film.frames.astype(int) - clip.frames).mean() < 6  # WebP
    assert film.joints == pytest.approx(clip.joints, abs=0.01)
    assert film.names == clip.layout.joints
    assert len(skeleton_pictures(film)) == len(clip)


def test_the_strip_has_a_picture_and_a_number_for_every_frame() -> None:
    film = Film.of_clip(grey_clip(), numbers=(5, 4, 3, 2, 1))
    html = strip_html(skeleton_pictures(film), film, 'a "film"', here=1)
    assert re.findall(r"<figcaption>(\d)</figcaption>", html) == ["5", "4", "3", "2", "1"]
    assert html.count("&quot;film&quot;") == 5
    assert html.count('class="here"') == 1


def test_places_go_by_pixel_centres() -> None:
    assert at(np.array([0.0, 10.0]), 2.0) == pytest.approx([0.5, 20.5])


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.0123, "0.012"), (-1.26, "−1.3"), (153.2, "153"), (0.0000021, "2.10e−06")]
)
def test_numbers_have_two_digits_that_tell(value: float, text: str) -> None:
    assert digits(value) == text


def test_what_was_not_measured_is_said_in_the_table_of_trust() -> None:
    from xai.dashboard.trust_badge import numbers

    rows = numbers(TrustReport().to_dict())
    assert [found for _, found, _, _ in rows] == ["not measured"] * 3
    assert all(passed is None for _, _, _, passed in rows)
