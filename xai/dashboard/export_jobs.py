"""What the page Export asks of the server: networks and clips opened, work done by jobs, results kept by content."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import streamlit as st

from xai.dashboard.basket import Item
from xai.dashboard.choose import open_checkpoint
from xai.dashboard.jobs import Progress, shared_jobs
from xai.dashboard.kept import kept
from xai.dashboard.methods_panel import Ask, followed, map_key, quick
from xai.dashboard.turnstile import turnstile
from xai.figures.panel_kinds import Map, Trust

if TYPE_CHECKING:
    from xai.dashboard.basket_spec import Request
    from xai.dashboard.exporting import Opened


def opened(request: Request) -> Opened:
    """Clips and networks of a request. Raises ValueError in one sentence."""
    with st.spinner("Opening clips and networks"):
        from xai.dashboard.exporting import Opened

        clips = {text: choice.open() for text, choice in request.clips.items()}
        networks = {text: open_checkpoint(choice) for text, choice in request.checkpoints.items()}
        found = Opened(request, clips, networks, kept(), turnstile())
    _already_made(found)
    return found


def _already_made(found: Opened) -> None:
    """Maps, and measures of their trust, that a page has asked for are not computed again."""
    from xai.dashboard.exporting import Served
    from xai.trust import PARTS, trusted

    spec = found.request.spec
    sources = Served(spec, found, lambda done, total: None)
    for options in (panel.options for row in spec.rows for panel in row):
        if not isinstance(options, Map | Trust) or options.on is None:
            continue
        ask = Ask(options.method, options.on, options.target, options.against, tuple(options.options.items()))
        key = map_key(ask, sources.recognizer(options.checkpoint), sources.clip(options.clip))
        asked = shared_jobs().standing(key)
        if asked is None or asked.state != "done":
            continue
        sources.give(options, asked.result)
        if isinstance(options, Trust) and (options.parts, options.orders) == (PARTS, Trust("").orders):
            measured = shared_jobs().standing(("trust", key))
            if measured is not None and measured.state == "done":
                sources.give(options, trusted(asked.result, measured.result))


def is_quick(items: tuple[Item, ...]) -> bool:
    """Only panels of a few passes: such a figure is drawn beside other people's long computations."""
    from xai.methods import methods

    known = {method.name: method for method in methods()}
    asked = [getattr(item.options, "method", None) for item in items]
    return not any(item.kind in ("trust", "order") for item in items) and all(
        name is None or (name in known and quick(known[name])) for name in asked
    )


def made(
    key: Hashable, store: Any, make: Callable[[Progress], Any], panel: str, *, start: bool, quick: bool, kind: str
) -> Any:
    """What `make` makes, kept under `key`: the job is asked for once, followed with a bar, and can be cancelled."""
    if (there := store.peek(key)) is not None:
        return there

    def work(progress: Progress) -> bool:
        store.get(key, lambda: make(progress))
        return True  # jobs keep results by number; what is large is kept by its bytes

    memory = f"asked {panel}"
    first = start and st.session_state.get(memory) != key
    if first:
        st.session_state[memory] = key
    done = followed(key, work, panel, first, quick=quick, kind=kind)
    if done is None:
        standing = shared_jobs().standing(key)
        if start and (standing is None or not (standing.pending or first)):  # it was cancelled, or it failed
            st.button("Try again", key=f"again {panel}", on_click=again, args=(panel,))
        return None
    with st.spinner("Fetching the files"):  # made before, and given up since to make room for others
        return store.get(key, lambda: make(lambda done, total: None))


def again(panel: str) -> None:
    """Forget that it was asked for, so that it is asked for again."""
    st.session_state.pop(f"asked {panel}", None)


def size(count: int) -> str:
    """'212 kB', '1.4 MB'."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
