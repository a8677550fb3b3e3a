"""Attributions: which pixels, joints or tokens change the score, asked of the gradient.

saliency                how fast the score changes when this changes a little
smoothgrad              the same, averaged over noisy copies
input x gradient        how far the score would move on the way to the baseline if the network were linear
integrated gradients    the same, exact over the whole way (captum's quadrature): the parts sum to the difference
gradient SHAP           the same from many noisy baselines, one random step of the way each
grad-cam                channels of F_b, weighted by their mean gradient

Every method asks at a `Site`: an input of the network, or a tap at which it takes another tensor. The network itself
is never touched: a copy that shares its parameters, but asks for no gradient of them, stands in for it. That saves
the memory of those gradients, leaves no `.grad` behind, and lets threads explain with one network at once.

captum does the plain gradient and the integral. Its noise (GradientShap, NoiseTunnel) comes from the generators that
all threads share, and its layer methods hang hooks on modules; both are done here instead.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import captum
import cv2
import numpy as np
import torch
from captum.attr import IntegratedGradients, Saliency
from einops import rearrange
from torch import Tensor, nn

from model.tap import FEATURES_A, FEATURES_B, recording, tokens_tap
from xai.explanation import Explanation, MadeBy
from xai.methods import Method
from xai.question import Question

TAPS = {
    "features_a": FEATURES_A,
    "features_b": FEATURES_B,
    "patches": tokens_tap(0, "patches"),
    "pose": tokens_tap(0, "pose"),
    "modal": tokens_tap(0, "modal"),
}
SITES = ("frames", "joints", *TAPS)

BASELINES = {
    "frames": ("mean colour", "blur"),
    "joints": ("still",),
    **dict.fromkeys(TAPS, ("mean", "zero")),
}
"""What "not there" means, the default first.

