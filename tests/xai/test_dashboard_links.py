"""The address of a page is a link to what it shows: what a link says is chosen when the page opens."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.xai.test_dashboard import run_app

PAGES = "xai/dashboard/pages"


@pytest.mark.parametrize(
    ("page", "link", "kind", "value"),
    [
        ("tokens", {"family": "gym"}, "selectbox", "gym"),
        ("break_it", {"at": "3", "clip": "bow"}, "slider", 3),
        ("break_it", {"points": "1", "clip": "bow"}, "", "1"),
        (
            "explore", {"integrated_gradients_steps": "9", "ask": "true", "method": "integrated gradients"},
            "number_input", 9,
        ),
    ],
)  # fmt: skip
def test_a_link_chooses(page: str, link: dict[str, str], kind: str, value: Any) -> None:
    app = run_app(f"{PAGES}/{page}.py", **link)
    assert not app.exception, app.exception
    key = next(iter(link))
    assert app.session_state[key] == value
    if kind:
        assert next(each for each in app.get(kind) if each.key == key).value == value


@pytest.mark.parametrize(
    ("page", "link", "said"),
    [
        ("explore", {"checkpoint": "msca-k"}, "There is no checkpoint “msca-k” here; shown instead: gym-cross."),
        ("explore", {"clip": "cartwheel"}, "There is no clip of the gym “cartwheel” here; shown instead: "),
        (
            "explore", {"source": "Data", "set": "Judo", "number": "2"},
            "There is no data set “Judo” here; shown instead: Gym.",
        ),
        (
            "explore", {"ask": "true", "method": "telepathy"},
            "There is no method for this network “telepathy” here; shown instead: limb removal.",
        ),
        (
            "explore", {"ask": "true", "why": "clap"},
            "There is no class “clap” here; shown instead: ",
        ),
        ("tokens", {"clip": "cartwheel"}, "There is no clip of the gym “cartwheel” here; shown instead: "),
    ],
)  # fmt: skip
def test_a_link_to_what_is_not_there_says_what_is_shown_instead(page: str, link: dict[str, str], said: str) -> None:
    app = run_app(f"{PAGES}/{page}.py", **link)
    assert not app.exception, app.exception
    assert [each.value for each in app.info if each.value.replace("\\", "").startswith(said)]
    assert not [each.value for each in run_app(f"{PAGES}/{page}.py").info if "There is no" in each.value]


def test_what_a_link_missed_is_forgotten_when_somebody_chooses() -> None:
    app = run_app(f"{PAGES}/explore.py", checkpoint="msca-k")
    assert [each for each in app.info if "msca" in each.value]
    app.selectbox(key="checkpoint").select("gym-none").run()
    assert not [each for each in app.info if "msca" in each.value]


def _parts() -> None:
    """Parts of pages that come after a computation, without it."""
    import streamlit as st

    from tests.xai.test_dashboard_data import predicted, six
    from xai.dashboard.choose import bundled_clip
    from xai.dashboard.cube import show_cube
    from xai.dashboard.data_panels import filters
    from xai.dashboard.data_scores import Verdicts
    from xai.dashboard.library import open_library
    from xai.dashboard.map_view import show_scale

    split, library = six(), open_library()
    wanted = filters(Verdicts.of(split, predicted(split, "ab", {0: "a", 1: "a", 2: "b", 3: "b"})))
    look = show_scale(bundled_clip(library.clips[0].path), "")
    payload = library.payload(library.checkpoints[0].key, library.clips[0].key)
    assert payload is not None
    show_cube(payload)
    st.text(f"{wanted.least} {wanted.most} {look.cause}")


def test_a_link_chooses_also_what_comes_after_a_computation() -> None:
    app = AppTest.from_function(_parts, default_timeout=60)
    cube = {"cube_view": "Plotly", "cube_layer": "1", "cube_query": "rgb"}
    for name, value in {"sure": ["0.25", "0.75"], "decides": "true", **cube}.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    assert app.text[0].value == "0.25 0.75 True"
    assert (app.session_state["cube_layer"], app.session_state["cube_query"]) == (1, "rgb")


def test_the_trust_page_opens_on_two_methods() -> None:
    app = run_app(f"{PAGES}/trust.py", clip="kick left")
    assert not app.exception, app.exception
    assert app.toggle(key="compare").value
    assert {each.key for each in app.selectbox} >= {"method_left", "method_right"}
