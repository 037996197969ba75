# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`StoredSignal`: samples as a file holds them, bit by bit, and how they become millivolts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..models.anyecg.signal_anyecg import millivolts_per_unit

STORED_DTYPES = ("int16", "int32", "float16", "float32", "float64")


@dataclass(frozen=True, eq=False)
class StoredSignal:
    """
    Samples as their source holds them: `mV = (samples - baseline) / gain * millivolts in one unit`.

    Args:
        samples (`np.ndarray` of shape `(leads, samples)`):
            int16, int32, float16, float32 or float64.
        gain (`np.ndarray` of shape `(leads,)`, float64):
            Steps of the samples in one unit.
        baseline (`np.ndarray` of shape `(leads,)`, float64):
            The sample that means zero.
        units (`tuple[str, ...]`):
            `"V"`, `"mV"`, `"uV"` or `"nV"` for every lead, as the source spells it.
        missing (`tuple[int | None, ...]`, *optional*):
            For every lead the sample that means "missing or invalid", `None` where there is none (as by default). NaN
            means it in floating-point samples.

    Raises:
        `ValueError`: if the samples have another dtype or are not `(leads, samples)`, if there is not one gain,
            baseline and unit for each lead, or if one of them is impossible.
    """

    samples: np.ndarray
    gain: np.ndarray
    baseline: np.ndarray
    units: tuple[str, ...]
    missing: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype.name not in STORED_DTYPES:
            raise ValueError(
                f"`samples` must be (leads, samples) of {', '.join(STORED_DTYPES)}, got shape {self.samples.shape},"
                f" dtype {self.samples.dtype}."
            )
        n_leads = len(self.samples)
        for name in ("gain", "baseline"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (n_leads,) or not np.isfinite(values).all():
                raise ValueError(f"`{name}` must hold a finite number for each of {n_leads} leads, got {values}.")
            object.__setattr__(self, name, values)
        if not self.gain.all():
            raise ValueError(f"`gain` must not be 0, got {self.gain}.")
        for name, values in (("units", self.units), ("missing", self.missing or (None,) * n_leads)):
            object.__setattr__(self, name, tuple(values))
            if len(values) != n_leads:
                raise ValueError(f"`{name}` must have an entry for each of {n_leads} leads, got {values}.")

    def to_struct(self) -> dict[str, Any]:
        """
        The signal as tables keep it.

        Returns:
            `dict[str, Any]`: `samples` (bytes of the array, C order, little endian), `dtype`, and for every lead
            `gain`, `baseline`, `unit` and `missing`.
        """
        little_endian = self.samples.astype(self.samples.dtype.newbyteorder("<"), copy=False)
        return {
            "samples": little_endian.tobytes(),
            "dtype": self.samples.dtype.name,
            "gain": self.gain.tolist(),
            "baseline": self.baseline.tolist(),
            "unit": list(self.units),
            "missing": list(self.missing),
        }

    @classmethod
    def from_struct(cls, value: Mapping[str, Any]) -> Self:
        """
        Args:
            value (`Mapping[str, Any]`): What `to_struct` returns.

        Returns:
            [`StoredSignal`]: of read-only samples.

        Raises:
            `ValueError`: if its parts do not fit together.
        """
        if value["dtype"] not in STORED_DTYPES:
            raise ValueError(f"`dtype` must be one of {', '.join(STORED_DTYPES)}, got {value['dtype']!r}.")
        samples = np.frombuffer(value["samples"], dtype=np.dtype(value["dtype"]).newbyteorder("<"))
        n_leads = len(value["gain"])
        if not n_leads or samples.size % n_leads:
            raise ValueError(f"{samples.size} samples cannot be those of {n_leads} leads.")
        return cls(
            as_stored(samples.reshape(n_leads, -1)),
            gain=np.asarray(value["gain"], dtype=np.float64),
            baseline=np.asarray(value["baseline"], dtype=np.float64),
            units=tuple(value["unit"]),
            missing=tuple(value["missing"]),
        )

    @property
    def lead_factors(self) -> np.ndarray:
        """Millivolts in one unit of every lead, `(leads,)` float64; raises `ValueError` for what is no voltage."""
        return np.array([millivolts_per_unit(unit) for unit in self.units])

    def to_millivolts(self) -> np.ndarray:
        """
        Returns:
            `np.ndarray` of shape `(leads, samples)`, float32: mV, NaN where samples are missing, infinite where
            a number is too large for a float32 (cleaning refuses such a lead by its name). Always a copy.
        """
        signal_mv = np.empty(self.samples.shape, dtype=np.float32)
        calibration = zip(self.gain, self.baseline, self.lead_factors, self.missing, strict=True)
        for lead, (gain, baseline, factor, missing) in enumerate(calibration):
            samples = self.samples[lead]
            if (gain, baseline, factor) != (1, 0, 1):
                samples = samples.astype(np.float64)
                samples -= baseline
                samples /= gain
                samples *= factor
            with np.errstate(over="ignore", invalid="ignore"):
                signal_mv[lead] = samples
            if missing is not None:
                signal_mv[lead, self.samples[lead] == missing] = np.nan
        return signal_mv

    def take(self, leads: Sequence[int]) -> Self:
        """
        Args:
            leads (`Sequence[int]`): Indices of leads.

        Returns:
            [`StoredSignal`]: these leads, in this order.
        """
        return type(self)(
            np.ascontiguousarray(self.samples[leads]),
            gain=self.gain[leads],
            baseline=self.baseline[leads],
            units=tuple(self.units[lead] for lead in leads),
            missing=tuple(self.missing[lead] for lead in leads),
        )

    def ranges_mv(self) -> np.ndarray:
        """Range of every lead's samples in mV, `(leads,)` float64; 0 where all of them are missing."""
        spans = [_span(samples, missing) for samples, missing in zip(self.samples, self.missing, strict=True)]
        return np.array(spans) / np.abs(self.gain) * self.lead_factors


def _span(samples: np.ndarray, missing: int | None) -> float:
    """Largest less smallest of a lead's samples that are there, in its own steps."""
    if samples.dtype.kind == "f":
        samples = samples[np.isfinite(samples)]
    elif missing is not None:
        samples = samples[samples != missing]
    return float(samples.max()) - float(samples.min()) if samples.size else 0.0


def as_stored(samples: np.ndarray) -> np.ndarray:
    """
    Brings samples into a dtype that [`StoredSignal`] holds, without loss.

    Args:
        samples (`np.ndarray`): Real numbers of any type and byte order.

    Returns:
        `np.ndarray`: the same values; the same array where nothing needs to change.

    Raises:
        `ValueError`: if no such dtype holds the values exactly.
    """
    if samples.dtype.name in STORED_DTYPES and samples.dtype.isnative:
        return samples
    kind = samples.dtype.kind
    for name in STORED_DTYPES:
        is_exact = kind == "f" or name.startswith("int")
        if is_exact and np.can_cast(samples.dtype, name, "safe"):
            return samples.astype(name)
    if kind in "iu":
        # By value: NumPy calls int64 to float64 safe, which it is up to 2**53 only, and casts back undo a wrapped sign.
        low, high = int(samples.min(initial=0)), int(samples.max(initial=0))
        for name, limit in (("int32", 1 << 31), ("float64", 1 << 53)):
            if -limit <= low and high < limit:
                return samples.astype(name)
    elif kind == "f":
        converted = samples.astype(np.float64)
        if np.array_equal(converted, samples, equal_nan=True):
            return converted
    raise ValueError(f"samples of dtype {samples.dtype} fit into none of {', '.join(STORED_DTYPES)} without loss.")


__all__ = ["STORED_DTYPES", "StoredSignal", "as_stored"]
