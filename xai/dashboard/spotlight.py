"""What a lesson needs in the browser: a line around one part of the players on the page, and keys that go on working.

The player is one component with a surface of its own; the spotlight only adds a style to it and takes it away again.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

# A page draws its components one after the other, and a player may come late: look for players as long as this stands.
_SCRIPT = """
const NAME = "spotlight";
export default function ({ data }) {
  const part = { answers: ".answers-cell" }[data.part] ?? `.${data.part}`;
  const gap = data.part === "sentence" ? 1 : 5;
  const rule = `.player ${part} { outline: 2px solid var(--accent); outline-offset: ${gap}px; border-radius: 3px; }`;
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
  // Once it is laid out, beside the words, which stay; on a telephone they stand above and would be scrolled away.
  const show = () => innerWidth >= 640 && players()[0]?.querySelector(part)?.scrollIntoView({ block: "nearest" });
  const look = setTimeout(show, 1200);
  light();
  const timer = setInterval(light, 300);
  return () => {
    clearInterval(timer);
    clearTimeout(look);
    for (const root of players()) root.querySelector(`style.${NAME}`)?.remove();
  };
}
"""


# Shortcuts of buttons are ignored while an option is focused, which it is as soon as somebody has answered.
_KEYS = """
export default function ({ data }) {
  const press = (event) => {
    const button = data[event.key.toLowerCase()];
    if (!button || event.ctrlKey || event.metaKey || event.altKey || event.target.type !== "radio") return;
    event.preventDefault();
    event.stopPropagation();
    document.querySelector(`.st-key-${button} button`)?.click();
  };
  document.addEventListener("keydown", press, true);
  return () => document.removeEventListener("keydown", press, true);
}
"""


@cache
def _keys() -> Any:
    return st.components.v2.component("kinescope_lesson_keys", html="<span></span>", js=_KEYS)


def keys_on_options(keys: dict[str, str], key: str) -> None:
    """Let keys press buttons (letter -> key of the button) while an option of a question is focused."""
    _keys()(key=key, data=keys)


@cache
def _component() -> Any:
    return st.components.v2.component("kinescope_spotlight", html="<span></span>", js=_SCRIPT)


def spotlight(part: str, key: str) -> None:
    """Draw a line around `part` (a key of xai.lessons.FOCUS) of every player on the page, for as long as it has `key`:
    Streamlit calls the script again when its data change, but takes it away only with its key."""
    _component()(key=key, data={"part": part})
