"""Frames and joints -> tokens: Z from F_b, P from F_a read at the joints (Eq. 1), and the position embeddings.

Eq. 1 sums F_a under a Gaussian heatmap around each joint. The Gaussian is separable, so the sum is taken over width,
then over height; the R x H/2 x W/2 heatmaps are never built.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from model.config import TRAIL, ModelConfig


def resize_time(embedding: Tensor, frames: int) -> Tensor:
    """[..., T0, d] -> [..., frames, d], linear in time; how one network serves every clip length (Appendix C)."""
    if embedding.shape[-2] == frames:
        return embedding
    flat = embedding.reshape(-1, *embedding.shape[-2:]).transpose(1, 2)
    resized = F.interpolate(flat, size=frames, mode="linear", align_corners=False)
    return resized.transpose(1, 2).reshape(*embedding.shape[:-2], frames, embedding.shape[-1])


def joint_features(features_a: Tensor, joints: Tensor, score: Tensor, sigma: float, normalise: bool) -> Tensor:
    """Eq. 1: F_a under a Gaussian around each joint.

    Args:
        features_a: [B, C, T, H/2, W/2].
        joints: [B, T, R, 2] image pixels (x, y); pixel x is F_a coordinate x / 2.
        score: [B, T, R] in [0, 1]; scales the result, 0 makes it exactly zero.
        sigma: standard deviation in F_a pixels.
        normalise: weighted mean if True, the literal weighted sum if False.

    Returns: [B, T, R, C].
    """
    height, width = features_a.shape[-2:]
    place = joints.to(features_a.dtype) / 2

    def gaussian(centre: Tensor, size: int) -> Tensor:
        axis = torch.arange(size, device=centre.device, dtype=centre.dtype)
        return torch.exp(-((axis - centre[..., None]) ** 2) / (2 * sigma**2))  # (B, T, R, size)

    gx, gy = gaussian(place[..., 0], width), gaussian(place[..., 1], height)
    rows = torch.einsum("bcthw,btrw->btrch", features_a, gx)
    tokens = torch.einsum("btrch,btrh->btrc", rows, gy)
    if normalise:
        tokens = tokens / (gx.sum(-1) * gy.sum(-1)).clamp_min(1e-6)[..., None]
    return tokens * score[..., None].to(tokens.dtype)


def joint_geometry(joints: Tensor, score: Tensor, distances: bool = False) -> Tensor:
    """Where each joint is and how it moves: [B, T, M, J, 2] pixels -> [B, T, M, J, 5], or 5 + J with `distances`, and
    2 TRAIL more for joints with their trail, [B, T, M, J, TRAIL, 2].

    Place relative to the person's centre over the clip, divided by the person's size; velocity in the same unit per
    frame (central differences); score. One centre and one size a clip, so that walking across the frame stays visible.
    Then the distance to every joint of the same person, in the same unit, 0 where either is not seen. Then the steps
    along the trail, the first one from the end of the frame before.
    """
    trail = joints if joints.ndim == 6 else None
    joints = joints if trail is None else at_frame(trail)
    seen = (score > 0).to(joints.dtype)[..., None]
    centre, scale = person_frame(joints, seen)
    place = (joints - centre) / scale * seen
    velocity = torch.zeros_like(place)
    if place.shape[1] > 1:
        both = seen[:, 1:] * seen[:, :-1]
        step = (place[:, 1:] - place[:, :-1]) * both
        velocity[:, :-1] += step / 2
        velocity[:, 1:] += step / 2
    found = [place, velocity * 4, seen]
    if distances:
        found.append(apart(place) * seen * seen.transpose(-1, -2))
    if trail is not None:
        trail = trail / scale[..., None]
        steps = torch.zeros_like(trail)
        steps[..., 1:, :] = (trail[..., 1:, :] - trail[..., :-1, :]) * seen[..., None]
        if trail.shape[1] > 1:
            steps[:, 1:, ..., 0, :] = (trail[:, 1:, ..., 0, :] - trail[:, :-1, ..., -1, :]) * both
        found.append(steps.flatten(-2) * 2 * TRAIL)
    return torch.cat(found, dim=-1)


def person_frame(joints: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Centre [B, 1, M, 1, 2] and size [B, 1, M, 1, 1] of each person over the clip, from joints [B, T, M, J, 2] that
    are `seen` [B, T, M, J, 1]."""
    count = seen.sum((1, 3), keepdim=True).clamp_min(1)
    centre = (joints * seen).sum((1, 3), keepdim=True) / count
    spread = (((joints - centre) * seen) ** 2).sum((1, 3), keepdim=True) / count
    return centre, spread.sum(-1, keepdim=True).sqrt().clamp_min(1.0)


def apart(place: Tensor) -> Tensor:
    """[..., J, 2] -> [..., J, J]: the distance from every joint to every joint."""
    return (place[..., :, None, :] - place[..., None, :, :]).square().sum(-1).add(1e-6).sqrt()