frames: every pixel has the mean colour of the training data (zero after normalisation); or the frame, blurred.
joints: every joint stands still at its mean place in the clip, so what is explained is how the joints move.
features and tokens: the mean of the clip, so what is explained is where they differ from it; or zero. A LayerNorm
reads zero and almost zero quite differently: from there, the sum of the parts may miss much of the difference.
"""

BATCH_VALUES = 10_000_000
"""Frames x pixels x channels (a quarter of d) that one pass with a gradient may hold, unless one clip has more.
Bounds the memory: 1.3 GB at 224 px, 12 frames and d = 256, one clip at a time."""


@dataclass(frozen=True, eq=False)
class Site:
    """A place where the network can be given another tensor, and the score as a function of what stands there."""

    question: Question
    on: str
    network: nn.Module
    given: tuple[Tensor, Tensor, Tensor]
    """frames, joints and score as the network reads them."""
    value: Tensor
    """What stands there: [1, ...]."""

    @classmethod
    def at(cls, question: Question, on: str) -> Site:
        """The site called `on`. Raises: ValueError if the clip or the network does not have it."""
        if on not in SITES:
            raise ValueError(f"There is no {on!r} to attribute to; there are {', '.join(SITES)}.")
        if on in ("joints", "pose") and not question.seen.score.any():
            raise ValueError(f"An attribution to {on} needs a clip with joints, and this one has none.")
        frames, joints, score = (tensor.clone() for tensor in question.tensors)
        network = _twin(question.recognizer.network)
        if on == "frames":
            return cls(question, on, network, (frames, joints, score), frames)
        with torch.no_grad():
            if (backbone := getattr(network, "backbone", None)) is not None:
                network.backbone = _Given(backbone(frames))  # it need not run again
            if on == "joints":
                return cls(question, on, network, (frames, joints, score), joints)
            found: dict[str, Tensor] = {}
            with recording(lambda name, value: found.update({name: value}) if name == TAPS[on] else None):
                network(frames, joints, score)
        value = found.get(TAPS[on])
        if value is None or not value.numel():
            raise ValueError(f"This network has no {on} to attribute to; every network has frames.")
        return cls(question, on, network, (frames, joints, score), value.clone())

    @property
    def config(self) -> Any:
        return self.question.recognizer.network.config

    def score(self, values: Tensor) -> Tensor:
        """The score [B] if `values` [B, ...] stood here."""
        frames, joints, score = (tensor.expand(len(values), *tensor.shape[1:]) for tensor in self.given)
        frames = values if self.on == "frames" else frames
        joints = values if self.on == "joints" else joints
        tap = TAPS.get(self.on)
        with nullcontext() if tap is None else recording(lambda name, _: values if name == tap else None):
            found = self.question.score(self.network(frames, joints, score))
        # A network that ignores what stands here has the gradient zero, and not none.
        return found + 0 * values.flatten(1).sum(1)

    @property
    def batch(self) -> int:
        """How many copies pass at once with a gradient."""
        frames = self.given[0]
        values = frames[0, 0].numel() * self.config.dim // 4
        return min(8, max(1, BATCH_VALUES // values))

    @property
    def seen(self) -> Tensor:
        """[1, T, M, J, 1] (with a trail [1, T, M, J, 1, 1]): 1 for joints that are seen, 0 for others."""
        joints, score = self.given[1:]
        return (score > 0).reshape(*score.shape, *(1,) * (joints.ndim - score.ndim)).to(joints.dtype)

    @property
    def spread(self) -> float:
        """Standard deviation of what stands here; of joints, around the mean place of each person."""
        if self.on != "joints":
            return float(self.value.std(correction=0))
        seen = self.seen.expand_as(self.value[..., :1])
        over = (1, 3, *self.on_the_way)
        centre = (self.value * seen).sum(over, keepdim=True) / seen.sum(over, keepdim=True).clamp_min(1)
        return float((((self.value - centre) * seen).square().sum() / (2 * seen.sum()).clamp_min(1)).sqrt())

    def baseline(self, name: str | None) -> tuple[str, Tensor]:
        """The baseline called `name`, or the default one: its name and a tensor like `value`."""
        name = BASELINES[self.on][0] if name is None else name
        if name not in BASELINES[self.on]:
            raise ValueError(f"{self.on} have no baseline {name!r}; they have {', '.join(BASELINES[self.on])}.")
        if name == "blur":
            return name, _blurred(self.value)
        if name == "still":
            seen, over = self.seen.expand_as(self.value[..., :1]), (1, *self.on_the_way)
            still = (self.value * seen).sum(over, keepdim=True) / seen.sum(over, keepdim=True).clamp_min(1)
            return name, torch.where(seen > 0, still, self.value)
        if name == "mean":
            everywhere = {"patches": (1, 2), "pose": (1, 2), "modal": (2,)}.get(self.on, (2, 3, 4))
            return name, self.value.mean(everywhere, keepdim=True).expand_as(self.value).clone()
        return name, torch.zeros_like(self.value)

    def map(self, values: Tensor, made_by: MadeBy, unit: str, **about: Any) -> Explanation:
        """The explanation of `values`, one for each cell, joint or token: `value`'s shape without the channels."""
        question, found = self.question, values[0].detach().float().cpu()
        if self.on == "frames":
            return question.pixel_map(found, made_by, unit, **about)
        if self.on == "joints":
            return question.joint_map(question.in_layout(found.numpy()), made_by, unit, **about)
        if self.on == "pose":
            people = self.given[1].shape[2]
            apart = rearrange(found.numpy(), "t (m j) -> t m j", m=people)
            return question.joint_map(question.in_layout(apart), made_by, unit, **about)
        if self.on == "modal":
            return question.token_map(found.T, self.config.roles, made_by, unit, **about)
        if self.on == "patches":
            found = rearrange(found, "t (y x) -> t y x", y=question.view.size[0] // getattr(self.config, "patch", 8))
        # A convolution centres its cells on every 2nd or 8th pixel; a ViT cuts the view into patches.
        stride = {"features_a": 2}.get(self.on, 8) if hasattr(self.network, "backbone") else 0
        return question.pixel_map(found, made_by, unit, stride=stride, **about)

    @property
    def on_the_way(self) -> tuple[int, ...]:
        """The dimension of joints along their trail, if they come with one."""
        return tuple(range(4, self.value.ndim - 1)) if self.on == "joints" else ()

    @property
    def channels(self) -> tuple[int, ...]:
        """The dimensions of `value` that a map sums over: colours, (x, y) and the trail of a joint, or channels."""
        return (1,) if self.on in ("frames", "features_a", "features_b") else (*self.on_the_way, self.value.ndim - 1)

    @property
    def step(self) -> str:
        """Unit of a small change here."""
        return {"frames": "standard deviation of colour", "joints": "pixel"}.get(self.on, "unit of activation")


class Passes:
    """The score at a site, for captum; tells the one who asked how many passes are done before each."""

    def __init__(self, site: Site, total: int) -> None:
        self.site, self.total, self.done = site, total, 0

    def __call__(self, values: Tensor) -> Tensor:
        self.site.question.progress(self.done, self.total)
        scores = self.site.score(values)
        self.done += 1
        return scores

    def gradient(self, values: Tensor) -> Tensor:
        """The gradient [B, ...] of each score with respect to its own values."""
        return Saliency(self).attribute(values.detach().clone().requires_grad_(), abs=False).detach()

    def finish(self) -> None:
        self.site.question.progress(self.total, self.total)


@torch.inference_mode(False)
def saliency(question: Question, on: str) -> Explanation:
    """Simonyan et al. 2014: the length of the gradient over the channels of each place.

    On joints, `companions["direction"]` [T, M, J, 2] is the gradient itself: which way, in pixels of the clip (x, y),
    a joint would have to move for the score to grow.
    """
    site = Site.at(question, on)
    passes = Passes(site, 1)
    gradient = passes.gradient(site.value)
    passes.finish()
    return _steepness(site, gradient, _made_by(question, "saliency"))


@torch.inference_mode(False)
def smoothgrad(question: Question, on: str, samples: int = 16, noise: float = 0.15) -> Explanation:
    """Smilkov et al. 2017: the length of the mean gradient over `samples` noisy copies.

    `noise` is a part of the standard deviation of what is explained. Companion as for saliency.
    """
    _positive(samples=samples, noise=noise)
    site = Site.at(question, on)
    total = torch.zeros_like(site.value)
    passes = Passes(site, -(-samples // site.batch))
    draw = _noise(site, noise)
    for start in range(0, samples, site.batch):
        count = min(site.batch, samples - start)
        total += passes.gradient(torch.cat([site.value + draw() for _ in range(count)])).sum(0, keepdim=True)
    passes.finish()
    return _steepness(site, total / samples, _made_by(question, "smoothgrad", samples=samples, noise=noise))


@torch.inference_mode(False)
def input_x_gradient(question: Question, on: str, baseline: str | None = None) -> Explanation:
    """The gradient times the way from the baseline; companion "completeness" as for integrated gradients."""
    site = Site.at(question, on)
    named, start = site.baseline(baseline)
    passes = Passes(site, 1 + _ends(site))
    parts = passes.gradient(site.value) * (site.value - start)
    made_by = _made_by(question, "input x gradient", baseline=named)
    return _parts(site, passes, parts, start, made_by)


@torch.inference_mode(False)
def integrated_gradients(question: Question, on: str, steps: int = 32, baseline: str | None = None) -> Explanation:
    """Sundararajan et al. 2017: the gradient along the straight way from the baseline, times the way.

    `companions["completeness"]` [2]: the sum of all parts, and the difference of the score here and at the baseline.
    They are equal for enough `steps` (Gauss-Legendre nodes); how far they are apart says what the map leaves out.
    """
    _positive(steps=steps)
    site = Site.at(question, on)
    named, start = site.baseline(baseline)
    passes = Passes(site, -(-steps // site.batch) + _ends(site))
    parts = IntegratedGradients(passes).attribute(
        site.value, start, n_steps=steps, method="gausslegendre", internal_batch_size=site.batch
    )
    made_by = _made_by(question, "integrated gradients", steps=steps, baseline=named)
    return _parts(site, passes, parts.detach(), start, made_by)


@torch.inference_mode(False)
def gradient_shap(
    question: Question, on: str, samples: int = 32, noise: float = 0.15, baseline: str | None = None
) -> Explanation:
    """Expected gradients (Lundberg and Lee 2017, Erion et al. 2021): every sample has its own noisy baseline and one
    random place on the way from it, so that no single baseline decides.

    The places are drawn one in each of `samples` equal parts of the way. `companions["completeness"]` as for
    integrated gradients, with the mean score of the baselines; here the two agree in expectation only.
    """
    _positive(samples=samples, noise=noise)
    site = Site.at(question, on)
    named, centre = site.baseline(baseline)
    passes = Passes(site, 2 * -(-samples // site.batch) + 1)
    generator = torch.Generator().manual_seed(question.seed)
    draw = _noise(site, noise, generator)
    parts, scores = torch.zeros_like(site.value), 0.0
    for first in range(0, samples, site.batch):
        count = min(site.batch, samples - first)
        starts = torch.cat([centre + draw() for _ in range(count)])
        along = (torch.arange(first, first + count) + torch.rand(count, generator=generator)) / samples
        along = along.to(site.value).view(-1, *[1] * (site.value.ndim - 1))
        way = site.value - starts
        parts += (passes.gradient(starts + along * way) * way).sum(0, keepdim=True) / samples
        with torch.no_grad():
            scores += float(passes(starts).sum()) / samples
    with torch.no_grad():
        difference = float(passes(site.value)) - scores
    passes.finish()
    made_by = _made_by(question, "gradient SHAP", samples=samples, noise=noise, baseline=named)
    completeness = {"completeness": np.array([float(parts.double().sum()), difference])}
    return site.map(parts.sum(site.channels), made_by, "logit", companions=completeness)


@torch.inference_mode(False)
def grad_cam(question: Question, on: str) -> Explanation:
    """Selvaraju et al. 2017, over space and time: channels weighted by their mean gradient, where the sum is positive.

    F_a reaches the score through the pose tokens alone here: the path over F_b is not followed back.
    """
    site = Site.at(question, on)
    passes = Passes(site, 1)
    weight = passes.gradient(site.value).mean((2, 3, 4), keepdim=True)
    passes.finish()
    cam = (weight * site.value).sum(site.channels).relu()
    return site.map(cam, _made_by(question, "grad-cam"), "logit", **_even(cam))


METHODS: tuple[Method, ...] = (
    Method(
        "saliency", "gradient", "How fast the score changes when this pixel, joint or token changes a little.",
        "logit per unit", SITES, "1 forward, 1 backward", saliency, signed=False,
    ),
    Method(
        "smoothgrad", "gradient", "How fast the score changes, averaged over copies with a little noise.",
        "logit per unit", SITES, "16 forward, 16 backward", smoothgrad, signed=False,
    ),
    Method(
        "input x gradient", "gradient", "What this would add to the score, against the baseline, in a linear network.",
        "logit", SITES, "3 forward, 1 backward", input_x_gradient,
    ),
    Method(
        "integrated gradients", "gradient", "What this adds to the score on the straight way from the baseline.",
        "logit", SITES, "34 forward, 32 backward", integrated_gradients,
    ),
    Method(
        "gradient SHAP", "gradient", "What this adds to the score on the way from many noisy baselines.",
        "logit", SITES, "65 forward, 32 backward", gradient_shap,
    ),
    Method(
        "grad-cam", "gradient", "Where the channels of F_b are active that raise the score.",
        "logit", ("features_b", "features_a"), "1 forward, 1 backward", grad_cam, signed=False,
    ),
)  # fmt: skip


class _Given(nn.Module):
    """A backbone that has run: F_a and F_b of one clip, as often as asked."""

    def __init__(self, features: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.features = features

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        a, b = (tensor.expand(len(frames), *tensor.shape[1:]) for tensor in self.features)
        return a, b


def _twin(network: nn.Module) -> nn.Module:
    """A copy of the modules around the same numbers, which are constants to it: no gradient of them is kept."""
    shared = {id(tensor): tensor.detach() for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared)


def _steepness(site: Site, gradient: Tensor, made_by: MadeBy) -> Explanation:
    """The map of the lengths of a gradient; for joints, a step is a pixel of the clip."""
    about: dict[str, Any] = {}
    if site.on == "joints":
        gradient = gradient.sum(site.on_the_way) if site.on_the_way else gradient  # a joint moves with its trail
        gradient = gradient @ torch.as_tensor(site.question.view.matrix[:, :2]).to(gradient)
        along = np.moveaxis(gradient[0].cpu().numpy(), -1, 0)
        about["companions"] = {"direction": np.moveaxis(site.question.in_layout(along), 0, -1)}
    length = torch.linalg.vector_norm(gradient, dim=-1 if site.on == "joints" else site.channels)
    return site.map(length, made_by, f"logit per {site.step}", **about, **_even(length))


def _parts(site: Site, passes: Passes, parts: Tensor, start: Tensor, made_by: MadeBy) -> Explanation:
    """The map of parts of a difference, with what they sum to and the difference itself."""
    with torch.no_grad():
        ends = torch.cat([site.value, start])
        here, there = torch.cat([passes(values) for values in ends.split(min(2, site.batch))]).tolist()
    passes.finish()
    completeness = {"completeness": np.array([float(parts.double().sum()), here - there])}
    return site.map(parts.sum(site.channels), made_by, "logit", companions=completeness)


def _ends(site: Site) -> int:
    """Passes that `_parts` makes."""
    return 1 if site.batch > 1 else 2


def _even(values: Tensor) -> dict[str, Any]:
    return {"base_rate": float(values.mean()), "base_rate_of": "the same total, spread evenly"}


def _noise(site: Site, noise: float, generator: torch.Generator | None = None) -> Callable[[], Tensor]:
    """Draws noise for one copy of the site's value; seeded by the question, so that its seed alone decides."""
    generator = generator or torch.Generator().manual_seed(site.question.seed)
    size = noise * site.spread * (site.seen if site.on == "joints" else 1)
    shape = [1 if axis in site.on_the_way else length for axis, length in enumerate(site.value.shape)]

    def draw() -> Tensor:  # a joint and its trail move together
        return (torch.randn(shape, generator=generator).to(site.value) * size).expand_as(site.value)

    return draw


def _made_by(question: Question, method: str, **options: Any) -> MadeBy:
    made_by = question.made_by(method, **options)
    return replace(made_by, versions={**made_by.versions, "captum": captum.__version__})


def _blurred(frames: Tensor) -> Tensor:
    """frames [1, 3, T, h, w] under a Gaussian of a tenth of the height: shapes go, colours stay."""
    images = rearrange(frames[0].cpu().numpy(), "c t h w -> t h w c")
    sigma = images.shape[1] / 10
    soft = np.stack([cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), sigma) for image in images])
    return torch.from_numpy(rearrange(soft, "t h w c -> 1 c t h w").copy()).to(frames)


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number <= 1000:
            raise ValueError(f"{name} is {number}; it must lie between 0 and 1000.")
