# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records and tokens a second, and how much of the hardware's arithmetic the model uses."""

import time

import torch
from accelerate import Accelerator
from accelerate.utils import reduce
from transformers import PreTrainedConfig

from anyecg_hf.training.scaling import training_flops

# Dense peaks with bf16 inputs in 10^12 FLOP/s, from NVIDIA's data sheets, by what torch calls the device.
_PEAK_TFLOPS = {"A100": 312.0, "H100": 989.0, "H200": 989.0}


class Throughput:
    """
    Counts what is processed between two lines of the log.

    Args:
        device (`torch.device`): Where the model is.
        peak_tflops (`float`, *optional*): Peak of one device in 10^12 FLOP/s; looked up if not given.
    """

    def __init__(self, device: torch.device, peak_tflops: float | None = None):
        self._device = device
        self._peak_tflops = peak_tflops or _known_peak(device)
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
        self._flops += training_flops(config, batch, leads, patches)

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


def _known_peak(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for known, peak in _PEAK_TFLOPS.items() if known in name), None)


__all__ = ["Throughput"]
