"""The training loop, top to bottom: config and clips -> a run folder with a log and checkpoints.

    for every epoch of every stage:
        for every step:   random views -> logits -> loss -> gradient, summed over processes -> AdamW -> moving average
        validation on `val` with the moving average -> log, last.pt, best.pt

A run that is stopped, by Ctrl-C or by a power cut, goes on with `resume` as if nothing had happened, bit for bit:
the order of clips depends on (seed, epoch), the view of a clip on (seed, epoch, clip), and the noise of the network on
(seed, step), so there is no hidden state to lose. Damaged clips are left out and counted once an epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

import model
from model import FrameWise, Network
from training.batches import Batch, TrainingViews, load_batches
from training.checkpointing import (
    Log,
    RunError,
    check_same_run,
    describe_environment,
    load_state,
    make_card,
    note_environment,
    processes_of,
    same_clips,
    save_state,
    write_atomically,
)
from training.config import ConfigError, TrainConfig
from training.distributed import Peers, needs_every_slice
from training.evaluate import ClipSet, autocast, evaluate
from training.initialise import starting_weights
from training.joint_task import JointTask
from training.metrics import Scores
from training.mixup import mixup
from training.optimiser import freeze, make_optimiser, moving_average, set_rate
from training.process import choose_device, stop_on_signal, torch_settings
from training.schedule import Epoch, derived_seed, epoch_batches, make_plan

MIXING = 1
"""Makes the seed of mixup another one than that of the noise of the same step."""


class Run:
    """One run in one folder. `Run(...)` builds or restores it, `train()` does the rest."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        train: ClipSet,
        val: ClipSet,
        *,
        resume: bool = False,
        progress: bool = False,
        say: Callable[[str], None] = tqdm.write,
        peers: Peers | None = None,
    ) -> None:
        if config.augmentation.flip and train.mirrored is None:
            raise ConfigError(
                f"augmentation.flip is on, but labels of {train.name or 'this data set'} may carry a side and it does "
                "not say what they become in a mirror; set augmentation.flip=false."
            )
        self.train_data, self.val_data = train, val
        self.peers = peers or Peers()
        self.folder, self.progress = folder, progress and self.peers.first
        self.say = say if self.peers.first else lambda _: None
        last = config.schedule.stages[-1]
        self.config = replace(
            config,
            model=replace(
                config.model, classes=len(train.labels), joints=len(train.layout), size=last.size, frames=last.frames
            ),
        )
        schedule, optimiser = config.schedule, config.optimiser
        self.plan = make_plan(
            schedule.stages, len(train), optimiser.accumulate, schedule.warmup_epochs, schedule.final_lr
        )
        if (smallest := min(epoch.batch for epoch in self.plan.epochs)) < self.peers.count:
            raise ConfigError(
                f"A batch of {smallest} clips does not reach for {self.peers.count} processes; raise the batch of the "
                "stage or start fewer."
            )
        self.device = choose_device(config.run.device)
        self.precision = config.run.precision
        if self.precision == "auto":
            self.precision = "bf16" if self.device.type == "cuda" else "fp32"

        with torch.random.fork_rng():
            torch.manual_seed(derived_seed(config.run.seed))
            self.network = model.build(self.config.model)
            self.task = self._second_task(len(train.layout))
        colours = config.normalisation
        started_from = [] if resume else starting_weights(self.network, config.run, train.labels, colours)
        for part in started_from:
            self.say(f"Started from {part}.")
        freeze(self.network, optimiser)
        for module in self._trained:
            module.to(self.device)
            self.peers.prepare(module, self.device)
        self.every_slice = needs_every_slice(self.network)
        self.average = moving_average(self.network, optimiser.ema) if optimiser.ema else None
        self.optimiser = make_optimiser(self.network, optimiser, self.task)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

        self.step = 0
        self.epochs_done = 0
        self.best: dict[str, float] = {}
        # loss and gradient length since the last line of the log, steps in it; loss and hits of the epoch, clips in it
        # and damaged ones, loss of the second task; this process's share of them
        self.sums = torch.zeros(8, dtype=torch.float64, device=self.device)
        self.first_damaged = ""
        self.spent = 0.0  # seconds of training in the epoch, those before it was stopped included
        self.stopped = False
        if self.peers.any(resume) and not resume:
            raise RunError(f"Other processes go on with a run that this one does not see in {folder}; share it.")
        if resume:
            self._restore()
            return
        if self.peers.first:
            if (folder / "last.pt").exists():
                raise RunError(f"{folder} holds a run already; go on with --resume or name another folder.")
            write_atomically(folder / "config.yaml", self.config.to_yaml().encode())
            (folder / "env.json").unlink(missing_ok=True)
            self._note_environment()
        self.log = Log(folder / "log.jsonl" if self.peers.first else None)
        self.log.write(
            kind="start",
            parameters=sum(p.numel() for p in self.network.parameters()),
            steps=self.plan.steps,
            train_clips=len(train),
            val_clips=len(val),
            device=str(self.device),
            precision=self.precision,
            started_from=started_from,
        )
        self._save("last.pt")  # a run can be resumed from its first second

    # ---- the loop -----------------------------------------------------------------------------------------------

    def train(self) -> bool:
        """Train to the end of the plan; True if it was reached, False if the run was asked to stop before."""
        with torch_settings(self.config.run), stop_on_signal(self._stop), self._bar() as bar:
            try:
                for epoch in self.plan.epochs[self.epochs_done :]:
                    self._start_stage(epoch)
                    seconds = self._train_epoch(epoch, bar)
                    if self.peers.any(self.stopped):
                        self._save("last.pt")
                        self.say(
                            f"Stopped at step {self.step} of {self.plan.steps}; everything is saved in {self.folder}, "
                            "go on with --resume."
                        )
                        return False
                    self._finish_epoch(epoch, seconds)
            finally:
                self.log.close()
        return True

    def _start_stage(self, epoch: Epoch) -> None:
        """Let the moving average begin anew with the first step of a stage: what the trunk learnt at one size, and its
        batch statistics most of all, does not serve another, and a short stage would hardly show in an old average."""
        before = self.plan.epochs[epoch.index - 1] if epoch.index else epoch
        if self.average is not None and self.step == epoch.first and before.stage_index != epoch.stage_index:
            self.average.n_averaged.zero_()

    def _train_epoch(self, epoch: Epoch, bar: tqdm) -> float:
        """All steps of an epoch that are not done yet; returns the seconds that all of its steps took."""
        started = logged = saved = time.monotonic()
        before = self.spent
        run, accumulate = self.config.run, self.config.optimiser.accumulate
        batches = self._batches(epoch)
        clips = 0
        self.network.train()
        while self.step < epoch.end:
            # every process stops and saves at the same step, and the first one's clock says when
            due = self.peers.first and time.monotonic() - saved > 60 * run.checkpoint_minutes
            stop, save = self.peers.counts(self.stopped, due)
            if stop:
                break
            if save:
                self.spent = before + time.monotonic() - started
                self._save("last.pt")
                saved = time.monotonic()
            found = sum(self._backward(next(batches), part, epoch.stage.pictures) for part in range(accumulate))
            if found:
                self._update()
            else:
                self.step += 1
            clips += found
            bar.update(accumulate * epoch.batch * _cost(epoch))
            if self.step % run.log_every == 0:
                now = time.monotonic()
                loss = self._log_step(clips / (now - logged))
                bar.set_postfix_str(
                    f"epoch {epoch.index + 1}/{len(self.plan.epochs)} at {epoch.stage.size} px, loss {loss:.3f}, "
                    f"{clips / (now - logged):.1f} clips/s"
                )
                logged, clips = now, 0
        self.spent = before + time.monotonic() - started
        return self.spent

    def _backward(self, data: Batch, part: int, pictures: bool = True) -> int:
        """Add this process's share of the gradient of one batch, number `part` of the step; returns its clips.

        The loss of a batch is the mean over its clips, wherever they are; a batch without clips is skipped.
        """
        own = len(data.target)
        self.sums[6] += len(data.damaged)
        self.first_damaged = self.first_damaged or next(iter(data.damaged), "")
        clips, slices = self.peers.counts(own, own > 0)
        if self.every_slice and slices < self.peers.count:
            return 0
        if not own:
            return clips
        frames, joints, score, target = (tensor.to(self.device, non_blocking=True) for tensor in data[:4])
        config, seed = self.config.optimiser, self.config.run.seed
        other, share = target, 1.0
        if config.mixup:
            drawn = derived_seed(seed, self.step, part, self.peers.rank, MIXING)
            frames, joints, score, partner, share = mixup(frames, joints, score, config.mixup, drawn)
            other = target[partner]
        with torch.random.fork_rng(self._cuda_devices()), autocast(self.device, self.precision):
            torch.manual_seed(derived_seed(seed, self.step, part, *[self.peers.rank] * (self.peers.count > 1)))
            logits, second = self._answers(frames, joints, score, pictures)
        loss = self._loss(logits, target)
        if share < 1:
            loss = share * loss + (1 - share) * self._loss(logits, other)
        self.scaler.scale((loss + config.joint_task * second) / (clips * config.accumulate)).backward()
        self.sums[0] += loss.detach() / (clips * config.accumulate)
        self.sums[3] += loss.detach()
        self.sums[4] += (logits.argmax(1) == target).sum()
        self.sums[5] += own
        self.sums[7] += second.detach()
        return clips

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, summed over the clips."""
        smoothing = self.config.optimiser.label_smoothing
        return F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="sum")

    def _answers(self, frames: Tensor, joints: Tensor, score: Tensor, pictures: bool) -> tuple[Tensor, Tensor]:
        """Logits [B, classes], and the loss of the second task summed over the clips; 0 if there is none."""
        if self.task is None:
            told = {} if pictures else {"pictures": False}  # a frame-wise network cannot do without
            return self.network(frames, joints, score, **told).float(), frames.new_zeros(())
        network = cast(FrameWise, self.network)
        tokens = network.tokens(frames)
        size = (frames.shape[-2], frames.shape[-1])
        second = self.task(tokens[:, :, 1:], joints, score, network.config.patch, size).sum()
        return network.classify(network.pooled(tokens)).float(), second

    def _update(self) -> None:
        """One step of AdamW with the gradient that is there, and of the moving average."""
        config = self.config.optimiser
        set_rate(self.optimiser, config.lr * self.plan.rate(self.step))
        for module in self._trained:
            self.peers.sum_gradients(module)
        self.scaler.unscale_(self.optimiser)
        parameters = [each for module in self._trained for each in module.parameters()]
        norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm or math.inf)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        self.peers.average_statistics(self.network)
        if self.average is not None:
            self.average.update_parameters(self.network)
        # an infinite gradient is what the scaler of fp16 looks for and skips; elsewhere it is the end of the run
        if self.peers.first:
            self.sums[1] += torch.nan_to_num(norm, 0, 0, 0) if self.scaler.is_enabled() else norm
            self.sums[2] += 1
        self.step += 1

    def _batches(self, epoch: Epoch) -> Iterator[Batch]:
        """The batches of an epoch from the current step on."""
        accumulate, seed = self.config.optimiser.accumulate, self.config.run.seed
        together = self.config.data.together
        order = epoch_batches(epoch, len(self.train_data), accumulate, seed, together)
        views = TrainingViews(
            self.train_data,
            epoch,
            self.config.augmentation,
            seed,
            together,
            self.network.reads_trail,
            self.config.normalisation,
            self.config.fit,
        )
        left = [list(self.peers.slice(clips)) for clips in order[(self.step - epoch.first) * accumulate :]]
        return load_batches(views, left, self.config.data.workers, self.device)

    # ---- what is written ----------------------------------------------------------------------------------------

    def _log_step(self, speed: float) -> float:
        loss, norm, steps, *_ = self._totals()
        self.sums[:3] = 0
        if not steps:
            return math.nan
        lr = self.config.optimiser.lr * self.plan.rate(self.step - 1)
        self.log.write(
            kind="step", step=self.step, loss=loss / steps, lr=lr, grad_norm=norm / steps, clips_per_s=round(speed, 2)
        )
        return loss / steps

    def _finish_epoch(self, epoch: Epoch, seconds: float) -> None:
        """Validate, log and save."""
        loss, hits, clips, damaged, second = self._totals()[3:]
        self.sums[3:] = 0
        if not clips:
            raise RunError(f"No clip of epoch {epoch.index + 1} could be read; the first: {self.first_damaged}")
        entry: dict[str, Any] = {
            "kind": "epoch",
            "epoch": epoch.index + 1,
            "step": self.step,
            "stage": epoch.stage_index + 1,
            "size": epoch.stage.size,
            "frames": epoch.stage.frames,
            "train_loss": loss / clips,
            "train_accuracy": hits / clips,
        }
        if self.task is not None:
            entry["joint_loss"] = second / clips
            if not second:
                self.say("No clip of this epoch has joints; optimiser.joint_task had nothing to teach.")
        if damaged:
            entry["damaged"] = int(damaged)
            first = self.first_damaged and f"; the first: {self.first_damaged}"
            self.say(f"Epoch {epoch.index + 1} left out {int(damaged)} damaged clips{first}")
            self.first_damaged = ""
        better, scores = False, None
        upcoming = self.plan.epochs[epoch.index + 1 : epoch.index + 2]
        ends_stage = not upcoming or upcoming[0].stage_index != epoch.stage_index
        if len(self.val_data) and (ends_stage or (epoch.index + 1) % self.config.schedule.validate_every == 0):
            scores = evaluate(
                self.evaluated,
                self.val_data,
                size=epoch.stage.size,
                frames=epoch.stage.frames,
                batch_size=epoch.stage.batch,
                precision=self.precision,
                normalisation=self.config.normalisation,
                fit=self.config.fit,
                muted=None if epoch.stage.pictures else "frames",
                peers=self.peers,
            )
            entry |= {"val_loss": scores.loss, "val_accuracy": scores.top1, "val_mean_class": scores.mean_class}
            # A later stage counts more than a better score: the checkpoint is meant for the size of the last one.
            score = {"stage": epoch.stage_index, "accuracy": scores.top1, "loss": -scores.loss}
            better = not self.best or tuple(score.values()) > tuple(self.best.values())
            if better:
                self.best = score
        self.epochs_done, self.spent = epoch.index + 1, 0.0
        entry |= {"seconds": round(seconds, 2), "clips_per_s": round(clips / max(seconds, 1e-9), 2)}
        self.log.write(**entry)
        if self.progress:
            seen = f", val {scores.top1:.1%}" if scores else ""
            self.say(
                f"epoch {epoch.index + 1}/{len(self.plan.epochs)} {epoch.stage.size} px x {epoch.stage.frames}: "
                f"loss {loss / clips:.3f}, train {hits / clips:.1%}{seen}, {seconds:.0f} s"
            )
        if better or not len(self.val_data):
            self._save("best.pt")
            self._export("best.safetensors", scores)
        if not upcoming:
            self._export("last.safetensors", scores)
        self._save("last.pt")

    def _save(self, name: str) -> None:
        """Write everything a later `resume` needs; the log is on disk before it."""
        sums = self._totals()
        if not self.peers.first:
            return
        save_state(
            self.folder / name,
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict() if self.average is not None else None,
                "task": self.task.state_dict() if self.task is not None else None,
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "config": self.config.to_dict(),
                "data": self._data_identity(),
                "step": self.step,
                "epochs_done": self.epochs_done,
                "sums": sums,
                "spent": self.spent,
                "best": self.best,
                "log_bytes": self.log.position(),
            },
        )

    def _restore(self) -> None:
        state = load_state(self.folder / "last.pt")
        check_same_run(self.folder, state, self.config, self._data_identity())
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.task is not None:
            self.task.load_state_dict(state["task"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.epochs_done, self.best = state["step"], state["epochs_done"], state["best"]
        self.spent = state.get("spent", 0.0)
        if self.peers.first:
            self.sums[: len(state["sums"])] += torch.tensor(state["sums"], dtype=torch.float64, device=self.device)
            if not same_clips(self.folder, self.train_data, self.val_data):
                self.say("The clips have another content than when the run was started; its end will differ slightly.")
            if (before := processes_of(self.folder)) not in (None, self.peers.count):
                self.say(f"The run was started by {before} processes and not {self.peers.count}; its end will differ.")
            self._note_environment()
        self.log = Log(self.folder / "log.jsonl" if self.peers.first else None, state["log_bytes"], self.step)

    def _note_environment(self) -> None:
        now = describe_environment(self.train_data, self.val_data, self.peers, self.config.run.threads)
        note_environment(self.folder, now, self.step)

    def _export(self, name: str, scores: Scores | None) -> None:
        if not self.peers.first:
            return
        metrics = {"epoch": float(self.epochs_done)}
        if scores is not None:
            metrics |= {"val_top1": scores.top1, "val_mean_class": scores.mean_class}
        model.save(self.folder / name, self.evaluated, make_card(self.config, self.train_data, metrics))

    # ---- small parts --------------------------------------------------------------------------------------------

    @property
    def evaluated(self) -> Network:
        """The network that is validated and shipped: the moving average if there is one."""
        return self.network if self.average is None else cast(Network, self.average.module)

    @property
    def _trained(self) -> list[nn.Module]:
        return [self.network] if self.task is None else [self.network, self.task]

    def _second_task(self, joints: int) -> JointTask | None:
        if not self.config.optimiser.joint_task:
            return None
        if not isinstance(self.network, FrameWise):
            raise ConfigError(
                "optimiser.joint_task is for networks that see pixels only; this one is given the joints."
            )
        if self.config.optimiser.mixup:
            raise ConfigError(
                "optimiser.mixup lays two clips over each other, and optimiser.joint_task asks about one."
            )
        return JointTask(self.network.config.dim, joints)

    def _data_identity(self) -> list[str]:
        sets = (self.train_data, self.val_data)
        return [*self.train_data.labels, *(f"{data.name}: {len(data)} clips" for data in sets)]

    def _totals(self) -> list[float]:
        """The sums over all processes. RunError if they are not finite."""
        totals: list[float] = self.peers.total(self.sums).tolist()
        if not all(map(math.isfinite, totals)):
            raise RunError(
                f"The loss or the gradient became infinite before step {self.step}; lower optimiser.lr or choose "
                f"run.precision=fp32. {self.folder / 'last.pt'} holds the run before that."
            )
        return totals

    def _stop(self) -> None:
        self.stopped = True

    def _cuda_devices(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []

    def _bar(self) -> tqdm:
        """One bar for the run. Its unit is the pixel, so that the time left is right across stages."""
        accumulate = self.config.optimiser.accumulate
        done, total = 0.0, 0.0
        for epoch in self.plan.epochs:
            step_cost = accumulate * epoch.batch * _cost(epoch)
            total += epoch.steps * step_cost
            done += min(max(self.step - epoch.first, 0), epoch.steps) * step_cost
        shape = "{percentage:3.0f}%|{bar:20}| {elapsed}<{remaining} {postfix}"
        return tqdm(total=total, initial=done, disable=not self.progress, bar_format=shape, dynamic_ncols=True)


def _cost(epoch: Epoch) -> float:
    """Of a clip, in pixels; fewer where the trunk rests (measured at 48 px and 8 frames of JHMDB: 0.64 of the time)."""
    pixels = epoch.stage.frames * epoch.stage.size**2
    return pixels if epoch.stage.pictures else 0.64 * pixels


def train_whole(config: TrainConfig, folder: Path, resume: bool, progress: bool) -> None:
    """One of several runs, on the clips that its configuration names. KeyboardInterrupt if it was asked to stop, be it
    while the last epoch was validated: nothing is left of this run then, but the others must not begin."""
    from training.sources import training_data

    print(folder, flush=True)
    clips = training_data(config.data, progress=progress)
    run = Run(config, folder, *clips, resume=resume, progress=progress)
    if not run.train() or run.stopped:
        raise KeyboardInterrupt
