"""How a net is trained: the clock, the gradient steps and what is kept of them.

The nets differ in how they turn rows into logits (`Network`) and share all else. The
optimiser is our own few lines: `torch.optim` imports the compiler, which takes seconds
in each fresh process.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .batches import Batches, Doubles, Floats

__all__ = [
    "AdamW",
    "Clock",
    "Dropout",
    "Network",
    "Objective",
    "Recipe",
    "Training",
    "mix",
    "torch_threads",
]

_BETAS = (0.9, 0.99)
_EPSILON = 1e-8
# Averaging the weights over the last 50 steps or so steadies the score by which the
# best epoch is chosen: about +0.01 average precision on tables with 200 to 600 rare
# rows, nothing lost on smaller ones.
_AVERAGE_DECAY = 0.98
_AVERAGE_WARM_UP = 9
_MASKS_DRAWN = 4  # masks' worth of factors: two windows seldom overlap much
_MASKS_USED = 64  # before factors are drawn afresh


class Network(nn.Module, ABC):
    """What training asks of a net: rows to units, units to logits."""

    def embed(self, X: Tensor) -> Tensor:
        """Return the units (n, n_units) that rows begin as; mixup blends them."""
        return X

    @abstractmethod
    def forward(self, units: Tensor) -> Tensor:
        """Return logits (n, n_members, n_outputs): one for two classes, or k."""

    @abstractmethod
    def decays(self, name: str) -> bool:
        """Return whether weight decay applies to the parameter of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the steps are made."""

    learning_rate: float
    weight_decay: float
    batch_size: int | str
    mixup: float
    device: str

    def __post_init__(self) -> None:
        if self.mixup < 0:
            msg = f"mixup={self.mixup} must not be negative."
            raise ValueError(msg)


class Clock:
    """Plans the epochs of one fit so that they end before its deadline."""

    def __init__(self, deadline_s: float | None, started: float) -> None:
        self.end = math.inf if deadline_s is None else started + deadline_s
        self.done = 0
        self.planned = self.wanted = 0
        self.is_pressed = False
        """Whether any step differs from those of a fit without a deadline."""

    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() >= self.end

    def epochs(self, n_epochs: int) -> Iterator[int]:
        """Yield up to `n_epochs` epochs, re-planning after each how many there are."""
        begun, self.planned, self.wanted = time.monotonic(), n_epochs, n_epochs
        while self.done < self.planned:
            yield self.done
            self.done += 1
            now = time.monotonic()
            possible = self.done * (self.end - begun) / max(now - begun, 1e-9)
            self.planned = int(min(n_epochs, possible))
        self.is_pressed |= self.done < n_epochs

    def pace(self, share: float) -> float:
        """Return the part of the learning rate due after `share` of this epoch.

        It is all of it in the first half of the plan, and falls to none in the second.
        """
        done = self.done + share
        pace = min(1.0, 2 * (1 - done / self.planned))
        self.is_pressed |= pace < min(1.0, 2 * (1 - done / self.wanted))
        return pace


class AdamW:
    """Adam whose weight decay acts on the weights themselves (Loshchilov 2019)."""

    def __init__(
        self, parameters: list[Tensor], decayed: list[Tensor], decay: float
    ) -> None:
        self.parameters, self.decayed, self.decay = parameters, decayed, decay
        self.means = [torch.zeros_like(parameter) for parameter in parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in parameters]
        self.n_steps = 0

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...], learning_rate: float) -> None:
        """Move the parameters by one step."""
        self.n_steps += 1
        beta1, beta2 = _BETAS
        torch._foreach_lerp_(self.means, gradients, 1 - beta1)
        torch._foreach_mul_(self.squares, beta2)
        torch._foreach_addcmul_(self.squares, gradients, gradients, value=1 - beta2)
        spreads = torch._foreach_div(self.squares, 1 - beta2**self.n_steps)
        torch._foreach_sqrt_(spreads)
        torch._foreach_add_(spreads, _EPSILON)
        torch._foreach_mul_(self.decayed, 1 - learning_rate * self.decay)
        rate = learning_rate / (1 - beta1**self.n_steps)
        torch._foreach_addcdiv_(self.parameters, self.means, spreads, value=-rate)


class Dropout(nn.Module):
    """Dropout whose masks are random windows into factors that are drawn seldom.

    Drawing each mask afresh would cost a CPU more than the matrix products. Chance is
    the module's own: PyTorch's global generator is left alone.
    """

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__()
        self.rate = rate
        self.rng = np.random.default_rng(seed)
        self.factors = torch.empty(0)
        self.n_used = 0

    def forward(self, units: Tensor) -> Tensor:
        """Return the units with a random share of them set to zero, rescaled."""
        if self.rate == 0 or not self.training:
            return units
        size = units.numel()
        if self.n_used % _MASKS_USED == 0 or len(self.factors) < size:
            self.factors = self._draw(_MASKS_DRAWN * size, units.device)
        self.n_used += 1
        start = int(self.rng.integers(len(self.factors) - size + 1))
        return units * self.factors[start : start + size].view(units.shape)

    def _draw(self, size: int, device: torch.device) -> Tensor:
        """Return random factors: zeros, and 1 / (1 - rate) for the rest."""
        seed = int(self.rng.integers(2**63 - 1))
        generator = torch.Generator(device).manual_seed(seed)
        draws = torch.rand(size, generator=generator, device=device)
        factors: Tensor = (draws >= self.rate) / (1 - self.rate)
        return factors


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised."""

    loss: Callable[..., Tensor]
    """Maps logits, codes, shares and weights to one loss per row."""
    prior: Doubles
    """Class shares of the rows as batches draw them, shape (n_classes,)."""
    class_weight: Floats
    """Weights of the classes, shape (n_classes,)."""


