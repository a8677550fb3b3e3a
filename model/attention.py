"""Multi-head attention with a fused path for speed and explicit rows for whoever wants to see, and the FFN.

    X <- X + W_o MHA(LN(X) W_q, LN(X~) W_k, LN(X~) W_v)          (Eqs. 2-3, 5-6, 7-8)
    X <- X + FFN(LN(X))

The three attentions of a layer are this block with different queries X and keys X~.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from model.config import ModelConfig
from model.tap import AttentionTap, TokenIds, tap, tapped

Identify = Callable[[], tuple[TokenIds, TokenIds]]


def attention_rows(query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d)) for the given queries only: [..., heads, N_q, N_k], in float32.

    Args:
        query: [..., heads, N_q, d_head], key: [..., heads, N_k, d_head].
        mask: [..., N_k] bool, True where a key may be read.
    """
    with torch.autocast(query.device.type, enabled=False):
        scores = (query.float() * query.shape[-1] ** -0.5) @ key.float().transpose(-1, -2)
    if mask is None:
        return torch.softmax(scores, dim=-1)
    rows = torch.softmax(scores.masked_fill_(~mask[..., None, None, :], float("-inf")), dim=-1)
    # A row that may read nothing reads nothing, as the fused path does after `readable` below.
    return rows if bool(mask.any(-1).all()) else torch.nan_to_num(rows)


def _windowed(
    windows: int, mask: Tensor | None, ids: tuple[TokenIds, TokenIds], q: Tensor, k: Tensor, v: Tensor, attended: Tensor
) -> AttentionTap:
    """What the tap hands over: [B * D, ...] as [B, D, ...]."""
    seen = None if mask is None else mask.unflatten(0, (-1, windows))
    q, k, v, attended = (tensor.unflatten(0, (-1, windows)) for tensor in (q, k, v, attended))
    return AttentionTap(q, k, seen, *ids, v, attended)


class DropPath(nn.Module):
    """Drops the whole residual branch of a sample with probability `rate` in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep).div_(keep)


class AttentionBlock(nn.Module):
    """Attention from X to X~ and a feed-forward network, each with a residual connection."""

    def __init__(self, config: ModelConfig, name: str, drop_path: float) -> None:
        super().__init__()
        d = config.dim
        self.name, self.heads = name, config.heads
        self.norm = nn.LayerNorm(d) if config.attention_prenorm else nn.Identity()
        self.query, self.key, self.value = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.projection = nn.Linear(d, d)
        self.ffn_norm = nn.LayerNorm(d)
        self.ffn = nn.Sequential(
            nn.Linear(d, config.ffn_ratio * d),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.ffn_ratio * d, d),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None, identify: Identify, windows: int = 1) -> Tensor:
        """X [B * windows, N_q, d], X~ [B * windows, N_k, d] -> X [B * windows, N_q, d].

        Args:
            mask: [B * windows, N_k] bool, True where a key may be read; None when all may.
            identify: says who the tokens of X and X~ are; called only when someone listens.
            windows: D, how many windows of one clip lie next to each other in the batch.
        """
        q = rearrange(self.query(self.norm(x)), "b n (h e) -> b h n e", h=self.heads)
        normed = self.norm(context)
        k = rearrange(self.key(normed), "b n (h e) -> b h n e", h=self.heads)
        v = rearrange(self.value(normed), "b n (h e) -> b h n e", h=self.heads)
        attended = self._attend(q, k, v, mask)
        if tapped():
            handed = _windowed(windows, mask, identify(), q, k, v, attended)
            tap(self.name, handed)
            attended = handed.attended.flatten(0, 1)  # so that a recorder can ask for its gradient
        x = x + self.drop_path(self.dropout(self.projection(rearrange(attended, "b h n e -> b n (h e)"))))
        return x + self.drop_path(self.dropout(self.ffn(self.ffn_norm(x))))

    @staticmethod
    def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return F.scaled_dot_product_attention(q, k, v)
        # A window without a single key (every joint unseen, no modal token) would be 0/0: let it read and discard.
        readable = mask.any(-1, keepdim=True)
        allowed = (mask | ~readable)[:, None, None, :]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed) * readable[:, :, None, None].to(q.dtype)
