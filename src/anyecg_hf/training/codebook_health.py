# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How much of the codebook training uses, told from the codes of its batches, and when that counts as a collapse."""

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.distributed as dist

from anyecg_hf.models.anyecg import AnyECGQuantizerConfig
from anyecg_hf.models.anyecg.quantization_anyecg import QuantizedTokens, VectorQuantizer

_WINDOW, _WAITING = "window_counts", "waiting_counts"


class CodebookCollapseError(RuntimeError):
    """Training goes on with a codebook of which almost nothing is used; stopping is kinder."""


@dataclass(frozen=True, eq=False)
class CodebookMeasurement:
    """
    The codes that training batches were given, over all processes.

    Attributes:
        counts (`torch.LongTensor` of shape `(Q, K)`): How often each code of each codebook was given, on the CPU.
    """

    counts: torch.Tensor

    @property
    def uses(self) -> int:
        """Patches that were given codes."""
        return int(self.counts[0].sum())

    @property
    def usages(self) -> list[float]:
        """Share of the codes that occur, of each codebook; NaN if nothing was counted."""
        return (self.counts > 0).float().mean(dim=1).tolist() if self.uses else [math.nan] * len(self.counts)

    @property
    def perplexities(self) -> list[float]:
        """exp of the entropy of each codebook's codes; NaN if nothing was counted."""
        # 0 / 0 is the NaN.
        shares = self.counts.double() / self.counts.sum(dim=1, keepdim=True)
        return torch.special.entr(shares).sum(dim=1).exp().tolist()

    @property
    def usage(self) -> float:
        """Mean of `usages`."""
        return sum(self.usages) / len(self.counts)

    @property
    def perplexity(self) -> float:
        """Mean of `perplexities`."""
        return sum(self.perplexities) / len(self.counts)


