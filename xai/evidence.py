"""Evidence: what the 3D deformable transformer itself did on one clip, in one forward pass, with nothing estimated.

Five explanations of one prediction that share one clock (the T frames that the model read):

| field              | axes of `values`                                     | unit                |
|--------------------|------------------------------------------------------|---------------------|
| `sampling_points`  | layer, head, query, query frame, point               | attention mass      |
| `joint_curves`     | layer, head, query, frame, person, joint             | attention mass      |
| `temporal_windows` | layer, head, query, query frame, frame               | attention mass      |
| `token_flow`       | layer, attention, reader, read                       | attention mass      |
| `ledger`           | class, token, frame                                  | logit               |

Places are (t, x, y): t counts the frames that the model read (`frame_index[t]` is the frame of the clip; t may be
fractional), x and y are pixels of the ORIGINAL clip. `sampling_points.companions` holds `reference` [layer, point, 3],
`place` [layer, point, 3] and `clamped` [layer, point]; `ledger.companions` holds `bias` [class] and `logits` [class].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.clip import Clip
from xai.explanation import Explanation

FORMAT_VERSION = 1
PARTS = ("sampling_points", "joint_curves", "temporal_windows", "token_flow", "ledger")


@dataclass(frozen=True, eq=False)
class Evidence:
    """One prediction and the model's own account of it. Parts that a variant does not have are None."""

    clip: Clip
    """The frames that the model read, uncropped and unscaled: frame t of every part is frame t of this clip."""
    frame_index: np.ndarray
    """[T] int: which frame of the source each of them was."""
    box: np.ndarray
    """[4, 2] corners (x, y), in pixels of the clip, of the region that the model saw."""
    labels: tuple[str, ...]
    probabilities: np.ndarray
    """[class]."""
    model: Mapping[str, Any]
    """How to draw the network: `name`, `token_mode`, `layers`, `heads`, `queries`, `trained_on`, `checkpoint` hash."""
    sampling_points: Explanation | None
    joint_curves: Explanation | None
    temporal_windows: Explanation | None
    token_flow: Explanation
    ledger: Explanation

    @property
    def top(self) -> int:
        return int(self.probabilities.argmax())
