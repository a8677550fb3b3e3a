"""Torch and all that computes with it, imported beside the page while the first visitor looks at what ships."""

from __future__ import annotations

import threading
from importlib import import_module

import streamlit as st


@st.cache_resource(show_spinner=False)
def warm_up() -> None:
    """Once a server; who asks first for something that must be computed waits for the rest of it."""
    threading.Thread(target=import_module, args=("xai.dashboard.live",), daemon=True, name="warm up").start()
