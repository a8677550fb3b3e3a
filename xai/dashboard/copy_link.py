"""A button that copies the address of the page, which says what the page shows; the browser does it alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

_STYLE = """
button { min-height: 2.5rem; padding: 0.25rem 0.75rem; border-radius: var(--st-button-radius, 0.5rem); cursor: pointer;
  border: 1px solid var(--st-border-color, #d3d3d8); background: none; color: inherit;
  font: inherit; font-size: 0.875rem; }
button:hover { color: var(--st-primary-color); border-color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
"""
_SCRIPT = """
export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  const said = (text) => {
    button.textContent = text;
    setTimeout(() => (button.textContent = "Copy link"), 1500);
  };
  const refused = () => window.prompt("The link of this view", location.href);
  button.onclick = () => navigator.clipboard?.writeText(location.href).then(() => said("Copied"), refused) ?? refused();
}
"""


@cache
def _component() -> Any:
    html = '<button type="button" title="Copy a link to this view">Copy link</button>'
    return st.components.v2.component("kinescope_copy_link", html=html, css=_STYLE, js=_SCRIPT)


def copy_link(key: str) -> None:
    """The button; `key` tells those of one page apart."""
    _component()(key=key, width="content")
