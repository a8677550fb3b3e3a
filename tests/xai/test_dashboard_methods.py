"""Asking another way, trust and the leader-board, without a browser."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.test_dashboard import ROOT, run_app
from xai.dashboard.jobs import Standing, shared_jobs
from xai.dashboard.leader_board import Board, board_figure
from xai.dashboard.library import ASSETS
from xai.dashboard.methods_panel import Ask, askable, in_words, quick
from xai.dashboard.trust_badge import cause_sentence, curves
from xai.known_cause import Score
from xai.methods import methods

EXPLORE = "xai/dashboard/pages/explore.py"


def follow(app: AppTest, seconds: float = 120.0) -> AppTest:
    deadline = time.monotonic() + seconds
    while app.get("progress"):
        assert time.monotonic() < deadline, "the job did not end"
        time.sleep(0.2)
        app.run()
    assert not app.exception, app.exception
    return app


def test_only_what_network_and_clip_can_answer_is_offered() -> None:
    names = {method.name for method in askable(random_recognizer(), noise_clip())}
    assert "joint attention" in names
    bare = {method.name for method in askable(random_recognizer(deformable="off"), noise_clip(people=0))}
    assert not bare & {"sampling points", "joint removal", "Shapley joints", "joint attention"}
    assert {"saliency", "frame removal"} <= bare


def test_long_methods_wait_for_a_button() -> None:
    known = {method.name: method for method in methods()}
    assert all(quick(known[name]) for name in ("ledger", "saliency", "joint attention", "grad-cam", "limb removal"))
    slow = ("integrated gradients", "Shapley joints", "tubelet removal", "frame removal", "counterfactual joints")
    assert not any(quick(known[name]) for name in slow)


def test_the_panel_is_closed_until_it_is_opened_and_then_answers() -> None:
    app = run_app(EXPLORE, clip="kick left")
    assert not any(box.key == "method" for box in app.selectbox)
    app.toggle(key="ask").set_value(True).run()
    app.selectbox(key="method").select("ledger").run()
    follow(app)
    said = " ".join(m.value for m in app.markdown)
    assert "Most for it:" in said
    assert "Trust: not measured" in said
    assert "Known cause:" in said
    assert "the parts and the bias sum to it" in said
    app.selectbox(key="why").select("bow").run()
    app.selectbox(key="rather").select("look up").run()
    follow(app)
    assert any("why **bow** rather than look up?" in m.value for m in app.markdown)
    assert any(plot.proto.spec for plot in app.get("plotly_chart"))


def test_a_class_asked_against_itself_is_not_offered() -> None:
    app = run_app(EXPLORE, clip="kick left")
    app.toggle(key="ask").set_value(True).run()
    app.selectbox(key="why").select("bow").run()
    assert "bow" not in app.selectbox(key="rather").options


def test_two_visitors_share_one_map() -> None:
    known = []
    for app in [run_app(EXPLORE, clip="sit down") for _ in range(2)]:
        app.toggle(key="ask").set_value(True).run()
        app.selectbox(key="method").select("ledger").run()
        follow(app)
        # The method first shown may be given up before its answer; only what was waited for is compared.
        known.append({key for key in shared_jobs()._jobs if isinstance(key[-1], Ask) and key[-1].method == "ledger"})
    assert known[0] == known[1] != set()


def test_standing_is_said_in_words() -> None:
    assert in_words(Standing("waiting", ahead=1)) == "In the queue: 1 computation before this one."
    assert in_words(Standing("waiting", ahead=3)) == "In the queue: 3 computations before this one."
    assert in_words(Standing("running", part=0.254)) == "Computing: 25 %."


def test_the_known_cause_is_said_beside_its_base_rate() -> None:
    scores = [Score("joints", "pointing", 1.0, 0.13), Score("joints", "mass", 0.4, 0.13)]
    said = cause_sentence(scores)
    assert "lies on the deciding joints (by chance 13%)" in said
    assert "40% of the map's mass" in said
    assert "not among" in cause_sentence([Score("frames", "pointing", 0.0, 0.5)])
    assert "50% of them on" in cause_sentence([Score("frames", "pointing", 0.5, 0.5)])


def test_curves_show_the_band_of_random_orders() -> None:
    import numpy as np

    from xai.faithfulness import play
    from xai.trust import TrustReport

    weight = np.array([1.0, 0.5, 0.2, 0.0])

    def game(gone: list[np.ndarray]) -> np.ndarray:
        return np.array([2 - weight[each].sum() for each in gone])

    rng = np.random.default_rng(0)
    found = play(game, weight, weight[::-1].copy(), "joints", most=4, orders=20, steps=3, rng=rng)
    figure = curves(TrustReport(faithfulness=found).to_dict())
    assert [trace.name for trace in figure.data[:4]] == [
        "random orders, 95 %", "random orders, mean", "motion energy", "this map",
    ]  # fmt: skip
    assert figure.data[3].y[0] == pytest.approx(2.0)
    assert figure.data[3].y[-1] == pytest.approx(0.3)


# ---- Trust page -----------------------------------------------------------------------------------------------------

ROW = {
    "method": "joint removal", "on": "joints", "target": "joints", "measure": "rank", "kind": "all", "clips": 40,
    "mean": 0.9, "low": 0.85, "high": 0.95, "base": 0.5, "seconds": 1.2,
}  # fmt: skip


def test_the_board_is_read_and_drawn_best_on_top(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"method": "grad-cam", "mean": 0.55, "low": 0.45, "high": 0.6}, ROW | {"target": "modality"}]
    path = tmp_path / "leader_board.json"
    made = {"name": "gym-cross", "checkpoint": "985d", "clips": 40, "command": "gym-bench"}
    path.write_text(json.dumps({"rows": rows, **made}))
    board = Board.read(path)
    assert board is not None
    assert (board.about["clips"], board.about["checkpoint"]) == ("40", "gym-cross (985d)")
    assert board.options("measure", ("mass", "rank")) == ["rank"]
    figure = board_figure(board.chosen("rank", "all"), "rank")
    means = figure.data[1]
    assert list(means.y) == ["grad-cam", "joint removal"]  # drawn upwards
    assert means.marker.color[0] != means.marker.color[1]  # only one is above its base rate with its whole interval
    assert Board.read(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["", "[]", '{"rows": 3}', '{"rows": [3]}'])
def test_a_broken_board_is_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "leader_board.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="cannot be read as a leader-board"):
        Board.read(path)


@pytest.mark.parametrize("page", ["break_it", "trust"])
def test_new_pages_open_without_torch(page: str) -> None:
    """Trust but for its two methods, which ask the network."""
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        f"app = AppTest.from_file('xai/dashboard/pages/{page}.py', default_timeout=60); "
        "app.query_params['compare'] = 'false'; app.run(); "
        "assert not app.exception, app.exception; "
        "assert app.selectbox, 'nothing to choose'; "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]


def test_two_methods_stand_side_by_side() -> None:
    app = run_app("xai/dashboard/pages/trust.py", clip="kick left")
    app.toggle(key="compare").set_value(True).run()
    app.selectbox(key="method_left").select("ledger").run()
    app.selectbox(key="method_right").select("temporal attention").run()
    follow(app)
    said = [m.value for m in app.markdown]
    assert any(m.startswith("ledger, why") for m in said)
    assert any(m.startswith("temporal attention, why") for m in said)
    assert sum("Trust: not measured" in m for m in said) == 2
    empty = not (ASSETS / "leader_board.json").is_file()  # then first what there is
    assert [each.value for each in app.subheader].index("Two methods on one clip") == (0 if empty else 1)
