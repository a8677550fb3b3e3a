"""How far what the player shows can be believed: what ships, what it says in short, and where a click leads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import checkpoint_hash
from tests.xai.test_dashboard import run_app
from training.clip_file import load_clip
from xai import bundle
from xai.dashboard.believed import badges, shown_as
from xai.dashboard.choose import ClipChoice
from xai.dashboard.library import ASSETS, open_library
from xai.dashboard.methods_panel import Ask
from xai.faithfulness import Faithfulness
from xai.known_trust import AGAINST, in_short, shipped_trust
from xai.sanity import Sanity
from xai.trust import TrustReport


def removal(gain: float) -> Faithfulness:
    """A map whose removal curves gain so much over forty random orders that gain nothing."""
    flat, share = np.zeros(3), np.linspace(0, 1, 3)
    return Faithfulness("joints", share, flat - gain, flat + gain, flat, flat, np.zeros((40, 3)), np.zeros((40, 3)))


def test_in_short_the_verdict_and_what_speaks_against_it() -> None:
    good = TrustReport(faithfulness=removal(1.0), sanity=Sanity(0.1, 0.2, 0.3, "b"))
    assert in_short(good.to_dict()).startswith("Trust: supported. Beats random removal")
    same = TrustReport(faithfulness=removal(1.0), sanity=Sanity(0.9, 0.91, None, ""))
    assert in_short(same.to_dict()).startswith("Trust: doubtful. Survives randomisation")
    poor = TrustReport(faithfulness=removal(0.0), sanity=Sanity(0.9, 0.91, None, ""))
    assert in_short(poor.to_dict()) == "Trust: doubtful. No better than random removal of joints."


def test_what_ships_is_of_what_ships_and_says_why_it_doubts() -> None:
    shipped = json.loads((ASSETS / "trust.json").read_text(encoding="utf-8"))
    library = open_library()
    prints = {load_clip(clip.path).fingerprint for clip in library.clips}
    first = shipped[checkpoint_hash(library.checkpoints[0].path)]
    assert set(first) == prints  # whoever opens the page for the first time sees a verdict, whatever the clip
    for found in first.values():
        assert {"method", "on", "faithfulness", "sanity", "stability"} <= set(found)
        against = [each for each in found["sentences"] if each.startswith(AGAINST)]
        assert bool(against) == (found["level"] == "doubtful")
    assert shipped_trust("0" * 16, next(iter(prints))) == {}


def test_the_badge_leads_down_the_page_or_to_explore_and_says_the_verdict() -> None:
    library = open_library()
    choice = ClipChoice(bundled=library.clips[0])
    payload = library.payload(library.checkpoints[0].key, library.clips[0].key)
    assert payload is not None
    assert shown_as(payload) == Ask("joint attention", "joints")
    (here,) = badges([payload], choice, on_page=True)
    (found,) = shipped_trust(payload["model"]["checkpoint"], load_clip(library.clips[0].path).fingerprint).values()
    assert here == {"textContent": in_short(found), "href": "#trust"}
    (away,) = badges([payload], choice)
    assert away["href"] == "./?clip=wave+left+hand&checkpoint=gym-cross#trust"
    (own,) = badges([payload], ClipChoice(own=load_clip(library.clips[0].path)))
    assert "href" not in own  # Explore, loaded anew, would not have that clip
    for checkpoint in library.checkpoints:
        assert library.key_of(checkpoint_hash(checkpoint.path)) == checkpoint.key
    stranger = {**payload, "model": {**payload["model"], "checkpoint": "0" * 16}}  # of the same name
    (other,) = badges([stranger], choice)
    assert "href" not in other


def test_explore_shows_the_verdict_with_its_curves_and_asks_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = "xai/dashboard/pages/explore.py"
    app = run_app(page)
    assert "Can these pictures be believed?" in [each.value for each in app.subheader]
    assert "Curves and numbers behind the verdict" in [each.label for each in app.expander]
    assert not [each for each in app.button if each.label == "Measure trust"]
    monkeypatch.setattr("xai.dashboard.methods_panel.shipped_trust", lambda checkpoint, fingerprint: {})
    app = run_app(page, clip="put down")
    assert [each.label for each in app.button if each.label == "Measure trust"]
    assert not app.expander


def test_a_stopped_measurement_goes_on_and_other_weights_are_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = json.loads((ASSETS / "index.json").read_text(encoding="utf-8"))
    index["traces"] = index["traces"][:2]
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    for folder in ("clips", "checkpoints", "traces"):
        (tmp_path / folder).symlink_to(ASSETS / folder)
    asked: list[str] = []

    def measured(recognizer: Any, clip: Any, explanation: Any) -> TrustReport:
        asked.append(clip.name)
        return TrustReport(faithfulness=removal(1 / 3))

    monkeypatch.setattr(bundle, "trust", measured)
    (tmp_path / "trust.json").write_text('{"older weights": {"some clip": {}}}', encoding="utf-8")
    assert bundle.measure_trust(tmp_path) == 2
    kept = json.loads((tmp_path / "trust.json").read_text(encoding="utf-8"))
    assert "older weights" not in kept
    (of_clip,) = kept.values()
    assert all(found["faithfulness"]["gain"] == 0.3333 for found in of_clip.values())
    assert bundle.measure_trust(tmp_path) == 2
    assert len(asked) == 2