class Training:
    """A net under training, its averaged weights, and the rows that teach it."""

    def __init__(
        self,
        network: Network,
        batches: Batches,
        objective: Objective,
        recipe: Recipe,
        seed: int,
    ) -> None:
        self.device = _resolve_device(recipe.device)
        self.network, self.batches, self.recipe = network, batches, recipe
        self.rng = np.random.default_rng(seed)
        self.X, self.weight = self._send(batches.rows.X), self._send(batches.weight())
        self.codes = self._send(batches.rows.codes)
        self.loss = self._bind(objective)
        named = dict(network.to(self.device).train().named_parameters())
        decayed: list[Tensor] = [w for name, w in named.items() if network.decays(name)]
        self.parameters: list[Tensor] = list(named.values())
        self.average = {name: w.detach().clone() for name, w in named.items()}
        self.optimiser = AdamW(self.parameters, decayed, recipe.weight_decay)

    def _send(self, array: NDArray[Any]) -> Tensor:
        """Return a copy of the array on the device."""
        return torch.tensor(array, device=self.device)

    def _bind(self, objective: Objective) -> Callable[..., Tensor]:
        """Return the loss with the classes' shares and weights filled in."""
        prior, class_weight = objective.prior, objective.class_weight
        # A mean weight of one: the step size then means the same whatever the weights.
        scaled = class_weight / (prior @ class_weight)
        present = np.maximum(prior, np.finfo(np.float32).tiny)  # losses take logarithms
        return partial(
            objective.loss,
            prior=self._send(present.astype(np.float32)),
            class_weight=self._send(scaled.astype(np.float32)),
        )

    @property
    def batch_size(self) -> int:
        """Rows of a mini-batch."""
        if self.recipe.batch_size != "auto":
            return int(self.recipe.batch_size)
        return int(2 ** round(math.log2(2.5 * math.sqrt(len(self.codes)))))

    @property
    def steps_per_epoch(self) -> int:
        """Mini-batches of an epoch."""
        return math.ceil(len(self.codes) / self.batch_size)

    def weights(self) -> dict[str, Floats]:
        """Return copies of the averaged weights."""
        return {name: w.cpu().numpy().copy() for name, w in self.average.items()}

    def logits(self, X: Floats) -> Floats:
        """Return the logits (n, n_members, n_outputs) of the averaged weights."""
        with self._averaged(), torch.no_grad():
            units = self.network.embed(self._send(X))
            logits: Floats = self.network(units).cpu().numpy()
        return logits

    def run_epoch(self, clock: Clock) -> None:
        """Take one step for each batch, or as many as the clock allows."""
        order = self._send(self.batches.draw(self.rng))
        batches = torch.split(order, self.batch_size)
        for i, batch in enumerate(batches):
            pace = clock.pace(i / len(batches))
            self._step(batch, self.recipe.learning_rate * pace)
            if clock.is_over():
                break

    def _step(self, batch: Tensor, learning_rate: float) -> None:
        """Move the weights by one gradient step, and their average after them."""
        with torch.enable_grad():
            mean_loss = self._losses(batch).mean()
            gradients = torch.autograd.grad(mean_loss, self.parameters)
        self.optimiser.step(gradients, learning_rate)
        self._update_average()

    def _losses(self, batch: Tensor) -> Tensor:
        """Return the loss of each row and member, of blended rows if mixup is on."""
        units = self.network.embed(self.X[batch])
        if self.recipe.mixup == 0:
            return self._losses_against(self.network(units), batch)
        order = self._send(self.rng.permutation(len(batch)))
        share = self.rng.beta(self.recipe.mixup, self.recipe.mixup)
        logits = self.network(mix(units, units[order], share))
        own, other = (self._losses_against(logits, b) for b in (batch, batch[order]))
        return mix(own, other, share)

    def _losses_against(self, logits: Tensor, batch: Tensor) -> Tensor:
        """Return the loss of each row and member, shape (n * n_members,)."""
        n_members, n_outputs = logits.shape[1:]
        each = batch.repeat_interleave(n_members)
        flat = logits.flatten(0, 1)
        return self.loss(
            flat.squeeze(1) if n_outputs == 1 else flat,
            self.codes[each],
            sample_weight=self.weight[each],
        )

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average towards the weights, faster in the first steps."""
        n_steps = self.optimiser.n_steps
        decay = min(_AVERAGE_DECAY, n_steps / (n_steps + _AVERAGE_WARM_UP))
        averages = list(self.average.values())
        torch._foreach_lerp_(averages, self.parameters, 1 - decay)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Let the net have its averaged weights, and no dropout, inside the block."""
        latest = [parameter.data for parameter in self.parameters]
        self.network.eval()
        for parameter, average in zip(
            self.parameters, self.average.values(), strict=True
        ):
            parameter.data = average
        try:
            yield
        finally:
            for parameter, data in zip(self.parameters, latest, strict=True):
                parameter.data = data
            self.network.train()


def mix(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Return the blend of rows, or of their losses, with a share of the first."""
    return share * first + (1 - share) * second


def _resolve_device(device: str) -> str:
    """Return "cpu" or "cuda"."""
    if device not in {"auto", "cpu", "cuda"}:
        msg = f"{device=} is not one of ['auto', 'cpu', 'cuda']."
        raise ValueError(msg)
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch use `n_threads` inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
