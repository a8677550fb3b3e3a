"""The frame-wise variants of the page Temporal, drawn: what reaches the class token of a frame from those beside it."""

from __future__ import annotations

import base64
from html import escape

from xai.dashboard.colours import ACCENT, GREY

VARIANTS = {
    "ViT": ("none", "Every frame is read alone; the answers of all frames are averaged.", "gym-vit"),
    "TokenShift": (
        "token",
        "A quarter of the class token's channels is that of the frame before, a quarter that of the frame after.",
        "gym-tokenshift",
    ),
    "MSCA": (
        "heads",
        "Multi-head self/cross-attention: some heads look for their keys and values in the frame before, some in the "
        "frame after.",
        "gym-msca-kv",
    ),
}
"""Name -> how it mixes, in one sentence, and the preset that trains it."""
_STYLE = """<style>
.variants { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 12px 32px; }
.variants h4 { margin: 0 0 6px; padding: 0; font-size: 16px; } .variants p { margin: 6px 0 0; font-size: 14px; }
.variants img { width: 100%; max-width: 330px; display: block; }
</style>"""
_LOOK = f"""<style>
path, rect {{ fill: none; stroke: {GREY}; }} text {{ fill: #5f5f5f; font: 11px sans-serif; }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #b5b5b5; }} }}
.mixed {{ stroke: {ACCENT}; stroke-width: 2; }} .some {{ stroke-dasharray: 5 3; }}
</style>"""


def variants_html() -> str:
    """One small drawing a variant: three frames, a block, three frames, and what goes where."""
    cards = "".join(
        f"<div><h4>{escape(name)}</h4>{_drawing(mixing)}<p>{escape(words)}</p></div>"
        for name, (mixing, words, _) in VARIANTS.items()
    )
    return f'{_STYLE}<div class="variants">{cards}</div>'


def commands() -> str:
    """What trains the three, to be copied."""
    presets = (preset for _, _, preset in VARIANTS.values())
    return "\n".join(f"python -m training train --config {preset} --out runs/{preset}" for preset in presets)


def _drawing(mixing: str) -> str:
    """Frames below, their class tokens above; what comes from beside frame t is in colour."""
    centres = {"t \u2212 1": 45, "t": 150, "t + 1": 255}
    parts = []
    for name, x in centres.items():
        for y, said in ((10, f"class, {name}"), (84, f"frame {name}")):
            parts.append(f'<rect x="{x - 34}" y="{y}" width="68" height="24" rx="4"/>')
            parts.append(f'<text x="{x}" y="{y + 16}" text-anchor="middle">{escape(said)}</text>')
        parts.append(f'<path d="M{x},84 V34"/>')
    if mixing == "token":  # from class token to class token
        parts += ['<path class="mixed some" d="M79,22 H116"/>', '<path class="mixed some" d="M221,22 H184"/>']
    elif mixing == "heads":  # from what is in the frame to the class token
        parts += ['<path class="mixed" d="M62,84 L132,34"/>', '<path class="mixed" d="M238,84 L168,34"/>']
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 114">{_LOOK}{"".join(parts)}</svg>'
    address = f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"
    return f'<img src="{address}" alt="What reaches the class token of frame t">'
