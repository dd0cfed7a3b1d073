"""The training of a net: settings, plan of epochs, gradient steps, averaged weights.

The nets differ in how they turn rows into logits (`Network`) and share all else. The
optimiser is written here in a few lines, since `torch.optim` imports PyTorch's
compiler, which takes seconds in each new process.
"""

import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoimb._execution.resources import resolve_device
from autoimb._models.batches import Batches, Floats

_BETAS = (0.9, 0.99)
_EPSILON = 1e-8
# Averaging the weights over about the last 50 steps makes the score less noisy by which
# the best epoch is chosen: about +0.01 average precision on tables with 200 to 600 rows
# of the minority class, no loss on smaller ones.
_AVERAGE_DECAY = 0.98
_AVERAGE_WARM_UP = 9
_MASKS_DRAWN = 4  # size of the drawn factors in masks: two windows seldom overlap much
_MASKS_USED = 64  # masks taken before factors are drawn again


class Network(nn.Module, ABC):
    """A net in two parts: rows to units, units to logits."""

    decayed_names: str
    """Regular expression for the names of parameters to which weight decay applies."""

    def embed(self, X: Tensor) -> Tensor:
        """Return the units (n, n_units) of rows; mixup blends units."""
        return X

    @abstractmethod
    def forward(self, units: Tensor) -> Tensor:
        """Return logits (n, n_members, n_outputs): one for two classes, or k."""


class EpochPlan:
    """The number of epochs that end before a deadline, and their learning rates."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        """Monotonic time in seconds."""
        self.n_done = 0
        self.n_planned = self.n_requested = 0
        self.is_shortened = False
        """Whether any step differs from those of a fit without a deadline."""

    def epochs(self, n_epochs: int) -> Iterator[int]:
        """Yield the numbers of up to `n_epochs` epochs; plan again after each."""
        started, self.n_planned, self.n_requested = time.monotonic(), n_epochs, n_epochs
        while self.n_done < self.n_planned:
            yield self.n_done
            self.n_done += 1
            passed_s = max(time.monotonic() - started, 1e-9)
            n_possible = self.n_done * (self.deadline - started) / passed_s
            self.n_planned = int(min(n_epochs, n_possible))
        self.is_shortened |= self.n_done < n_epochs

    def rate_factor(self, epoch_share: float) -> float:
        """Return the factor of the learning rate after a share of the current epoch.

        It is 1 in the first half of the plan and falls linearly to 0 in the second.
        """
        n_done = self.n_done + epoch_share
        factor = min(1.0, 2 * (1 - n_done / self.n_planned))
        self.is_shortened |= factor < min(1.0, 2 * (1 - n_done / self.n_requested))
        return factor


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
        scales = torch._foreach_div(self.squares, 1 - beta2**self.n_steps)
        torch._foreach_sqrt_(scales)
        torch._foreach_add_(scales, _EPSILON)
        torch._foreach_mul_(self.decayed, 1 - learning_rate * self.decay)
        rate = learning_rate / (1 - beta1**self.n_steps)
        torch._foreach_addcdiv_(self.parameters, self.means, scales, value=-rate)


class Dropout(nn.Module):
    """Dropout whose masks are random windows of factors that are drawn in advance.

    On a CPU, drawing each mask anew would take longer than the matrix products. The
    module has its own generator and leaves PyTorch's global one as it is.
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
        size, device = units.numel(), units.device
        if self.n_used % _MASKS_USED == 0 or len(self.factors) < size:
            seed = int(self.rng.integers(2**63 - 1))
            generator = torch.Generator(device).manual_seed(seed)
            draws = torch.rand(_MASKS_DRAWN * size, generator=generator, device=device)
            self.factors = (draws >= self.rate) / (1 - self.rate)
        self.n_used += 1
        start = int(self.rng.integers(len(self.factors) - size + 1))
        return units * self.factors[start : start + size].view(units.shape)


