"""Clips, data sets, the gym, and the training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.recognizer import Recognizer

__all__ = ["Recognizer"]


def __getattr__(name: str) -> Any:
    """`training.Recognizer`, imported when it is asked for: the first screen of the dashboard needs no torch."""
    if name == "Recognizer":
        from training.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
