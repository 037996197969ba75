# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records and tokens a second, and how much of the hardware's arithmetic the model uses."""

import time

import torch
from accelerate import Accelerator
from accelerate.utils import reduce
from transformers import PreTrainedConfig

from anyecg_hf.training.configs import RunConfig
from anyecg_hf.training.scaling import known_peak_flops, training_flops


class Throughput:
    """
    Counts what is processed between two lines of the log.

    Args:
        device (`torch.device`): Where the model is.
        config ([`RunConfig`]): Precision, and the device's peak if it is given.
        predicts_codes (`bool`, *optional*, defaults to `False`): Whether the model has a code head at work.
        trains_backbone (`bool`, *optional*, defaults to `True`): Whether the backbone's own weights are trained.
    """

    def __init__(
        self, device: torch.device, config: RunConfig, predicts_codes: bool = False, trains_backbone: bool = True
    ):
        self._kind = {"code_head": predicts_codes, "weight_gradients": trains_backbone}
        self._peak_tflops = config.peak_tflops or _known_peak_tflops(device, config)
        self.start()

    def start(self) -> None:
        """Begins to count anew: what came before, validation for example, is not training."""
        self._since = time.perf_counter()
        self._records = self._tokens = self._flops = 0.0

    def count(self, config: PreTrainedConfig, attention_mask: torch.Tensor) -> None:
        """
        Counts a batch.

        Args:
            config (`PreTrainedConfig`): The model's.
            attention_mask (`torch.Tensor` of shape `(B, L, N)`): 1 for real patches.
        """
        batch, leads, patches = attention_mask.shape
        self._records += batch
        self._tokens += int(attention_mask.sum())
        self._flops += training_flops(config, batch, leads, patches, **self._kind)

    def measure(self, accelerator: Accelerator) -> dict[str, float]:
        """
        What was processed a second since the last call, by all processes.

        Args:
            accelerator (`accelerate.Accelerator`): The processes.

        Returns:
            `dict[str, float]`: `records_per_s`, `tokens_per_s`, `tflops` of one device and, where its peak is known,
            `model_flop_utilisation`.
        """
        counts = torch.tensor([self._records, self._tokens, self._flops / 1e12], device=accelerator.device)
        records, tokens, tflop = reduce(counts, reduction="sum").tolist()
        seconds = max(time.perf_counter() - self._since, 1e-9)
        self.start()
        tflops = tflop / seconds / accelerator.num_processes
        found = {"records_per_s": records / seconds, "tokens_per_s": tokens / seconds, "tflops": tflops}
        if self._peak_tflops is not None:
            found["model_flop_utilisation"] = tflops / self._peak_tflops
        return found


def _known_peak_tflops(device: torch.device, config: RunConfig) -> float | None:
    if device.type != "cuda":
        return None
    peak = known_peak_flops(torch.cuda.get_device_name(device), config.precision)
    return None if peak is None else peak / 1e12


__all__ = ["Throughput"]