class CodebookHealth:
    """
    Counts the codes that a quantizer gives in training, and stops training when few of them are in use.

    Collapse is told from codes of batches: in the codebook's own running counts, codes that were just revived look as
    if they were in use. Nothing is counted in evaluation, without gradients, or before the codebook starts. Under
    several processes the batches of all of them count, and all of them must call [`~CodebookHealth.measure`].

    Example:

    ```python
    >>> with CodebookHealth().attach(model.quantizer) as health:
    ...     for step, batch in enumerate(batches, start=1):
    ...         train(model, batch)
    ...         if step % log_every == 0:
    ...             measurement = health.measure()
    ...             health.check(measurement, model.config)
    ```
    """

    FEWEST_USES = 10  # a code, on average: fewer say little about the codes that were not used

    def __init__(self) -> None:
        self._quantizer: VectorQuantizer | None = None
        self._hook: torch.utils.hooks.RemovableHandle | None = None
        # Of this process, since the last measurement; and of all processes, measured but too few to judge.
        self._window = self._waiting = torch.zeros(0, 0, dtype=torch.long)

    def attach(self, quantizer: VectorQuantizer) -> Self:
        """
        Starts counting. Attached again to the same quantizer, it goes on with what it had counted.

        Args:
            quantizer ([`VectorQuantizer`]): The one that training runs, `model.quantizer`.

        Returns:
            [`CodebookHealth`]: itself, as a context that detaches at its end.
        """
        if not isinstance(quantizer, VectorQuantizer):
            raise TypeError(f"expected a VectorQuantizer, got {type(quantizer).__name__}: pass `model.quantizer`.")
        self.detach()
        if quantizer is not self._quantizer:
            shape = len(quantizer.codebooks), quantizer.config.codebook_size
            self._window = torch.zeros(shape, dtype=torch.long, device=quantizer.started.device)
            self._waiting = torch.zeros(shape, dtype=torch.long)
            self._quantizer = quantizer
        self._hook = quantizer.register_forward_hook(self._count, with_kwargs=True)
        return self

    def detach(self) -> None:
        """Stops counting. May be called at any time."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.detach()

    def measure(self) -> CodebookMeasurement:
        """
        What was counted since the last call, over all processes; counting starts anew.

        Returns:
            [`CodebookMeasurement`]: the same on every process.

        Raises:
            `RuntimeError`: if it was never attached.
        """
        counts = self._on_device(self._window).clone()
        self._window = torch.zeros_like(counts)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(counts)
        return CodebookMeasurement(counts.cpu())

    def check(self, measurement: CodebookMeasurement, config: AnyECGQuantizerConfig) -> None:
        """
        Judges by the share of each codebook in use. Measurements of less than `FEWEST_USES` uses a code are added up
        until there are so many.

        Args:
            measurement ([`CodebookMeasurement`]): Not checked before.
            config ([`AnyECGQuantizerConfig`]): Says how low is too low, `min_codebook_usage`.

        Raises:
            [`CodebookCollapseError`]: if less of a codebook is in use.
            `RuntimeError`: if it was never attached.
        """
        self._attached_quantizer()
        self._waiting = self._waiting + measurement.counts
        judged = CodebookMeasurement(self._waiting)
        if judged.uses < self.FEWEST_USES * judged.counts.shape[1]:
            return
        self._waiting = torch.zeros_like(self._waiting)
        worst = min(range(len(judged.counts)), key=lambda stage: judged.usages[stage])
        if judged.usages[worst] < config.min_codebook_usage:
            raise CodebookCollapseError(_collapse_text(judged, worst, config))

    def state_dict(self) -> dict[str, torch.Tensor]:
        """
        What an exact resume needs, on the CPU: counts of this process since the last measurement, and those not judged
        yet. Every process has its own, as of [`VectorQuantizer.training_state`].
        """
        return {_WINDOW: self._window.cpu().clone(), _WAITING: self._waiting.clone()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """
        Restores [`~CodebookHealth.state_dict`] after [`~CodebookHealth.attach`].

        Raises:
            `ValueError`: if it is of codebooks of another number or size.
            `RuntimeError`: if it was never attached.
        """
        self._attached_quantizer()
        expected = {name: tuple(self._window.shape) for name in (_WINDOW, _WAITING)}
        found = {name: tuple(counts.shape) for name, counts in state.items()}
        if found != expected:
            raise ValueError(f"expected counts of codebooks (Q, K) as {expected}, got {found}: another model's state.")
        self._window = self._on_device(state[_WINDOW].clone())
        self._waiting = state[_WAITING].cpu().clone()

    def _count(
        self, quantizer: VectorQuantizer, inputs: tuple[Any, ...], named: dict[str, Any], tokens: QuantizedTokens
    ) -> None:
        if not (quantizer.training and torch.is_grad_enabled() and bool(quantizer.started)):
            return
        mask = named["mask"] if "mask" in named else inputs[1]
        codes = tokens.codes.detach().flatten(0, -2).T
        real = mask.flatten().to(torch.long).expand_as(codes)
        self._window = self._window.to(codes.device).scatter_add_(1, codes, real)

    def _attached_quantizer(self) -> VectorQuantizer:
        if self._quantizer is None:
            raise RuntimeError("nothing is counted yet: call `attach(model.quantizer)` first.")
        return self._quantizer

    def _on_device(self, counts: torch.Tensor) -> torch.Tensor:
        """Counts where the quantizer is: a process without any batch too must reduce on the device of the others."""
        return counts.to(self._attached_quantizer().started.device)


def _collapse_text(judged: CodebookMeasurement, worst: int, config: AnyECGQuantizerConfig) -> str:
    which = f"residual codebook {worst} (of {len(judged.counts)})" if len(judged.counts) > 1 else "the codebook"
    return (
        f"{which} has collapsed: only {judged.usages[worst]:.1%} of its {config.codebook_size} codes are in use, and"
        f" `min_codebook_usage` is {config.min_codebook_usage:.1%} (perplexity {judged.perplexities[worst]:.1f} over"
        f" {judged.uses} patches). Try a longer unquantized warm-up (`codebook_warmup_updates`), a lower learning rate,"
        " larger or more varied batches, or fewer codes (`codebook_size`); a codebook that is well at a smaller share"
        " may lower `min_codebook_usage`."
    )


__all__ = ["CodebookCollapseError", "CodebookHealth", "CodebookMeasurement"]
