"""Stages, epochs, batches and the learning rate; the groups of the optimiser and the moving average."""

import itertools
import math

import pytest
import torch

from model import PRESETS, DeformableTransformer
from training.optimiser import OptimiserConfig, make_optimiser, moving_average, parameter_groups, set_rate
from training.schedule import Stage, derived_seed, epoch_batches, make_plan

STAGES = (Stage(epochs=2, size=32, frames=4, batch=4), Stage(epochs=1, size=64, frames=8, batch=2))


def test_a_stage_multiplies_the_rate() -> None:
    stages = (Stage(epochs=2, batch=2), Stage(epochs=1, batch=2, lr=3.0))
    plain = make_plan((stages[0], Stage(epochs=1, batch=2)), 8, warmup_epochs=1)
    plan = make_plan(stages, 8, warmup_epochs=1)
    for step in range(plan.steps):
        assert plan.rate(step) == pytest.approx(plain.rate(step) * (3 if step >= 8 else 1))
    with pytest.raises(ValueError, match="has lr 0"):
        Stage(lr=0)


def test_a_restart_begins_a_cosine_of_its_own() -> None:
    """What comes before is a run that ends there, and what comes after is a run without warm-up."""
    early, late = (Stage(epochs=2, batch=2), Stage(epochs=1, batch=4)), Stage(epochs=3, batch=2, lr=0.4, restart=True)
    plan = make_plan((*early, late, Stage(epochs=1, batch=2)), 8, warmup_epochs=1, final=0.1)
    before = make_plan(early, 8, warmup_epochs=1, final=0.1)
    after = make_plan((Stage(epochs=3, batch=2), Stage(epochs=1, batch=2)), 8, warmup_epochs=0, final=0.1)
    assert plan.steps == before.steps + after.steps
    for step in range(before.steps):
        assert plan.rate(step) == before.rate(step)
    for step in range(after.steps):
        factor = 0.4 if step < 12 else 1
        assert plan.rate(before.steps + step) == pytest.approx(factor * after.rate(step))
    assert make_plan((Stage(epochs=2, batch=2, restart=True),), 8).rate(3) == make_plan(
        (Stage(epochs=2, batch=2),), 8
    ).rate(3)


def test_plan_lays_stages_end_to_end() -> None:
    plan = make_plan(STAGES, clips=10, warmup_epochs=1)
    assert [(epoch.first, epoch.steps, epoch.stage_index) for epoch in plan.epochs] == [(0, 2, 0), (2, 2, 0), (4, 5, 1)]
    assert plan.steps == 9
    assert plan.warmup == 2


def test_rate_rises_linearly_then_follows_half_a_cosine() -> None:
    plan = make_plan((Stage(epochs=6, batch=2),), clips=20, warmup_epochs=2, final=0.1)  # 60 steps, 20 of warm-up
    assert plan.rate(0) == pytest.approx(1 / 20)
    assert plan.rate(9) == pytest.approx(10 / 20)
    assert plan.rate(19) == plan.rate(20) == 1
    assert plan.rate(40) == pytest.approx(0.1 + 0.9 / 2)  # halfway down
    assert plan.rate(59) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * 39 / 40)) / 2)


def test_rate_does_not_jump_between_stages() -> None:
    plan = make_plan(STAGES, clips=400, warmup_epochs=0.5)
    rates = [plan.rate(step) for step in range(plan.steps)]
    assert plan.warmup == 50
    assert all(0 < rate <= 1 for rate in rates)
    assert max(abs(a - b) for a, b in itertools.pairwise(rates)) <= 1 / 50 + 1e-9


def test_warmup_may_be_longer_than_the_run() -> None:
    plan = make_plan((Stage(epochs=1, batch=2),), clips=4, warmup_epochs=5)
    assert 0 < plan.rate(0) <= plan.rate(1) <= 1


def test_a_run_that_cannot_fill_a_step_says_what_to_lower() -> None:
    with pytest.raises(ValueError, match=r"lower optimiser\.accumulate"):
        make_plan((Stage(batch=4),), clips=6, accumulate=2)
    with pytest.raises(ValueError, match="no stages"):
        make_plan((), clips=6)
    with pytest.raises(ValueError, match="multiple of 8"):
        Stage(size=50)


