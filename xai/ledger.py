"""The exact ledger: the head is linear in what it pools, so each logit is a sum over frames and tokens, plus a bias."""

from __future__ import annotations

import numpy as np

from training.recognizer import Prediction
from xai.explanation import Axis, Explanation, MadeBy


def ledger(prediction: Prediction, made_by: MadeBy) -> Explanation:
    """Explanation [class, token, frame] in logits; values of a class + its `bias` = its entry of `logits`.

    The base rate is an even split of the same logit over all tokens and frames.
    """
    parts = prediction.ledger
    even = parts.sum((1, 2), keepdims=True) / (parts.shape[1] * parts.shape[2])
    return Explanation(
        kind="ledger",
        values=parts,
        axes=(Axis("class", prediction.labels), Axis("token", prediction.slots), Axis("frame")),
        unit="logit",
        made_by=made_by,
        base_rate=np.asarray(even),
        base_rate_of="an even split of the logit over tokens and frames",
        companions={"bias": prediction.bias, "logits": prediction.logits},
    )
