"""Several processes, one run: `torchrun --nproc_per_node=N -m training train ...` (NCCL on GPUs, gloo on the CPU).

    every process:  its slice of each batch -> sum of its losses / clips of the whole batch -> its part of the gradient
    together:       one sum of all gradients -> the gradient one process would have had with the whole batch

Gradients are summed once a step instead of by the hooks of DistributedDataParallel: it is the same sum, exact for
slices of unequal size, a process whose clips are all damaged delays nobody, and for networks of 3 to 30 million weights
there is no time to win by overlapping. Weights, average, optimiser and decisions are the same in every process; only
the first one writes.

Batch statistics: on CUDA they are those of the whole batch (SyncBatchNorm). Torch has none on the CPU: there each
process normalises by its own slice, and running statistics are the mean over processes. Networks with
`backbone_norm: group`, and frame-wise ones, need none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from model.backbone import FrozenNorm
from training.errors import ClipError

LONGEST_WAIT = timedelta(hours=12)
"""The others wait while the first process packs a data set. A process that dies is noticed at once all the same."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Peers:
    """The processes of a run, as one of them sees them. `Peers()` is a process on its own: nothing is exchanged."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def slice(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of a batch: consecutive items, none twice, none left out."""
        return items[self.rank * len(items) // self.count : (self.rank + 1) * len(items) // self.count]

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, in every process; `values` itself for one process."""
        if self.count == 1:
            return values
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    def counts(self, *numbers: int) -> tuple[int, ...]:
        """Each whole number summed over all processes."""
        if self.count == 1:
            return numbers
        return tuple(self.total(torch.tensor([int(number) for number in numbers])).tolist())

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return bool(self.counts(int(flag))[0])

    def wait(self) -> None:
        """Until every process is here."""
        self.counts(0)

    def gather(self, item: Item) -> list[Item]:
        """What every process has, in the order of their ranks. Small things only."""
        if self.count == 1:
            return [item]
        found: list[Item | None] = [None] * self.count
        dist.all_gather_object(found, item)
        return found  # type: ignore[return-value]

    def one_after_the_first(self, work: Callable[[], Item]) -> Item:
        """`work` in the first process and then in all others: they find done what it did."""
        if not self.first:
            self.wait()
        done = work()
        if self.first:
            self.wait()
        return done

    # ---- networks -----------------------------------------------------------------------------------------------

    def prepare(self, network: nn.Module, device: torch.device) -> None:
        """The same weights everywhere and, on CUDA, batch statistics of the whole batch. Changes `network`."""
        if self.count == 1:
            return
        if device.type == "cuda":
            _synchronise_batch_norm(network)
        for tensor in [*network.parameters(), *network.buffers()]:
            sent = tensor.detach().clone(memory_format=torch.contiguous_format)
            dist.broadcast(sent, 0)
            tensor.detach().copy_(sent)

    def sum_gradients(self, network: nn.Module) -> None:
        """Sum the gradients of all processes. What has a gradient nowhere keeps none."""
        if self.count == 1:
            return
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        there = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.float32)
        parts = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in weights]
        flat = torch.cat([part.flatten() for part in parts] + [there.to(weights[0])])
        dist.all_reduce(flat)
        *summed, found = flat.split([weight.numel() for weight in weights] + [len(weights)])
        for weight, gradient, anywhere in zip(weights, summed, found.tolist(), strict=True):
            weight.grad = gradient.view_as(weight) if anywhere else None

    def average_statistics(self, network: nn.Module) -> None:
        """The running statistics of all processes become their mean, so that all hold the same network."""
        statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        if self.count == 1 or not statistics:
            return
        flat = torch.cat([buffer.flatten() for buffer in statistics])
        dist.all_reduce(flat)
        for buffer, mean in zip(statistics, flat.split([b.numel() for b in statistics]), strict=True):
            buffer.copy_(mean.view_as(buffer) / self.count)


def alone(command: str) -> None:
    """ClipError under torchrun, for commands that train one run after the other: every process would write them."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ClipError(
            f"`{command}` trains one run after the other, each in one process; start it without torchrun, or each run "
            "with `torchrun -m training train`."
        )


def needs_every_slice(network: nn.Module) -> bool:
    """Whether a forward pass talks to the other processes, so that none may be without clips."""
    return any(isinstance(module, nn.SyncBatchNorm) for module in network.modules())


def _synchronise_batch_norm(network: nn.Module) -> None:
    """BatchNorm -> SyncBatchNorm, in place; names and values stay, and with them the checkpoints."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm3d) and not isinstance(child, FrozenNorm):
            setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        else:
            _synchronise_batch_norm(child)


@contextmanager
def joined() -> Iterator[Peers]:
    """The processes that torchrun started with this one, or this one alone. May be asked for within itself."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if dist.is_available() and dist.is_initialized():
        yield Peers(dist.get_rank(), dist.get_world_size())
        return
    if count == 1 or "RANK" not in os.environ:
        yield Peers()
        return
    local, neighbours = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    backend = "gloo"
    if torch.cuda.is_available():
        if neighbours > torch.cuda.device_count():
            raise ValueError(
                f"torchrun started {neighbours} processes and there are {torch.cuda.device_count()} GPUs; give "
                "--nproc_per_node that many, or hide the GPUs (CUDA_VISIBLE_DEVICES=) to run on the CPU."
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"  # counts and decisions are exchanged on the CPU, and no GPU is waited for
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // neighbours))  # torchrun sets one, whatever the machine has
    dist.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield Peers(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
        torch.set_num_threads(threads)