class Training:
    """A net in training, the average of its weights, and its training rows.

    The function `loss` maps logits, codes, class shares and weights to one loss per
    row; `class_weight` has shape (n_classes,). The other parameters are the net's.
    """

    def __init__(
        self,
        network: Network,
        batches: Batches,
        loss: Callable[..., Tensor],
        class_weight: Floats,
        *,
        learning_rate: float,
        weight_decay: float,
        batch_size: int | str,
        mixup: float,
        device: str,
        seed: int,
    ) -> None:
        if mixup < 0:
            raise ValueError(f"{mixup=} must not be negative.")
        self.device = resolve_device(device)
        self.batches, self.learning_rate, self.mixup = batches, learning_rate, mixup
        self.rng = np.random.default_rng(seed)
        self.X = self._send(batches.rows.X)
        self.codes = self._send(batches.rows.codes)
        self.weight = self._send(batches.loss_weight)
        # A mean weight of one: the step size then means the same whatever the weights.
        relative_weight = class_weight / (batches.prior @ class_weight)
        prior = np.maximum(batches.prior, np.finfo(np.float32).tiny)  # for logarithms
        self.loss = partial(
            loss,
            prior=self._send(prior.astype(np.float32)),
            class_weight=self._send(relative_weight.astype(np.float32)),
        )
        self.network = network.to(self.device).train()
        self.average = deepcopy(network).eval().requires_grad_(requires_grad=False)
        """The same net with averaged weights; it predicts, without dropout."""
        named = dict(network.named_parameters())
        self.parameters: list[Tensor] = list(named.values())
        is_decayed = re.compile(network.decayed_names).fullmatch
        decayed: list[Tensor] = [w for name, w in named.items() if is_decayed(name)]
        self.optimiser = AdamW(self.parameters, decayed, weight_decay)
        n_rows = len(self.codes)
        if batch_size == "auto":
            batch_size = 2 ** round(math.log2(2.5 * math.sqrt(n_rows)))
        self.batch_size = int(batch_size)
        self.steps_per_epoch = math.ceil(n_rows / self.batch_size)

    def _send(self, array: NDArray[Any]) -> Tensor:
        """Return a copy of the array on the device."""
        return torch.tensor(array, device=self.device)

    def weights(self) -> dict[str, Floats]:
        """Return copies of the averaged weights."""
        return {k: w.cpu().numpy().copy() for k, w in self.average.named_parameters()}

    @torch.no_grad()
    def logits(self, X: Floats) -> Floats:
        """Return the logits (n, n_members, n_outputs) of the averaged weights."""
        logits: Floats = self.average(self.average.embed(self._send(X))).cpu().numpy()
        return logits

    def run_epoch(self, plan: EpochPlan) -> None:
        """Take one step for each batch; stop at the deadline, after at least one."""
        batches = torch.split(self._send(self.batches.draw(self.rng)), self.batch_size)
        for i, batch in enumerate(batches):
            self._step(batch, self.learning_rate * plan.rate_factor(i / len(batches)))
            if time.monotonic() >= plan.deadline:
                break

    def _step(self, batch: Tensor, learning_rate: float) -> None:
        """Move the weights by one gradient step, then their average towards them."""
        with torch.enable_grad():
            gradients = torch.autograd.grad(self._losses(batch).mean(), self.parameters)
        self.optimiser.step(gradients, learning_rate)
        n_steps = self.optimiser.n_steps
        decay = min(_AVERAGE_DECAY, n_steps / (n_steps + _AVERAGE_WARM_UP))
        with torch.no_grad():
            averages: list[Tensor] = list(self.average.parameters())
            torch._foreach_lerp_(averages, self.parameters, 1 - decay)

    def _losses(self, batch: Tensor) -> Tensor:
        """Return the loss of each row and member, of blended rows if mixup is on."""
        units = self.network.embed(self.X[batch])
        if self.mixup == 0:
            return self._losses_against(self.network(units), batch)
        order = self._send(self.rng.permutation(len(batch)))
        share = self.rng.beta(self.mixup, self.mixup)
        logits = self.network(share * units + (1 - share) * units[order])
        own, other = (self._losses_against(logits, b) for b in (batch, batch[order]))
        return share * own + (1 - share) * other

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
