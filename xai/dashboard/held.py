"""Uploads that outlive their page: a file widget forgets its file when somebody goes to another page.

What was uploaded is held in its session under the key of its widget, until another file comes, the file is taken out of
the widget, or it is forgotten with the button beside its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from xai.dashboard.draft_room import upload_room
from xai.dashboard.limits import limits

if TYPE_CHECKING:
    from xai.dashboard.live import Upload


def held_upload(title: str, types: Sequence[str], key: str, help: str | None = None) -> Upload | None:
    """The widget, and below it the file of before while the widget shows none."""
    from xai.dashboard.shown import plain

    file = st.file_uploader(
        title, types, key=key, help=help, max_upload_size=limits().upload_mb, on_change=_changed, args=(key,)
    )
    if file is not None:
        from xai.dashboard.live import Upload

        try:
            _hold(key, Upload(file.name, file.getvalue()))
        except ValueError as error:
            st.error(plain(error))
            return None
    held: Upload | None = st.session_state.get(_place(key))
    if held is not None and file is None:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f"Still open: {plain(held.name)}", width="content")
            st.button("Forget it", key=f"forget {key}", type="tertiary", on_click=_forget, args=(key,))
    return held


def _hold(key: str, upload: Upload) -> None:
    """Raises ValueError when the files of all visitors leave no room for it."""
    before = st.session_state.get(_place(key))
    if before is not None and (before.name, before.data) == (upload.name, upload.data):
        return
    _forget(key)
    st.session_state[f"room {key}"] = upload_room().place(len(upload.data))
    st.session_state[_place(key)] = upload


def _place(key: str) -> str:
    return f"held {key}"


def _changed(key: str) -> None:
    """Only who takes a file out of the widget leaves it empty; going to another page calls nothing."""
    if st.session_state.get(key) is None:
        _forget(key)


def _forget(key: str) -> None:
    st.session_state.pop(_place(key), None)
    st.session_state.pop(f"room {key}", None)