def at_frame(joints: Tensor) -> Tensor:
    """[..., TRAIL, 2] -> [..., 2]: where the joints are in the frame itself."""
    return joints[..., TRAIL // 2, :]


class Track(nn.Module):
    """Convolutions in time over the whole track of a person: what the pose does, moment by moment.

    Not in the paper. A moment holds, in units of the person's size, the place of every joint, the distance of every
    pair, and the last step of every joint, times 2 TRAIL; TRAIL moments make a frame. Motion that lies between the
    frames that are read is seen here before attention sees the frames (as in DD-Net, Yang et al. 2019, which has no
    attention). Of a person who is not there nothing is said, and batch statistics do not count them.
    """

    def __init__(self, joints: int, d: int, dropout: float, norm: str = "batch") -> None:
        super().__init__()

        def stage(inputs: int, kernel: int) -> list[nn.Module]:
            conv = nn.Conv1d(inputs, 2 * d, kernel, padding=kernel // 2, bias=False)
            normed = nn.BatchNorm1d(2 * d) if norm == "batch" else nn.GroupNorm(math.gcd(8, 2 * d), 2 * d)
            return [conv, normed, nn.GELU(), nn.Dropout1d(dropout)]

        self.layers = nn.Sequential(
            *stage(4 * joints + joints * (joints - 1) // 2, 1),
            *stage(2 * d, 5),
            *stage(2 * d, 5),
            nn.Conv1d(2 * d, d, TRAIL, stride=TRAIL),
        )

    def forward(self, joints: Tensor, score: Tensor) -> Tensor:
        """Joints with their trail [B, T, M, J, TRAIL, 2] in pixels, score [B, T, M, J] -> [B, T, M, d]."""
        people = joints.shape[2]
        seen = (score > 0).to(joints.dtype)[..., None]
        centre, scale = person_frame(at_frame(joints), seen)
        known = rearrange(seen.expand(*seen.shape[:-1], TRAIL), "b t m j k -> (b m) (t k) j 1")
        place = (joints - centre[..., None, :]) / scale[..., None]
        place = rearrange(place, "b t m j k c -> (b m) (t k) j c") * known
        step = torch.zeros_like(place)
        step[:, 1:] = (place[:, 1:] - place[:, :-1]) * (known[:, 1:] * known[:, :-1])
        first, second = torch.triu_indices(place.shape[2], place.shape[2], 1, device=place.device)
        pairs = (apart(place) * known * known.transpose(-1, -2))[..., first, second]
        moments = torch.cat([place.flatten(2), 2 * TRAIL * step.flatten(2), pairs], dim=-1).transpose(1, 2)
        there = known.flatten(1).any(1)
        if there.all() or not there.any():  # all, so that statistics of several processes are shared by every one
            found = self.layers(moments) * there[:, None, None]
        else:
            some = self.layers(moments[there])
            found = some.new_zeros(len(moments), *some.shape[1:]).index_put((there,), some)
        return rearrange(found, "(b m) d t -> b t m d", m=people)


class Tokenizer(nn.Module):
    """F_a, F_b and joints -> Z [B, T, S, d] with S = H/8 * W/8, P [B, T, R, d] with R = people * joints."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d, side = config.dim, config.size // 8
        self.config = config
        self.spatial_embedding = nn.Parameter(torch.zeros(1, d, side, side))
        self.time_embedding = nn.Parameter(torch.zeros(config.frames, d))
        self.patch_norm = nn.LayerNorm(d)
        self.pose_projection = nn.Linear(config.width, d)
        self.pose_norm = nn.LayerNorm(d)
        self.joint_embedding = nn.Parameter(torch.zeros(config.joints, d))
        self.person_embedding = nn.Parameter(torch.zeros(config.people, d))
        known = 5 + config.joints * config.pose_distances + 2 * TRAIL * config.pose_trail
        self.geometry = nn.Sequential(nn.Linear(known, d), nn.GELU(), nn.Linear(d, d)) if config.pose_geometry else None
        self.track = Track(config.joints, d, config.dropout, config.backbone_norm) if config.pose_track else None
        for embedding in (self.spatial_embedding, self.time_embedding, self.joint_embedding, self.person_embedding):
            nn.init.trunc_normal_(embedding, std=0.02)

    def patches(self, features_b: Tensor) -> Tensor:
        """F_b [B, d, T, H/8, W/8] -> Z [B, T, S, d]."""
        frames, height, width = features_b.shape[-3:]
        spatial: Tensor = self.spatial_embedding
        if spatial.shape[-2:] != (height, width):
            spatial = F.interpolate(spatial, size=(height, width), mode="bilinear", align_corners=False)
        z = self.patch_norm(rearrange(features_b, "b d t h w -> b t (h w) d"))
        z = z + rearrange(spatial, "1 d h w -> 1 1 (h w) d")
        return z + resize_time(self.time_embedding, frames)[:, None]

    def pose(self, features_a: Tensor, joints: Tensor, score: Tensor) -> Tensor:
        """F_a and joints [B, T, M, J, 2] or [B, T, M, J, TRAIL, 2] (image pixels) -> P [B, T, M * J, d], person by
        person."""
        batch, frames, people, count = score.shape
        joints, score = joints.float(), score.float()
        places = at_frame(joints) if self.config.pose_trail else joints
        sigma = self.config.sigma * 2 * features_a.shape[-2] / 224
        with torch.autocast(features_a.device.type, enabled=False):
            read = joint_features(
                features_a.float(),
                places.reshape(batch, frames, people * count, 2),
                score.reshape(batch, frames, people * count),
                sigma,
                self.config.normalise_heatmap,
            )
        p = self.pose_norm(self.pose_projection(read)).reshape(batch, frames, people, count, -1)
        if self.geometry is not None:
            p = p + self.geometry(joint_geometry(joints, score, self.config.pose_distances))
        if self.track is not None:
            with torch.autocast(features_a.device.type, enabled=False):
                p = p + self.track(joints, score)[:, :, :, None]
        person = torch.arange(people, device=p.device).clamp_max(self.config.people - 1)
        p = p + self.joint_embedding + self.person_embedding[person][:, None]
        return (p + resize_time(self.time_embedding, frames)[:, None, None]).flatten(2, 3)
