"""Spotlight: a line around one part of the players on a page, which a lesson talks about.

The player is one component with a surface of its own; this one only adds a style to it and takes it away again.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

# A page draws its components one after the other: look for players for a few seconds, and for new ones after a resize.
_SCRIPT = """
const NAME = "spotlight";
export default function ({ data }) {
  const part = { answers: ".answers-cell" }[data.part] ?? `.${data.part}`;
  const rule = `.player ${part} { outline: 2px solid var(--accent); outline-offset: 6px; border-radius: 3px; }`;
  const players = () =>
    [...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter((root) => root?.querySelector(".player"));
  const light = () => {
    for (const root of players()) {
      let style = root.querySelector(`style.${NAME}`);
      if (!style) {
        style = document.createElement("style");
        style.className = NAME;
        root.append(style);
      }
      if (style.textContent !== rule) style.textContent = rule;
    }
  };
  light();
  const timer = setInterval(light, 300), end = setTimeout(() => clearInterval(timer), 8000);
  return () => {
    clearInterval(timer);
    clearTimeout(end);
    for (const root of players()) root.querySelector(`style.${NAME}`)?.remove();
  };
}
"""


@cache
def _component() -> Any:
    return st.components.v2.component("kinescope_spotlight", html="<span></span>", js=_SCRIPT)


def spotlight(part: str, key: str) -> None:
    """Draw a line around `part` (a key of xai.lessons.FOCUS) of every player on the page."""
    _component()(key=key, data={"part": part})
