# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AnyECGTokenizer: the rhythm quantizer as a feature extractor."""

import copy
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import BatchFeature, SequenceFeatureExtractor

from .batching_anyecg import pad_features, patches_within
from .checkpoint_files_anyecg import HUB_ARGUMENTS, loading
from .cleaning_anyecg import CleanedECG, CleaningSettings, clean_record
from .compatibility_anyecg import CONFIG_VERSION, check_arguments, check_quantizer_matches, check_tokenizer_file
from .configuration_anyecg import LEAD_NAMES
from .inputs_anyecg import as_records, as_signal, resolve_lead_names, spread, spread_lead_names, unpack_record
from .presets_anyecg import IS_REMOTE_CODE
from .signal_anyecg import check_sampling_rate, millivolts_per_unit
from .streaming_anyecg import ECGSource, ECGWindow, ECGWindowStream, stream_windows

if TYPE_CHECKING:
    import torch

QUANTIZER_SUBFOLDER = "quantizer"
_PRIVATE_STATE = ("_quantizer", "_quantizer_source", "_device")


class AnyECGTokenizer(SequenceFeatureExtractor):
    r"""
    Turns ECG recordings of any device into patches, and patches into rhythm codes and back.

    Calling it cleans: units, lead names, gaps, resampling, band-pass, notch, wavelet denoising, scale, patches.
    `encode` and `decode` run the rhythm quantizer, which is loaded on first use from the `quantizer/` subfolder of the
    checkpoint.

    Args:
        sampling_rate (`int`, *optional*, defaults to 300):
            Rate of the patches in Hz.
        patch_size (`int`, *optional*, defaults to 300):
            Samples of a patch.
        lead_names (`list[str]`, *optional*):
            Lead vocabulary; `lead_ids` index into it.
        bandpass_low_hz (`float`, *optional*, defaults to 0.1):
            Lower edge of the zero-phase band-pass; `None` leaves it out.
        bandpass_high_hz (`float`, *optional*, defaults to 75.0):
            Upper edge, likewise.
        filter_order (`int`, *optional*, defaults to 2):
            Order of the Butterworth edges.
        notch_hz (`float`, *optional*, defaults to 50.0), notch_quality (`float`, *optional*, defaults to 30.0):
            Powerline notch; `None` for no notch.
        denoise (`bool`, *optional*, defaults to `True`), denoise_wavelet (`str`, *optional*, defaults to `"db6"`),
        denoise_levels (`int`, *optional*, defaults to 4):
            Wavelet soft-threshold denoising.
        config_version (`str`, *optional*): Of the file; a later major number is refused.

    Example:

    ```python
    >>> from anyecg_hf import TINY, AnyECGTokenizer

    >>> tokenizer = AnyECGTokenizer.from_pretrained(TINY)
    >>> batch = tokenizer(ecg_mv, sampling_rate=500, lead_names=["I", "II"], return_tensors="pt")
    >>> codes = tokenizer.encode(batch)  # (records, leads, patches)
    ```
    """

    model_input_names = ["input_values", "attention_mask", "lead_ids", "scale"]

    def __init__(
        self,
        sampling_rate: int = 300,
        patch_size: int = 300,
        lead_names: Sequence[str] = LEAD_NAMES,
        bandpass_low_hz: float | None = 0.1,
        bandpass_high_hz: float | None = 75.0,
        filter_order: int = 2,
        notch_hz: float | None = 50.0,
        notch_quality: float = 30.0,
        denoise: bool = True,
        denoise_wavelet: str = "db6",
        denoise_levels: int = 4,
        config_version: str = CONFIG_VERSION,
        **kwargs: Any,
    ):
        for fixed in ("feature_size", "padding_value"):  # stored by the base class, not open to choice
            kwargs.pop(fixed, None)
        if not IS_REMOTE_CODE:  # as in the configs
            kwargs.pop("auto_map", None)
        check_arguments(lead_names, config_version, kwargs)
        super().__init__(feature_size=patch_size, sampling_rate=sampling_rate, padding_value=0.0, **kwargs)
        self.patch_size = patch_size
        self.lead_names = list(lead_names)
        self.bandpass_low_hz = bandpass_low_hz
        self.bandpass_high_hz = bandpass_high_hz
        self.filter_order = filter_order
        self.notch_hz = notch_hz
        self.notch_quality = notch_quality
        self.denoise = denoise
        self.denoise_wavelet = denoise_wavelet
        self.denoise_levels = denoise_levels
        self.config_version = config_version
        self.cleaning_settings  # noqa: B018 - validates the fields now rather than at the first record
        self._quantizer = None
        self._quantizer_source = None
        self._device = None

    @property
    def cleaning_settings(self) -> CleaningSettings:
        """The cleaning steps that this tokenizer's fields describe."""
        return CleaningSettings(**{field.name: getattr(self, field.name) for field in fields(CleaningSettings)})

    @property
    def patch_seconds(self) -> float:
        """Duration of a patch in seconds."""
        return self.patch_size / self.sampling_rate

    def clean(
        self,
        ecg: Any,
        sampling_rate: float | None = None,
        lead_names: Sequence[str] | str | None = None,
        unit: str = "mV",
        scale: float | None = None,
        noise_level: Any = None,
    ) -> CleanedECG:
        """
        Cleans one record and tells what was done; `__call__` is this for batches.

        Args:
            ecg (`np.ndarray`, `torch.Tensor` or `ECGRecord`):
                `(leads, samples)`, `(samples,)` for one lead, or a record that carries its own rate and leads.
            sampling_rate (`float`):
                Rate of the signal in Hz; required unless `ecg` is a record.
            lead_names (`list[str]` or `str`):
                One name a lead, any usual spelling; required unless `ecg` is a record.
            unit (`str`, *optional*, defaults to `"mV"`):
                `"V"`, `"mV"`, `"uV"` or `"nV"`.
            scale (`float`, *optional*), noise_level (`np.ndarray` of shape `(leads,)`, *optional*):
                Recording scale and noise in mV of the record that this is a window of.

        Returns:
            [`CleanedECG`]

        Raises:
            `ValueError`: if anything about the input is missing, contradictory or impossible; the message says what
                was expected and what to do.
        """
        cleaned = self._clean(ecg, sampling_rate, lead_names, unit, scale, noise_level)
        if cleaned.notes:
            warnings.warn("; ".join(cleaned.notes) + ".", UserWarning, stacklevel=2)
        return cleaned

    def _clean(
        self,
        ecg: Any,
        sampling_rate: float | None,
        lead_names: Sequence[str] | str | None,
        unit: str,
        scale: float | None,
        noise_level: Any,
    ) -> CleanedECG:
        if hasattr(ecg, "signal_mv"):
            ecg, sampling_rate, lead_names, unit = unpack_record(ecg, sampling_rate, lead_names, unit)
        rate = check_sampling_rate(sampling_rate)
        signal = as_signal(ecg)
        names = resolve_lead_names(lead_names, signal.shape, self.lead_names)
        factor = millivolts_per_unit(unit)
        if factor != 1.0:
            signal = signal * np.float32(factor)
        return clean_record(signal, rate, names, self.cleaning_settings, scale=scale, noise_level=noise_level)

    def __call__(
        self,
        ecg: Any,
        sampling_rate: float | Sequence[float] | None = None,
        lead_names: Sequence[str] | Sequence[Sequence[str]] | str | None = None,
        unit: str | Sequence[str] = "mV",
        padding: bool | str = True,
        truncation: bool = False,
        max_length_s: float | None = None,
        return_tensors: str | None = None,
        scale: float | Sequence[float] | None = None,
        noise_level: Any = None,
    ) -> BatchFeature:
        """
        Cleans records and joins them to a batch. A batch gives the same numbers as its records one by one.

        Args:
            ecg (array, tensor, `ECGRecord`, or a list of these):
                One `(leads, samples)` or `(samples,)` array, `(records, leads, samples)`, or a list of records of
                different sizes.
            sampling_rate (`float` or `list[float]`):
                Rate in Hz, one for all records or one each. Required unless the records carry theirs.
            lead_names (`list[str]` or `list[list[str]]`):
                One list for all records or one each. Required unless the records carry theirs.
            unit (`str` or `list[str]`, *optional*, defaults to `"mV"`):
                Unit of the signals.
            padding (`bool` or `str`, *optional*, defaults to `True`):
                `True` or `"longest"` pads leads and patches to the largest record, `"max_length"` pads to
                `max_length_s`, `False` leaves a list of arrays.
            truncation (`bool`, *optional*, defaults to `False`):
                Whether to cut records after `max_length_s`.
            max_length_s (`float`, *optional*):
                Longest duration in seconds, for truncation and for `padding="max_length"`.
            return_tensors (`str`, *optional*):
                `"pt"` for torch tensors, `"np"` (also the default) for arrays.
            scale, noise_level (*optional*):
                Passed to [`~AnyECGTokenizer.clean`], one for all records or a list.

        Returns:
            [`BatchFeature`] with **input_values** `(B, L, N, S)` float32, **attention_mask** `(B, L, N)` int64,
            **lead_ids** `(B, L)` int64 and **scale** `(B,)` float32 in mV.
        """
        records = as_records(ecg)
        arguments = {
            "sampling_rate": spread(sampling_rate, len(records), "sampling_rate"),
            "lead_names": spread_lead_names(lead_names, len(records)),
            "unit": spread(unit, len(records), "unit"),
            "scale": spread(scale, len(records), "scale"),
            "noise_level": [noise_level] if len(records) == 1 else spread(noise_level, len(records), "noise_level"),
        }
        patches = patches_within(max_length_s, self.patch_seconds, truncation, padding)
        features, notes = [], []
        for index, record in enumerate(records):
            try:
                cleaned = self._clean(record, **{name: values[index] for name, values in arguments.items()})
            except ValueError as error:
                if len(records) == 1:
                    raise
                raise ValueError(f"record {index} of {len(records)}: {error}") from error
            features.append(self.feature(cleaned, max_patches=patches if truncation else None))
            if cleaned.notes:
                notes.append(f"record {index}: " * (len(records) > 1) + "; ".join(cleaned.notes))
        if notes:
            warnings.warn(". ".join(notes) + ".", UserWarning, stacklevel=2)
        most = patches if padding == "max_length" else None
        return self.pad(features, padding=padding, max_length=most, return_tensors=return_tensors)

    def stream(
        self,
        source: ECGSource | Iterable[np.ndarray],
        window_s: float,
        stride_s: float | None = None,
        sampling_rate: float | None = None,
        lead_names: Sequence[str] | None = None,
        one_pass: bool = False,
    ) -> ECGWindowStream:
        """
        Walks a recording of any length in windows, in bounded memory; `feature` makes a window model input.

        A source that can be read again is walked in two passes and gives the patches of the record cleaned whole. A
        live stream is walked in one, with scale, noise and unusable leads of its first five minutes.

        Args:
            source (`records.RecordSource` or other [`ECGSource`], or `Iterable[np.ndarray]`):
                A record that is read piece by piece, or arrays `(leads, samples)` in mV, one after the other.
            window_s (`float`), stride_s (`float`, *optional*):
                Length of a window, and time between starts (a window's by default), in seconds; whole patches.
            sampling_rate (`float`, *optional*), lead_names (`Sequence[str]`, *optional*):
                Of arrays; a source says its own.
            one_pass (`bool`, *optional*, defaults to `False`):
                Whether to read a source only once, as if it were live.

        Returns:
            [`ECGWindowStream`]: an iterator of [`ECGWindow`], with the `statistics` that it is cleaned by.

        Raises:
            `ValueError`: as `clean`, and for windows that are not whole patches.

        Example:

        ```python
        >>> windows = tokenizer.stream(open_record("holter.edf"), window_s=10, stride_s=5)
        >>> embeddings = list(model.encode_windows(map(tokenizer.feature, windows)))
        ```
        """
        return stream_windows(
            *(source, self.cleaning_settings, self.lead_names, window_s, stride_s, sampling_rate, lead_names, one_pass)
        )

    def feature(self, cleaned: CleanedECG | ECGWindow, max_patches: int | None = None) -> dict[str, np.ndarray]:
        """One record as model input: the keys of `__call__` without the batch axis."""
        return {
            "input_values": cleaned.patches[:, :max_patches],
            "attention_mask": cleaned.patch_mask[:, :max_patches].astype(np.int64),
            "lead_ids": np.array([self.lead_names.index(name) for name in cleaned.lead_names], dtype=np.int64),
            "scale": np.float32(cleaned.scale),
        }

    def pad(
        self,
        processed_features: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """
        Joins records of different sizes to a batch, zero-padded in leads and patches; usable as a collator.

        Args:
            processed_features (`list[dict]`, or a dict of lists):
                Items with the keys of `__call__`, without the batch axis. Other keys, labels for example, are stacked.
            padding (`bool` or `str`, *optional*, defaults to `True`):
                As in `__call__`; `False` returns lists.
            max_length (`int`, *optional*):
                Patches to pad to with `padding="max_length"`.
            return_tensors (`str`, *optional*):
                `"pt"` or `"np"`.

        Returns:
            [`BatchFeature`]
        """
        return pad_features(processed_features, padding, max_length, return_tensors)

    @property
    def quantizer(self):
        """The [`AnyECGRhythmQuantizer`], loaded on first use from the checkpoint's `quantizer/` subfolder."""
        if self._quantizer is None:
            from .modeling_anyecg_quantizer import AnyECGRhythmQuantizer

            if self._quantizer_source is None:
                raise ValueError(
                    "this tokenizer has no quantizer: load it with `from_pretrained` from a checkpoint with a"
                    f" `{QUANTIZER_SUBFOLDER}/` subfolder, or set `tokenizer.quantizer = AnyECGRhythmQuantizer(...)`."
                )
            path, arguments = self._quantizer_source
            subfolder = os.path.join(arguments.get("subfolder", ""), QUANTIZER_SUBFOLDER)
            self.quantizer = AnyECGRhythmQuantizer.from_pretrained(path, **{**arguments, "subfolder": subfolder})
        return self._quantizer

    @quantizer.setter
    def quantizer(self, quantizer: Any) -> None:
        check_quantizer_matches(self, quantizer.config)
        self._quantizer = quantizer.eval()
        if self._device is not None:
            self._quantizer.to(self._device)

    @property
    def has_quantizer(self) -> bool:
        """Whether there is a quantizer, or a place that it is loaded from."""
        return self._quantizer is not None or self._quantizer_source is not None

    def to(self, device: Any) -> "AnyECGTokenizer":
        """Moves the quantizer (now, or when it is loaded) to `device`; returns the tokenizer."""
        self._device = device
        if self._quantizer is not None:
            self._quantizer.to(device)
        return self

    def encode(self, ecg: Any, **kwargs: Any) -> "torch.Tensor":
        """
        Rhythm codes of a batch, or of raw signals.

        Args:
            ecg ([`BatchFeature`], or anything that `__call__` takes):
                A batch as `__call__` returns it, or signals with the arguments of `__call__` as keywords.

        Returns:
            `torch.LongTensor` of shape `(B, L, N)`, or `(B, L, N, Q)` with several codebooks: code indices, -1 where
            masked.
        """
        import torch

        if isinstance(ecg, Mapping) and "input_values" in ecg:
            if kwargs:
                raise TypeError(f"a batch is cleaned already: leave out {sorted(kwargs)}.")
            batch = ecg
        else:
            batch = self(ecg, **kwargs)
        quantizer = self.quantizer
        inputs = {
            name: torch.as_tensor(batch[name]).to(quantizer.device)
            for name in ("input_values", "attention_mask", "lead_ids")
        }
        return quantizer.encode(**inputs)

    def decode(self, codes: Any, lead_ids: Any, scale: Any) -> "torch.Tensor":
        """
        The waveform that rhythm codes stand for.

        Args:
            codes (`torch.LongTensor` of shape `(B, L, N)` or `(B, L, N, Q)`): Codes, negative where masked.
            lead_ids (`torch.LongTensor` of shape `(B, L)`): From the batch.
            scale (`torch.FloatTensor` of shape `(B,)`): Recording scales in mV, from the batch.

        Returns:
            `torch.FloatTensor` of shape `(B, L, N * S)`: millivolts at the tokenizer's sampling rate, zero where the
            code is negative.
        """
        import torch

        quantizer = self.quantizer
        codes, lead_ids, scale = (torch.as_tensor(value).to(quantizer.device) for value in (codes, lead_ids, scale))
        patches = quantizer.decode(codes, lead_ids)
        return patches.flatten(2).float() * scale.float().reshape(-1, 1, 1)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any):
        """Loads the settings now and remembers where the quantizer lies; arguments as in `transformers`."""
        with loading(pretrained_model_name_or_path, cls.__name__):
            loaded = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        tokenizer = loaded[0] if isinstance(loaded, tuple) else loaded
        arguments = {name: kwargs[name] for name in HUB_ARGUMENTS if kwargs.get(name) is not None}
        path = str(pretrained_model_name_or_path)
        folder = os.path.join(path, arguments.get("subfolder", ""), QUANTIZER_SUBFOLDER)
        if os.path.isdir(folder) or not os.path.isdir(path):  # a local folder without a quantizer is known to have none
            tokenizer._quantizer_source = (path, arguments)
        return loaded

    @classmethod
    def from_dict(cls, feature_extractor_dict: dict[str, Any], **kwargs: Any):
        """As in `transformers`. Raises `ValueError` for settings that this version does not know: none is ignored."""
        check_tokenizer_file(cls, feature_extractor_dict)
        return super().from_dict(feature_extractor_dict, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs: Any):
        """Saves the settings, and the quantizer in its subfolder if there is one."""
        if self.has_quantizer:
            self.quantizer.save_pretrained(os.path.join(save_directory, QUANTIZER_SUBFOLDER))
        return super().save_pretrained(os.fspath(save_directory), push_to_hub=push_to_hub, **kwargs)

    def _get_files_timestamps(self, working_dir: str | os.PathLike) -> dict[str, float]:
        """Uploading skips what it finds here; the quantizer is saved by then, but is new."""
        timestamps = super()._get_files_timestamps(working_dir)
        timestamps.pop(QUANTIZER_SUBFOLDER, None)
        return timestamps

    def to_dict(self) -> dict[str, Any]:
        """The settings, without the quantizer."""
        state = {name: value for name, value in self.__dict__.items() if name not in _PRIVATE_STATE}
        output = copy.deepcopy(state)
        output["feature_extractor_type"] = type(self).__name__
        # transformers writes [slow, fast] pairs for every class whose name holds "Tokenizer"; loading wants a string.
        auto_map = output.get("auto_map") or {}
        for key, value in auto_map.items():
            auto_map[key] = value[0] if isinstance(value, (list, tuple)) else value
        return output

    def __getstate__(self) -> dict[str, Any]:
        """Workers get the settings and where the quantizer lies, not its weights."""
        return {**self.__dict__, "_quantizer": None}


__all__ = ["AnyECGTokenizer"]
