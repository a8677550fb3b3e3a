"""The loop: it learns, it validates on the right clips, it writes what it says, and it refuses what it cannot do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import model
from model import ModelConfig
from tests.training.squares import Squares
from training.batches import Batch, TrainingViews
from training.checkpointing import RunError, load_state, make_card, read_log, recipe_in_words, save_state
from training.config import ConfigError, DataConfig, RunConfig, ScheduleConfig, TrainConfig, check_recipe, resolve
from training.cost import model_cost
from training.distributed import Peers
from training.engine import Run
from training.evaluate import LESS, Reading, evaluate, hide, predict, shuffled
from training.initialise import initialise
from training.optimiser import OptimiserConfig
from training.recognizer import Recognizer
from training.schedule import Stage, make_plan
from training.sources import for_labels, repeated, split_of, with_labels
from training.transforms import Augmentation, Normalisation, batch
from training.view import AROUND, centre_view, clips_and_crops

STILL = Augmentation(
    smallest=1, aspect=1, outside=0, jitter_frames=False, brightness=0, contrast=0, saturation=0, joint_noise=0,
    joint_dropout=0,
)  # fmt: skip


def small(**changes: object) -> TrainConfig:
    """A network of a few thousand weights, for clips of 32 px."""
    config = TrainConfig(
        name="squares",
        model=ModelConfig(
            width=4, layers=1, heads=1, offset_kernel=3, dropout=0.1, drop_path=0.1, people=1, ffn_ratio=1
        ),
        data=DataConfig(source="", pack=False, workers=0),
        optimiser=OptimiserConfig(lr=0.01, ema=0.9, label_smoothing=0),
        schedule=ScheduleConfig(stages=(Stage(epochs=1, size=32, frames=4, batch=4),), warmup_epochs=0),
        run=RunConfig(threads=1, log_every=2, device="cpu"),
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def start(config: TrainConfig, folder: Path, data: Squares | None = None, resume: bool = False) -> Run:
    data = data or Squares()
    said: list[str] = []
    run = Run(config, folder, split_of(data, "train"), split_of(data, "val"), resume=resume, say=said.append)
    run.said = said  # type: ignore[attr-defined]
    return run


def test_a_batch_can_be_learnt_by_heart_and_the_average_has_learnt_it_too(tmp_path: Path) -> None:
    config = small(
        augmentation=STILL,
        schedule=ScheduleConfig(
            stages=(Stage(epochs=25, size=32, frames=4, batch=4),), warmup_epochs=2, validate_every=25
        ),
    )
    config = replace(config, model=replace(config.model, dropout=0.0, drop_path=0.0))
    data = Squares(train=4, val=4)
    run = start(config, tmp_path / "x", data)
    run.train()
    log = [entry for entry in read_log(tmp_path / "x" / "log.jsonl") if entry["kind"] == "epoch"]
    assert log[-1]["train_loss"] < 0.1 < 0.3 < log[0]["train_loss"]
    network, card = model.load(tmp_path / "x" / "last.safetensors")
    # four clips a step: batch statistics are noise, and only their average serves evaluation
    assert evaluate(network, split_of(data, "train"), size=card.size, frames=card.frames).top1 == 1.0


def test_run_folder_holds_what_it_promises(tmp_path: Path) -> None:
    run = start(small(), tmp_path / "x")
    assert run.train()
    names = {file.name for file in (tmp_path / "x").iterdir()} - {"tensorboard"}
    assert names == {
        "config.yaml", "env.json", "log.jsonl", "last.pt", "best.pt", "last.safetensors", "best.safetensors"
    }  # fmt: skip
    log = read_log(tmp_path / "x" / "log.jsonl")
    assert [entry["kind"] for entry in log] == ["start", "step", "step", "step", "epoch"]
    assert [entry["step"] for entry in log[1:]] == [2, 4, 6, 6]
    assert log[1]["lr"] == pytest.approx(0.01 * run.plan.rate(1))
    assert {"val_accuracy", "val_loss", "train_accuracy", "train_loss", "clips_per_s"} <= set(log[-1])
    state = load_state(tmp_path / "x" / "best.pt")
    assert state["step"] == 6
    network, card = model.load(tmp_path / "x" / "best.safetensors")
    assert card.labels == Squares.labels
    assert (card.layout, card.size, card.frames, card.name) == ("jhmdb15", 32, 4, "squares")
    assert card.metrics["val_top1"] == log[-1]["val_accuracy"]
    assert card.trained_on == "squares, 24 clips"
    assert (network.config.classes, network.config.joints, network.config.size) == (2, 15, 32)
    average = {k.removeprefix("module."): v for k, v in state["average"].items() if k != "n_averaged"}
    for name, value in network.state_dict().items():
        assert torch.equal(value, average[name]), name


def test_stages_change_size_and_the_last_one_names_the_best(tmp_path: Path) -> None:
    stages = (Stage(epochs=1, size=32, frames=4, batch=4), Stage(epochs=1, size=40, frames=6, batch=3))
    run = start(small(schedule=ScheduleConfig(stages=stages, warmup_epochs=0)), tmp_path / "x")
    seen: list[tuple[int, ...]] = []
    forward = run.network.forward

    def watch(frames: torch.Tensor, joints: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(frames.shape))
        return forward(frames, joints, score)

    run.network.forward = watch  # type: ignore[method-assign]
    run.train()
    assert seen == [(4, 3, 4, 32, 32)] * 6 + [(3, 3, 6, 40, 40)] * 8
    assert run.best["stage"] == 1
    assert model.read_card(tmp_path / "x" / "best.safetensors")[0].size == 40


def test_a_stage_without_pictures_reads_none_and_leaves_the_trunk_as_it_is(tmp_path: Path) -> None:
    stages = (
        Stage(epochs=1, size=32, frames=4, batch=4, pictures=False),
        Stage(epochs=1, size=32, frames=4, batch=4),
    )
    muted = Augmentation(mute_joints=1.0)  # of the second stage only: nobody learns from neither
    config = small(augmentation=muted, schedule=ScheduleConfig(stages=stages, warmup_epochs=0))
    run = start(config, tmp_path / "x")
    seen: list[tuple[bool, bool]] = []
    states = [{name: value.clone() for name, value in run.network.state_dict().items()}]
    backward, update = run._backward, run._update

    def watch(data: Batch, part: int, pictures: bool) -> int:
        seen.append((bool(data.frames.std((3, 4)).max() > 1e-4), bool(data.score.any())))
        return backward(data, part, pictures)

    def keep() -> None:
        update()
        states.append({name: value.clone() for name, value in run.network.state_dict().items()})

    run._backward, run._update = watch, keep  # type: ignore[method-assign, assignment]
    assert run.train()
    assert seen == [(False, True)] * 6 + [(True, False)] * 6
    start_, middle, end = states[0], states[6], states[12]
    trunk = [name for name in start_ if name.startswith("backbone.")]
    assert all(torch.equal(start_[name], middle[name]) for name in trunk)
    assert not any(torch.equal(middle[name], end[name]) for name in trunk)
    assert not torch.equal(start_["head.weight"], middle["head.weight"])


def test_a_trunk_of_another_run_may_stay_as_it_is(tmp_path: Path) -> None:
    first = start(small(), tmp_path / "first")
    assert first.train()
    config = small(optimiser=OptimiserConfig(lr=0.01, ema=0.9, backbone_lr=0.0))
    config = replace(
        config,
        model=replace(config.model, backbone_norm="frozen", joint="off"),  # type: ignore[call-arg]
        run=replace(config.run, backbone_weights=str(tmp_path / "first" / "last.safetensors")),
    )
    run = start(config, tmp_path / "second")
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    assert run.train()
    theirs, after = model.load(tmp_path / "first" / "last.safetensors")[0].state_dict(), run.network.state_dict()
    trunk = [name for name in before if name.startswith("backbone.")]
    assert all(torch.equal(before[name], after[name]) and torch.equal(theirs[name], after[name]) for name in trunk)
    assert all(parameter.grad is None for parameter in run.network.backbone.parameters())  # type: ignore[union-attr]
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_a_trunk_that_was_made_for_other_pictures_is_refused(tmp_path: Path) -> None:
    assert start(small(), tmp_path / "first").train()
    config = small(run=RunConfig(backbone_weights=str(tmp_path / "first" / "last.safetensors")))
    grey = replace(config, normalisation=Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    motion = replace(config, model=replace(config.model, backbone_reads="motion"))  # type: ignore[call-arg]
    for other, said in (
        (grey, r"its normalisation\.mean is \[0\.43"),
        (motion, "backbone_reads is colour and not motion"),
    ):
        with pytest.raises(ConfigError, match=said):
            start(other, tmp_path / "second")


def test_a_run_goes_on_with_another_number_of_processes_and_says_so(tmp_path: Path) -> None:
    assert start(small(), tmp_path / "x").train()
    environment = json.loads((tmp_path / "x" / "env.json").read_text())
    assert not start(small(), tmp_path / "x", resume=True).said  # type: ignore[attr-defined]
    (tmp_path / "x" / "env.json").write_text(json.dumps(environment | {"processes": 4}))
    said = start(small(), tmp_path / "x", resume=True).said  # type: ignore[attr-defined]
    assert "started by 4 processes and not 1" in said[-1]


def test_a_stage_without_pictures_is_validated_without_them(tmp_path: Path) -> None:
    stages = (Stage(epochs=1, size=32, frames=4, batch=4, pictures=False),)
    run = start(small(schedule=ScheduleConfig(stages=stages, warmup_epochs=0)), tmp_path / "x")
    assert run.train()
    (entry,) = (entry for entry in read_log(tmp_path / "x" / "log.jsonl") if entry["kind"] == "epoch")
    alone, both = (
        evaluate(run.evaluated, run.val_data, size=32, frames=4, batch_size=4, muted=muted).loss
        for muted in ("frames", None)
    )
    assert entry["val_loss"] == alone != both


def test_the_moving_average_begins_anew_with_every_stage(tmp_path: Path) -> None:
    stages = (Stage(epochs=2, size=32, frames=4, batch=4), Stage(epochs=1, size=40, frames=4, batch=4))
    run = start(small(schedule=ScheduleConfig(stages=stages, warmup_epochs=0)), tmp_path / "x")
    name = "backbone.stem.1.running_mean"
    seen: list[torch.Tensor] = []
    update = run._update

    def watch() -> None:
        update()
        seen.append(run.network.state_dict()[name].clone())

    run._update = watch  # type: ignore[method-assign]
    assert run.train()
    first = run.plan.epochs[2].first
    wanted = seen[first]
    for n, value in enumerate(seen[first + 1 :], start=1):
        decay = min(run.config.optimiser.ema, (1 + n) / (10 + n))
        wanted = decay * wanted + (1 - decay) * value
    assert torch.allclose(run.evaluated.state_dict()[name], wanted, atol=1e-6)
    assert len(seen) - first == 6


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    """Without batch statistics and noise, 2 x 4 clips give the gradient that 1 x 8 clips give."""
    found = []
    for name, size, accumulate in (("one", 8, 1), ("two", 4, 2)):
        config = small(
            augmentation=STILL,
            schedule=ScheduleConfig(stages=(Stage(epochs=1, size=32, frames=4, batch=size),)),
            optimiser=OptimiserConfig(accumulate=accumulate),
        )
        quiet = replace(config.model, backbone_norm="group", dropout=0.0, drop_path=0.0)
        run = start(replace(config, model=quiet), tmp_path / name, Squares(train=8))
        for part, data in enumerate(run._batches(run.plan.epochs[0])):
            run._backward(data, part)
        found.append(torch.cat([p.grad.flatten() for p in run.network.parameters() if p.grad is not None]))
    assert found[0].abs().max() > 1e-3
    assert torch.allclose(found[0], found[1], atol=1e-5)


def test_views_depend_on_seed_epoch_and_clip_alone() -> None:
    data = split_of(Squares(), "train")
    first, second = make_plan((Stage(epochs=2, size=32, frames=4, batch=4),), clips=24).epochs

    def frames(epoch: object, seed: int, index: int) -> np.ndarray:
        return TrainingViews(data, epoch, Augmentation(), seed)[index][0][0]  # type: ignore[arg-type]

    once = frames(first, 0, 3)
    assert np.array_equal(once, frames(first, 0, 3))
    assert not np.array_equal(once, frames(second, 0, 3))
    assert not np.array_equal(once, frames(first, 1, 3))


def test_a_mirrored_clip_has_the_mirrored_label() -> None:
    data = split_of(Squares(), "train")
    (epoch,) = make_plan((Stage(epochs=1, size=32, frames=4, batch=4),), clips=24).epochs
    views = TrainingViews(data, epoch, replace(STILL, flip=True), seed=0)
    directions, targets = [], []
    for index in range(24):
        (_, joints, _), target = views[index]
        directions.append(int(joints[-1, 0, 0, 0] > joints[0, 0, 0, 0]))
        targets.append(target)
    assert directions == targets
    assert targets != list(data.targets)  # some were mirrored


@pytest.mark.parametrize("swapped", ["frames", "joints"])
def test_a_clip_with_a_modality_of_another_is_called_by_the_rest(swapped: str) -> None:
    data = split_of(Squares(), "train")
    (epoch,) = make_plan((Stage(epochs=1, size=32, frames=4, batch=4),), clips=24).epochs
    views = TrainingViews(data, epoch, replace(STILL, **{f"swap_{swapped}": 1.0}), seed=0)  # type: ignore[arg-type]
    by_frames, by_joints, targets = [], [], []
    for index in range(24):
        (frames, joints, _), target = views[index]
        lit = (frames[..., 0] > 150).sum(1)  # [T, w]; nothing but the square is as bright
        middle = (lit * np.arange(32)).sum(1) / lit.sum(1)
        by_frames.append(int(middle[-1] > middle[0]))
        by_joints.append(int(joints[-1, 0, 0, 0] > joints[0, 0, 0, 0]))
        targets.append(target)
    kept, taken = (by_frames, by_joints) if swapped == "joints" else (by_joints, by_frames)
    assert kept == targets == list(data.targets)
    assert 6 <= sum(a != b for a, b in zip(taken, targets, strict=True)) <= 18


def test_mirroring_needs_labels_that_can_be_mirrored(tmp_path: Path) -> None:
    data = Squares()
    data.flipped = lambda label: None  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"set augmentation\.flip=false"):
        start(small(augmentation=Augmentation(flip=True)), tmp_path / "x", data)
    one_side = with_labels(split_of(Squares(), "train"), ("goes left",))
    assert one_side.mirrored is None


def test_a_full_disk_costs_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_state(path, {"step": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_state(path, {"step": 2})
    assert load_state(path)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save({"format_version": 1, "config": small()}, tmp_path / "last.pt")
    with pytest.raises(RunError, match="not a checkpoint of a run"):
        load_state(tmp_path / "last.pt")
    torch.save({"format_version": 99}, tmp_path / "last.pt")
    with pytest.raises(RunError, match="format version 99"):
        load_state(tmp_path / "last.pt")


def test_a_run_that_diverges_stops_with_a_sentence_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    run = start(small(), tmp_path / "x")
    with torch.no_grad():
        run.network.head.bias.fill_(float("nan"))
    with pytest.raises(RunError, match=r"lower optimiser\.lr"):
        run.train()
    assert load_state(tmp_path / "x" / "last.pt")["step"] == 0


def test_a_folder_is_not_trained_into_twice(tmp_path: Path) -> None:
    start(small(), tmp_path / "x")
    with pytest.raises(RunError, match="--resume"):
        start(small(), tmp_path / "x")
    with pytest.raises(RunError, match="another configuration"):
        start(small(optimiser=OptimiserConfig(lr=0.5)), tmp_path / "x", resume=True)
    with pytest.raises(RunError, match="clips are not those"):
        start(small(), tmp_path / "x", Squares(train=20), resume=True)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_precisions_run_on_the_cpu(tmp_path: Path, precision: str) -> None:
    config = small(run=RunConfig(threads=1, device="cpu", precision=precision))  # type: ignore[arg-type]
    assert start(config, tmp_path / "x", Squares(train=4, val=2)).train()


def test_starting_weights_are_resized_and_said(tmp_path: Path) -> None:
    start(small(), tmp_path / "x", Squares(train=4, val=2)).train()
    source, _ = model.load(tmp_path / "x" / "last.safetensors")
    larger = model.DeformableTransformer(replace(source.config, size=64, frames=8))
    said = initialise(larger, tmp_path / "x" / "last.safetensors", Squares.labels)
    assert "with its head" in said
    assert "tokenizer.spatial_embedding" in said
    assert torch.equal(larger.backbone.stem[0].weight, source.backbone.stem[0].weight)
    rng = torch.Generator().manual_seed(0)
    frames, joints = torch.randn(1, 3, 8, 64, 64, generator=rng), torch.rand(1, 8, 1, 15, 2, generator=rng) * 64
    inputs = (frames, joints, torch.ones(1, 8, 1, 15))
    # the network resizes by itself at run time, so storing the embeddings at another size changes nothing
    assert torch.allclose(source.eval()(*inputs), larger.eval()(*inputs), atol=1e-4)

    fresh = model.DeformableTransformer(replace(source.config, classes=3))
    head = fresh.head.weight.detach().clone()
    assert "fresh head" in initialise(fresh, tmp_path / "x" / "last.safetensors", ("a", "b", "c"))
    assert torch.equal(fresh.head.weight, head)
    wider = model.DeformableTransformer(replace(source.config, width=8))
    with pytest.raises(ConfigError, match="width 4 instead of 8"):
        initialise(wider, tmp_path / "x" / "last.safetensors", Squares.labels)


def test_a_card_tells_the_whole_history(tmp_path: Path) -> None:
    start(small(), tmp_path / "first").train()
    first = tmp_path / "first" / "last.safetensors"
    run = RunConfig(threads=1, log_every=2, device="cpu", seed=7, init_from=str(first))
    start(small(run=run), tmp_path / "second").train()
    card = model.read_card(tmp_path / "second" / "last.safetensors")[1]
    others = "optimiser.label_smoothing=0, optimiser.ema=0.9, schedule.warmup_epochs=0"
    assert card.recipe == (
        f"1 epoch at 32 px x 4 frames (batch 4); AdamW, peak learning rate 0.01, seed 7; {others}; started from "
        f"weights of: 1 epoch at 32 px x 4 frames (batch 4); AdamW, peak learning rate 0.01, seed 0; {others}"
    )
    assert card.trained_on.endswith(f", {len(Squares().splits['train'])} clips")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.hold_out=false", "data.hold_out=false"),
        ("augmentation.mute_frames=0", "augmentation.swap_frames"),  # that one is left
        ("optimiser.accumulate=4", "optimiser.accumulate=4"),
        ("optimiser.backbone_lr=0", "optimiser.backbone_lr=0"),
        ("schedule.final_lr=0.5", "schedule.final_lr=0.5"),
        ("schedule.stages=[{epochs: 3, size: 48, pictures: false}]", "(batch 16, joints only)"),
        ("run.backbone_weights=FILE", "; trunk started from mc3_18.pth (sha256 "),
        ("run.precision=bf16", 'run.precision="bf16"'),
    ],
)
def test_a_recipe_tells_what_a_result_depends_on(tmp_path: Path, change: str, said: str) -> None:
    (tmp_path / "mc3_18.pth").write_bytes(b"weights")
    usual = recipe_in_words(resolve("jhmdb-cross"))
    told = recipe_in_words(resolve("jhmdb-cross", [change.replace("FILE", str(tmp_path / "mc3_18.pth"))]))
    assert told != usual
    assert said in told
    assert str(tmp_path) not in told


def test_a_recipe_is_the_same_on_every_machine() -> None:
    local = ["data.cache=/scratch", "data.workers=3", "run.threads=1", "run.device=cpu", "run.log_every=7"]
    assert recipe_in_words(resolve("tiny", local)) == recipe_in_words(resolve("tiny"))


def test_a_card_counts_clips_that_are_shown_twice_once() -> None:
    train = split_of(Squares(), "train")
    often = repeated(train, {train.labels[0]: 3})
    assert len(often) > len(train)
    assert make_card(small(), often, {}).trained_on == "squares, 24 clips"


def test_evaluation_counts_every_clip_once_and_can_mute() -> None:
    torch.manual_seed(0)
    network = model.DeformableTransformer(replace(small().model, classes=2, joints=15, size=32, frames=4)).train()
    data = split_of(Squares(test=7), "test")
    logits = predict(network, data, size=32, frames=4, batch_size=3).logits
    assert logits.shape == (7, 2)
    assert network.training  # left as it was
    assert torch.allclose(logits, predict(network, data, size=32, frames=4, batch_size=7).logits, atol=1e-5)
    scores = evaluate(network, data, size=32, frames=4)
    assert scores.clips == 7
    assert sum(map(sum, scores.confusion)) == 7
    blind = predict(network, data, size=32, frames=4, muted="frames").logits
    deaf = predict(network, data, size=32, frames=4, muted="joints").logits
    assert not torch.allclose(blind, logits)
    assert not torch.allclose(deaf, logits)


def test_views_of_a_clip_are_averaged_as_probabilities() -> None:
    torch.manual_seed(0)
    network = model.build(replace(small().model, classes=2, joints=15, size=32, frames=4)).eval()
    data = split_of(Squares(test=5), "test")
    reading = Reading(data, 32, 4, Normalisation(), 4, "fp32", (2, 3))
    (found,) = reading.predictions(network, [None], Peers(), progress=False)
    for row, logits in enumerate(found.logits):
        samples = [view.apply(data.clips[row]) for view in clips_and_crops(data.clips[row], 4, 32, 2, 3)]
        with torch.no_grad():
            each = network(*batch(samples, data.layout, Normalisation())).softmax(-1)
        assert torch.allclose(logits.softmax(-1), each.mean(0), atol=1e-5)
        assert each.std(0).max() > 1e-5
    assert evaluate(network, data, size=32, frames=4, views=(2, 3), batch_size=1).clips == 5


def test_what_is_hidden_is_what_its_name_says() -> None:
    rng = torch.Generator().manual_seed(0)
    pixels, joints = torch.randn(2, 3, 5, 8, 8, generator=rng), torch.rand(2, 5, 1, 15, 2, generator=rng)
    score = torch.rand(2, 5, 1, 15, generator=rng)
    inputs = (pixels, joints, score)
    assert hide(inputs, None, (3, 9)) == inputs
    assert not hide(inputs, "joints", (3, 9))[2].any()
    assert not hide(inputs, "frames", (3, 9))[0].any()
    mixed = hide(inputs, "order", (3, 9))
    for row, number in enumerate((3, 9)):
        order = shuffled(5, number).tolist()
        assert sorted(order) == list(range(5))
        assert order != list(range(5))
        for place, source in enumerate(order):  # frames and joints stay together
            assert torch.equal(mixed[0][row, :, place], pixels[row, :, source])
            assert torch.equal(mixed[1][row, place], joints[row, source])
            assert torch.equal(mixed[2][row, place], score[row, source])
    assert torch.equal(shuffled(5, 3), shuffled(5, 3))
    assert shuffled(1, 0).tolist() == [0]
    assert shuffled(2, 7).tolist() == [1, 0]


def test_accuracies_with_less_to_see_are_those_of_muted_networks() -> None:
    torch.manual_seed(0)
    network = model.build(replace(small().model, classes=2, joints=15, size=32, frames=4))
    data = split_of(Squares(test=20), "test")
    scores = evaluate(network, data, size=32, frames=4, less=True)
    for name, muted in LESS.items():
        alone = evaluate(network, data, size=32, frames=4, muted=muted)
        assert scores.hidden[name] == alone.top1
    assert evaluate(network, data, size=32, frames=4).hidden == {}


def test_labels_are_matched_by_name() -> None:
    data = split_of(Squares(), "test")
    turned = for_labels(data, ("other", "goes right", "goes left"))
    assert turned.targets == tuple(2 - target for target in data.targets)
    with pytest.raises(ConfigError, match="does not know 1 labels of squares, first 'goes right'"):
        for_labels(data, ("goes left",))


def test_cost_counts_two_flops_a_multiply_add() -> None:
    config = replace(small().model, classes=2, joints=15, size=32, frames=4)
    parameters, flops = model_cost(config)
    assert parameters == sum(p.numel() for p in model.DeformableTransformer(config).parameters())
    stem = 2 * 4 * (3 * 3 * 7 * 7) * (4 * 16 * 16)  # multiply-add x outputs x kernel x places
    assert stem < flops < 10 * stem


def test_cost_counts_attention() -> None:
    config = replace(small().model, classes=2, joints=15, size=32, frames=4, layers=1, deformable="off", joint="off")
    d = 16
    projections, ffn = d * d, 2 * d * d  # the two of an FFN of ratio 1
    for mode, modal in (("none", 0), ("cross", 3)):
        costs = {t: model_cost(replace(config, token_mode=mode, temporal=t))[1] for t in ("off", "full")}
        tokens = 4 * (16 + 15 + modal)
        readers = 4 * modal or tokens  # after the last layer only modal tokens are read on
        linear = readers * (2 * projections + ffn) + tokens * 2 * projections  # query and projection; key and value
        assert costs["full"] - costs["off"] == 2 * linear + 2 * 2 * readers * tokens * d


def test_the_colours_of_pretrained_weights_are_used_and_named(tmp_path: Path) -> None:
    half = Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    runs = [
        start(small(augmentation=STILL, normalisation=each), tmp_path / name, Squares(train=8))
        for name, each in (("usual", Normalisation()), ("half", half))
    ]
    usual, other = (next(run._batches(run.plan.epochs[0])).frames for run in runs)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1, 1) for values in (Normalisation().mean, Normalisation().std))
    assert torch.allclose((usual * std + mean - 0.5) / 0.25, other, atol=1e-5)
    assert runs[1].train()
    card = model.read_card(tmp_path / "half" / "last.safetensors")[1]
    assert (card.mean, card.std) == (half.mean, half.std)
    with pytest.raises(ConfigError, match=r"expects colours of mean \[0.5, 0.5, 0.5\]"):
        initialise(runs[0].network, tmp_path / "half" / "last.safetensors", Squares.labels)
    initialise(runs[0].network, tmp_path / "half" / "last.safetensors", Squares.labels, half)
    for wrong in ({"std": (1.0, 0.0, 1.0)}, {"mean": (127.5, 127.5, 127.5)}, {"mean": (float("nan"), 0.5, 0.5)}):
        with pytest.raises(ValueError, match="three means from 0 to 1"):
            Normalisation(**wrong)


def test_a_network_trained_around_people_is_shown_what_lies_around_them(tmp_path: Path) -> None:
    """In training, in validation and, by its card, ever after."""
    run = start(small(augmentation=STILL, fit="person"), tmp_path / "x", Squares(train=8))
    for data in run._batches(run.plan.epochs[0]):
        seen = data.joints[data.score > 0]
        # the joints of a square walk to and fro on one line, from end to end of the smallest square around them
        ends = torch.tensor([31 * (0.5 - 0.5 / AROUND), 31 * (0.5 + 0.5 / AROUND)])
        assert seen[:, 1].std() < 1e-3
        assert torch.allclose(torch.stack([seen[:, 0].min(), seen[:, 0].max()]), ends, atol=5)
    assert run.train()
    network, card = model.load(tmp_path / "x" / "last.safetensors")
    assert card.fit == "person"
    recognizer = Recognizer(network, card)
    held = split_of(Squares(train=8), "val")
    shown = {"size": card.size, "frames": card.frames, "normalisation": Normalisation()}
    found = predict(network, held, fit=card.fit, **shown)
    wanted = np.stack([recognizer(held.clips[i]).logits for i in range(len(held))])
    assert np.allclose(found.logits, wanted, atol=1e-5)
    assert not np.allclose(predict(network, held, **shown).logits, wanted, atol=1e-3)
    view = recognizer.view(held.clips[0])
    assert np.array_equal(view.matrix, centre_view(held.clips[0], card.frames, card.size, "person").matrix)


def test_a_configuration_of_an_earlier_version_is_the_same_recipe(tmp_path: Path) -> None:
    config = small()
    values = config.to_dict()
    del values["normalisation"], values["fit"], values["optimiser"]["joint_task"], values["model"]["pose_track"]
    del values["optimiser"]["mixup"], values["schedule"]["stages"][0]["restart"]
    del values["model"]["backbone_reads"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    check_recipe(tmp_path, config)
    with pytest.raises(ConfigError, match="another recipe"):
        check_recipe(tmp_path, replace(config, normalisation=Normalisation((0.5, 0.5, 0.5))))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_learns(tmp_path: Path, precision: str) -> None:
    stages = (Stage(epochs=6, size=32, frames=4, batch=4),)
    config = small(
        augmentation=STILL,
        schedule=ScheduleConfig(stages=stages, warmup_epochs=0),
        run=RunConfig(precision=precision),  # type: ignore[arg-type]
    )
    assert start(config, tmp_path / "x").train()
    epochs = [line for line in read_log(tmp_path / "x" / "log.jsonl") if line["kind"] == "epoch"]
    assert epochs[-1]["train_loss"] < 0.8 * epochs[0]["train_loss"]
    assert {tensor.dtype for tensor in model.load(tmp_path / "x" / "last.safetensors")[0].parameters()} == {
        torch.float32
    }


def test_a_step_that_overflows_in_fp16_is_skipped_and_the_run_goes_on(tmp_path: Path) -> None:
    run = start(small(augmentation=STILL, run=RunConfig(precision="fp16")), tmp_path / "x")
    run.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    before = [parameter.clone() for parameter in run.network.parameters()]
    data = next(run._batches(run.plan.epochs[0]))
    run._backward(data, 0)
    run._update()
    assert all(torch.equal(a, b) for a, b in zip(before, run.network.parameters(), strict=True))
    assert run.scaler.get_scale() == 2.0**119
    assert run.step == 1
    run.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    assert run.train()
