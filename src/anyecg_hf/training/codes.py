# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Rhythm codes of cleaned rows, computed once by the frozen quantizer."""

import hashlib
import json
from collections.abc import Collection
from typing import Any

import datasets
import numpy as np
import torch

from anyecg_hf.corpora.array_feature import BinaryArray
from anyecg_hf.corpora.signal_feature import ECG_FORMAT
from anyecg_hf.models.anyecg import AnyECGRhythmQuantizer
from anyecg_hf.models.anyecg.windowing_anyecg import window_spans
from anyecg_hf.version import __version__

CODES = BinaryArray("int16")
_LARGEST_CODEBOOK = 1 << 15
_ROWS_AT_ONCE = 64
# Where a checkpoint lies and what wrote it.
_NOT_ABOUT_CODES = ("_name_or_path", "transformers_version", "architectures", "dtype")


def add_codes(
    rows: datasets.Dataset | datasets.IterableDataset,
    quantizer: AnyECGRhythmQuantizer,
    window_patches: int,
    batch_size: int = 16,
) -> datasets.Dataset | datasets.IterableDataset:
    """
    Adds the column `codes`: rhythm codes `(L, N)` or `(L, N, Q)` int16, -1 where masked, encoded window by window
    ([`window_spans`]). Kept in the cache of `datasets`; a stream is encoded as it is read.

    Args:
        rows (`datasets.Dataset` or `datasets.IterableDataset`): Rows of `clean_corpus`.
        quantizer ([`AnyECGRhythmQuantizer`]): The frozen quantizer, on the device to compute on.
        window_patches (`int`): Patches of a window, at most.
        batch_size (`int`, *optional*, defaults to 16): Windows of one size encoded together.

    Returns:
        The same kind of dataset.

    Raises:
        `ValueError`: if the codebook has more codes than int16 can name.
    """
    if quantizer.config.codebook_size > _LARGEST_CODEBOOK:
        raise ValueError(
            f"codes are kept as int16, which names {_LARGEST_CODEBOOK} of them at most; the codebook has"
            f" {quantizer.config.codebook_size}. Use several codebooks (`num_quantizers`) in place of a larger one."
        )
    encode = _Encode(quantizer.eval(), window_patches, batch_size)
    features = datasets.Features({**rows.features, "codes": CODES})
    if isinstance(rows, datasets.IterableDataset):
        return rows.map(encode.arrays, batched=True, batch_size=_ROWS_AT_ONCE, features=features)
    encoded = rows.map(
        encode,
        batched=True,
        batch_size=_ROWS_AT_ONCE,
        writer_batch_size=_ROWS_AT_ONCE,
        features=features,
        desc="encode",
    )
    return encoded.with_format(ECG_FORMAT)


class _Encode:
    """Encodes rows. A class, so that `datasets` can tell by its state what a cached result was computed with."""

    def __init__(self, quantizer: AnyECGRhythmQuantizer, window_patches: int, batch_size: int):
        self.quantizer = quantizer
        self.window_patches = window_patches
        self.batch_size = batch_size

    def __getstate__(self) -> dict[str, Any]:
        # The same weights give other codes under another tolerance, for example.
        config = self.quantizer.config.to_dict()
        settings = {name: value for name, value in config.items() if name not in _NOT_ABOUT_CODES}
        return {
            "weights": weights_digest(self.quantizer),
            "config": json.dumps(settings, sort_keys=True, default=str),
            "window_patches": self.window_patches,
            "version": __version__,
        }

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"codes": [CODES.encode_example(row) for row in self.arrays(batch)["codes"]]}

    @torch.no_grad()
    def arrays(self, batch: dict[str, list[Any]]) -> dict[str, list[np.ndarray]]:
        """The codes as they are: what a stream maps to is not decoded."""
        values, masks = batch["input_values"], batch["attention_mask"]
        queues: dict[tuple[int, int], list[tuple[int, slice]]] = {}
        for index, mask in enumerate(masks):
            leads, patches = np.shape(mask)
            for span in window_spans(patches, self.window_patches):
                queues.setdefault((leads, span.stop - span.start), []).append((index, span))
        n_codebooks = self.quantizer.config.num_quantizers
        tail = () if n_codebooks == 1 else (n_codebooks,)
        codes = [np.full((*np.shape(mask), *tail), -1, np.int16) for mask in masks]
        for queue in queues.values():
            for first in range(0, len(queue), self.batch_size):
                group = queue[first : first + self.batch_size]
                found = self.quantizer.encode(
                    self._stacked([np.asarray(values[index])[:, span] for index, span in group], torch.float32),
                    self._stacked([np.asarray(masks[index])[:, span] for index, span in group], torch.long),
                    self._stacked([np.asarray(batch["lead_ids"][index]) for index, _ in group], torch.long),
                )
                for (index, span), row in zip(group, found.cpu().numpy(), strict=True):
                    codes[index][:, span] = row
        return {"codes": codes}

    def _stacked(self, arrays: list[np.ndarray], dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(np.stack(arrays)).to(self.quantizer.device, dtype)


# Where PEFT keeps modules that an adapter brings whole (`modules_to_save`) as the checkpoint has them.
_REPLACED = ".original_module."


def weights_digest(model: torch.nn.Module, without: Collection[str] = ()) -> str:
    """
    Hash of a model's parameters and buffers. What an adapter replaced is left out: PEFT keeps it, and it may be random.

    Args:
        model (`torch.nn.Module`): The model.
        without (`Collection[str]`, *optional*): Names that are left out.

    Returns:
        `str`: hexadecimal SHA-256.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name in without or _REPLACED in name:
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


__all__ = ["add_codes", "weights_digest"]
