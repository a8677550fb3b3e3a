"""Networks that are shown what they were not trained on, and links to what is not here: the page says so."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.xai.test_dashboard import run_app
from xai.dashboard.fitting import misfit

PAGES = "xai/dashboard/pages"


def card(name: str, trained_on: str, classes: int) -> dict[str, object]:
    return {"name": name, "trained_on": trained_on, "labels": [f"class {i}" for i in range(classes)]}


GYM = card("gym-cross", "gym, 4800 clips", 18)
JHMDB = card("jhmdb-cross", "jhmdb split 1, 433 clips", 14)
PENN = card("penn", "penn action, 900 clips", 15)
SHIPPED = (GYM, JHMDB, card("gym-none", "gym, 4800 clips", 18))


@pytest.mark.parametrize(
    ("one", "source", "better"),
    [
        (GYM, "gym", None),
        (JHMDB, "JHMDB", None),
        (JHMDB, "jhmdb split 2", None),  # another split of the same
        (PENN, "Penn Action", None),
        (GYM, "file", "jhmdb-cross"),
        (GYM, "JHMDB", "jhmdb-cross"),
        (GYM, "gym_hrnet xsub", "jhmdb-cross"),  # a file whose name only begins alike
        (JHMDB, "gym", "gym-cross"),
        (JHMDB, "file", ""),  # of what ships nothing fits better
        (PENN, "JHMDB", "jhmdb-cross"),
        (card("mine", "", 3), "file", None),  # never trained, which the pages say themselves
    ],
)
def test_a_network_that_was_trained_on_something_else_is_told(
    one: dict[str, object], source: str, better: str | None
) -> None:
    said = misfit([one], source, SHIPPED).replace("\\", "")
    if better is None:
        assert said == ""
        return
    assert f"**{one['name']}** was trained on" in said
    assert str(one["trained_on"]) in said
    assert f"{len(one['labels'])} classes only" in said  # type: ignore[arg-type]
    assert ("fits better" in said) == bool(better)
    assert not better or f"**{better}** fits better: " in said


def test_networks_of_one_training_set_share_a_sentence_and_names_bring_no_markup() -> None:
    said = misfit([GYM, JHMDB, SHIPPED[2]], "file", SHIPPED)
    assert "**gym\\-cross** and **gym\\-none** were trained on drawn clips" in said
    assert said.count("trained on") == 2
    assert "<b>" not in misfit([card("<b>", "<b>", 2)], "file")


def captions(app: AppTest) -> str:
    assert not app.exception, app.exception
    return " ".join(each.value for each in app.caption).replace("\\", "")


def test_data_says_it_before_it_predicts() -> None:
    app = run_app(f"{PAGES}/data.py", set="Gym", split="test", checkpoint="jhmdb-cross")
    assert "knows 14 classes only" in captions(app)
    assert "gym-cross" in captions(app)
    app.session_state["checkpoint"] = "gym-cross"
    assert "classes only" not in captions(app.run())


@pytest.mark.parametrize("page", ["explore", "break_it", "tokens"])
def test_a_link_to_a_clip_of_another_session_says_what_is_shown_instead(page: str) -> None:
    app = run_app(f"{PAGES}/{page}.py", source="Mine", checkpoint="gym-cross")
    for _ in range(2):  # Explore draws itself a second time
        assert not app.exception, app.exception
        assert "which lived in another session" in app.info[0].value
        assert app.info[0].value.endswith("shown instead: wave left hand.")
        app.run()
    app.selectbox(key="clip").set_value("bow").run()
    assert not any("another session" in each.value for each in app.info)


def test_a_link_to_jhmdb_says_that_it_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINESCOPE_DATA", raising=False)
    app = run_app(f"{PAGES}/explore.py", source="JHMDB")
    assert "which this server does not have" in app.info[0].value