def test_batches_visit_every_clip_once_in_an_order_that_epochs_do_not_share() -> None:
    plan = make_plan((Stage(epochs=2, batch=4),), clips=12)
    first, second = (epoch_batches(epoch, 12, 1, seed=3) for epoch in plan.epochs)
    assert [len(batch) for batch in first] == [4, 4, 4]
    assert sorted(itertools.chain(*first)) == list(range(12))
    assert first != second
    assert first == epoch_batches(plan.epochs[0], 12, 1, seed=3)
    assert first != epoch_batches(plan.epochs[0], 12, 1, seed=4)


def test_accumulation_gives_each_step_several_batches() -> None:
    plan = make_plan((Stage(epochs=1, batch=2),), clips=13, accumulate=3)
    assert plan.steps == 2
    assert [len(batch) for batch in epoch_batches(plan.epochs[0], 13, 3, seed=0)] == [2] * 6


def test_derived_seeds_do_not_collide_nearby() -> None:
    seeds = {derived_seed(a, b, c) for a in range(8) for b in range(8) for c in range(64)}
    assert len(seeds) == 8 * 8 * 64
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(1, 2) != derived_seed(2, 1)


def test_every_parameter_is_in_one_group_with_the_right_rate_and_decay() -> None:
    network = DeformableTransformer(PRESETS["tiny"](width=4))
    config = OptimiserConfig(lr=0.01, weight_decay=0.2, offset_lr=0.1, backbone_lr=0.3)
    groups = parameter_groups(network, config)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())
    where = {id(p): group for group in groups for p in group["params"]}
    expected = {
        "layers.0.deformable.search.conv.weight": (0.001, 0.2),
        "layers.1.deformable.search.offset.weight": (0.001, 0.2),
        "layers.0.deformable.search.norm.bias": (0.001, 0.0),
        "backbone.stem.0.weight": (0.003, 0.2),
        "backbone.stem.1.weight": (0.003, 0.0),
        "tokenizer.spatial_embedding": (0.01, 0.0),
        "tokenizer.joint_embedding": (0.01, 0.0),
        "modal.tokens": (0.01, 0.0),
        "head.weight": (0.01, 0.2),
        "head.bias": (0.01, 0.0),
    }
    parameters = dict(network.named_parameters())
    for name, (lr, decay) in expected.items():
        group = where[id(parameters[name])]
        assert (group["lr"], group["weight_decay"]) == (pytest.approx(lr), pytest.approx(decay)), name


def test_set_rate_keeps_the_parts() -> None:
    network = DeformableTransformer(PRESETS["tiny"](width=4))
    optimiser = make_optimiser(network, OptimiserConfig(lr=1e-3, offset_lr=0.1))
    set_rate(optimiser, 0.5)
    assert {group["name"].split(",")[0]: group["lr"] for group in optimiser.param_groups} == {
        "base": 0.5,
        "backbone": 0.5,
        "offsets": 0.05,
    }


def test_moving_average_follows_weights_and_batch_statistics() -> None:
    network = DeformableTransformer(PRESETS["tiny"](width=4))
    average = moving_average(network, decay=0.5)

    def fill(value: float) -> None:
        with torch.no_grad():
            network.head.bias.fill_(value)
            network.backbone.stem[1].running_mean.fill_(value)
            network.backbone.stem[1].num_batches_tracked.fill_(int(value))

    fill(1.0)
    average.update_parameters(network)  # the first call copies
    fill(3.0)
    average.update_parameters(network)  # decay is (1 + 1) / (10 + 1) this early
    early = 1 * 2 / 11 + 3 * 9 / 11
    assert average.module.head.bias[0].item() == pytest.approx(early)
    assert average.module.backbone.stem[1].running_mean[0].item() == pytest.approx(early)
    for _ in range(40):
        average.update_parameters(network)
    fill(5.0)
    average.update_parameters(network)  # late, the decay is the configured half
    assert average.module.head.bias[0].item() == pytest.approx(4.0, abs=1e-4)
    assert average.module.backbone.stem[1].num_batches_tracked.item() == 5  # counts are not averaged
