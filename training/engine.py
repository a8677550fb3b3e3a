"""The training loop, top to bottom: config and clips -> a run folder with a log and checkpoints.

    for every epoch of every stage:
        for every step:   random views -> logits -> loss -> gradient -> AdamW -> moving average
        validation on `val` with the moving average -> log, last.pt, best.pt

A run that is stopped, by Ctrl-C or by a power cut, goes on with `resume` as if nothing had happened, bit for bit:
the order of clips depends on (seed, epoch), the view of a clip on (seed, epoch, clip), and the noise of the network on
(seed, step), so there is no hidden state to lose.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

import model
from model import DeformableTransformer
from training.batches import Batch, TrainingViews, load_batches
from training.checkpointing import Log, RunError, describe_environment, load_state, save_state, write_atomically
from training.config import ConfigError, TrainConfig
from training.evaluate import ClipSet, autocast, evaluate
from training.initialise import starting_weights
from training.metrics import Scores
from training.optimiser import make_optimiser, moving_average, set_rate
from training.process import choose_device, stop_on_signal, torch_settings
from training.schedule import Epoch, derived_seed, epoch_batches, make_plan
from training.transforms import Normalisation


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
    ) -> None:
        if config.augmentation.flip and train.mirrored is None:
            raise ConfigError(
                f"augmentation.flip is on, but labels of {train.name or 'this data set'} may carry a side and it does "
                "not say what they become in a mirror; set augmentation.flip=false."
            )
        self.train_data, self.val_data = train, val
        self.folder, self.progress, self.say = folder, progress, say
        last = config.schedule.stages[-1]
        self.config = replace(
            config,
            model=replace(
                config.model,
                classes=len(train.labels),
                joints=len(train.layout),
                size=last.size,
                frames=last.frames,
            ),
        )
        schedule, optimiser = config.schedule, config.optimiser
        self.plan = make_plan(
            schedule.stages, len(train), optimiser.accumulate, schedule.warmup_epochs, schedule.final_lr
        )
        self.device = choose_device(config.run.device)
        self.precision = config.run.precision
        if self.precision == "auto":
            self.precision = "bf16" if self.device.type == "cuda" else "fp32"

        with torch.random.fork_rng():
            torch.manual_seed(derived_seed(config.run.seed))
            self.network = DeformableTransformer(self.config.model)
        started_from = [] if resume else starting_weights(self.network, config.run, train.labels)
        for part in started_from:
            say(f"Started from {part}.")
        self.network.to(self.device)
        self.average = moving_average(self.network, optimiser.ema) if optimiser.ema else None
        self.optimiser = make_optimiser(self.network, optimiser)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

        self.step = 0
        self.epochs_done = 0
        self.best: dict[str, float] = {}
        # loss and gradient length since the last line of the log, steps in it; loss and hits of the epoch, clips in it
        self.sums = torch.zeros(6, dtype=torch.float64, device=self.device)
        self.stopped = False
        if resume:
            self._restore()
            return
        if (folder / "last.pt").exists():
            raise RunError(f"{folder} holds a run already; go on with --resume or name another folder.")
        write_atomically(folder / "config.yaml", self.config.to_yaml().encode())
        write_atomically(folder / "env.json", json.dumps(describe_environment(), indent=2).encode())
        self.log = Log(folder / "log.jsonl")
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
                    seconds = self._train_epoch(epoch, bar)
                    if self.stopped:
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

    def _train_epoch(self, epoch: Epoch, bar: tqdm) -> float:
        """All steps of an epoch that are not done yet; returns the seconds they took."""
        started = logged = saved = time.monotonic()
        run, accumulate = self.config.run, self.config.optimiser.accumulate
        batches = self._batches(epoch)
        clips = 0
        self.network.train()
        while self.step < epoch.end and not self.stopped:
            for part in range(accumulate):
                data = next(batches)
                clips += len(data[3])
                self._backward(data, part)
            self._update()
            bar.update(accumulate * epoch.batch * _cost(epoch))
            if self.step % run.log_every == 0:
                now = time.monotonic()
                loss = self._log_step(clips / (now - logged))
                bar.set_postfix_str(
                    f"epoch {epoch.index + 1}/{len(self.plan.epochs)} at {epoch.stage.size} px, loss {loss:.3f}, "
                    f"{clips / (now - logged):.1f} clips/s"
                )
                logged, clips = now, 0
            if time.monotonic() - saved > 60 * run.checkpoint_minutes:
                self._save("last.pt")
                saved = time.monotonic()
        return time.monotonic() - started

    def _backward(self, data: Batch, part: int) -> None:
        """Add the gradient of one batch, number `part` of the step."""
        frames, joints, score, target = (tensor.to(self.device, non_blocking=True) for tensor in data)
        config = self.config.optimiser
        with torch.random.fork_rng(self._cuda_devices()), autocast(self.device, self.precision):
            torch.manual_seed(derived_seed(self.config.run.seed, self.step, part))
            logits = self.network(frames, joints, score).float()
        loss = F.cross_entropy(logits, target, label_smoothing=config.label_smoothing)
        self.scaler.scale(loss / config.accumulate).backward()
        hits = (logits.argmax(1) == target).sum()
        self.sums[0] += loss.detach() / config.accumulate
        self.sums[3] += loss.detach() * len(target)
        self.sums[4] += hits
        self.sums[5] += len(target)

    def _update(self) -> None:
        """One step of AdamW with the gradient that is there, and of the moving average."""
        config = self.config.optimiser
        set_rate(self.optimiser, config.lr * self.plan.rate(self.step))
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm or math.inf)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.network)
        # an infinite gradient is what the scaler of fp16 looks for and skips; elsewhere it is the end of the run
        self.sums[1] += torch.nan_to_num(norm, 0, 0, 0) if self.scaler.is_enabled() else norm
        self.sums[2] += 1
        self.step += 1

    def _batches(self, epoch: Epoch) -> Iterator[Batch]:
        """The batches of an epoch from the current step on."""
        accumulate, seed = self.config.optimiser.accumulate, self.config.run.seed
        together = self.config.data.together
        order = epoch_batches(epoch, len(self.train_data), accumulate, seed, together)
        views = TrainingViews(self.train_data, epoch, self.config.augmentation, seed, together)
        left = order[(self.step - epoch.first) * accumulate :]
        return load_batches(views, left, self.config.data.workers, self.device)

    # ---- what is written ----------------------------------------------------------------------------------------

    def _log_step(self, speed: float) -> float:
        self._check_finite()
        loss, norm, steps, *_ = self.sums.tolist()
        self.sums[:3] = 0
        lr = self.config.optimiser.lr * self.plan.rate(self.step - 1)
        self.log.write(
            kind="step", step=self.step, loss=loss / steps, lr=lr, grad_norm=norm / steps, clips_per_s=round(speed, 2)
        )
        return loss / steps

    def _finish_epoch(self, epoch: Epoch, seconds: float) -> None:
        """Validate, log and save."""
        self._check_finite()
        loss, hits, clips = self.sums[3:].tolist()
        self.sums[3:] = 0
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
            )
            entry |= {"val_loss": scores.loss, "val_accuracy": scores.top1, "val_mean_class": scores.mean_class}
            # A later stage counts more than a better score: the checkpoint is meant for the size of the last one.
            score = {"stage": epoch.stage_index, "accuracy": scores.top1, "loss": -scores.loss}
            better = not self.best or tuple(score.values()) > tuple(self.best.values())
            if better:
                self.best = score
        self.epochs_done = epoch.index + 1
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
        self._check_finite()
        save_state(
            self.folder / name,
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict() if self.average is not None else None,
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "config": self.config.to_dict(),
                "data": self._data_identity(),
                "step": self.step,
                "epochs_done": self.epochs_done,
                "sums": self.sums.tolist(),
                "best": self.best,
                "log_bytes": self.log.position(),
            },
        )

    def _restore(self) -> None:
        state = load_state(self.folder / "last.pt")
        before, now = _lasting(state["config"]), _lasting(self.config.to_dict())
        if before != now:
            changed = [key for key, value in now.items() if before.get(key) != value]
            raise RunError(
                f"The run in {self.folder} was started with another configuration ({', '.join(changed)} differ); "
                "resume with its config.yaml, or start a new run."
            )
        if state["data"] != self._data_identity():
            raise RunError(f"The clips are not those of the run in {self.folder}; bring them back or start a new run.")
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.epochs_done, self.best = state["step"], state["epochs_done"], state["best"]
        self.sums += torch.tensor(state["sums"], dtype=torch.float64, device=self.device)
        self.log = Log(self.folder / "log.jsonl", keep=state["log_bytes"])

    def _export(self, name: str, scores: Scores | None) -> None:
        metrics = {"epoch": float(self.epochs_done)}
        if scores is not None:
            metrics |= {"val_top1": scores.top1, "val_mean_class": scores.mean_class}
        model.save(self.folder / name, self.evaluated, self.card(metrics))

    def card(self, metrics: dict[str, float]) -> model.Card:
        config = self.config
        stages = " + ".join(
            f"{s.epochs} epochs at {s.size} px x {s.frames} frames (batch {s.batch})" for s in config.schedule.stages
        )
        normalisation = Normalisation()
        return model.Card(
            labels=self.train_data.labels,
            layout=self.train_data.layout.name,
            frames=config.model.frames,
            size=config.model.size,
            mean=normalisation.mean,
            std=normalisation.std,
            name=config.name,
            trained_on=f"{self.train_data.name}, {len(self.train_data)} clips",
            licence=config.licence,
            recipe=f"{stages}; AdamW, peak learning rate {config.optimiser.lr}, seed {config.run.seed}",
            limits=config.limits,
            metrics=metrics,
        )

    # ---- small parts --------------------------------------------------------------------------------------------

    @property
    def evaluated(self) -> DeformableTransformer:
        """The network that is validated and shipped: the moving average if there is one."""
        return self.network if self.average is None else cast(DeformableTransformer, self.average.module)

    def _data_identity(self) -> list[str]:
        sets = (self.train_data, self.val_data)
        return [*self.train_data.labels, *(f"{data.name}: {len(data)} clips" for data in sets)]

    def _check_finite(self) -> None:
        if not bool(torch.isfinite(self.sums).all()):
            raise RunError(
                f"The loss or the gradient became infinite before step {self.step}; lower optimiser.lr or choose "
                f"run.precision=fp32. {self.folder / 'last.pt'} holds the run before that."
            )

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


def _lasting(values: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what may differ from machine to machine within one run."""
    local = {
        "data": ("source", "cache", "workers", "pack"),
        "run": ("device", "threads", "checkpoint_minutes"),
    }
    return values | {
        section: {key: value for key, value in values[section].items() if key not in keys}
        for section, keys in local.items()
    }


def _cost(epoch: Epoch) -> float:
    return epoch.stage.frames * epoch.stage.size**2
