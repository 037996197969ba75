# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation is told. The fields are keys of YAML files and options of `anyecg evaluate`, as those of
`training.configs`."""

from dataclasses import dataclass, field
from typing import Literal

from ..training.configs import DataConfig, TaskConfig
from ..training.windows import USUAL_LEADS
from .noise import MAINS_HZ, NOISE_KINDS

RowName = Literal["majority", "random_probe", "probe", "finetuned", "resnet", "handcrafted"]
# In the order of the tables.
ROWS: tuple[RowName, ...] = ("majority", "random_probe", "handcrafted", "resnet", "probe", "finetuned")


@dataclass(kw_only=True)
class BootstrapConfig:
    """
    Intervals.

    Args:
        resamples (`int`, *optional*, defaults to 1000): Resamples of patients.
        confidence (`float`, *optional*, defaults to 0.95): Coverage.
        seed (`int`, *optional*, defaults to 0): Of the draws.
        min_records (`int`, *optional*, defaults to 20): Subgroups with fewer records get no figure.
        min_of_each (`int`, *optional*, defaults to 5): Classes with fewer positives or negatives in a subgroup are left
            out of its figure.
    """

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    min_records: int = 20
    min_of_each: int = 5


@dataclass(kw_only=True)
class RobustnessConfig:
    """
    Test records made worse: noise is added to the signal in mV, leads are taken away, the rate is changed, all before
    cleaning. Empty lists for none.

    Args:
        rows (`list[str]`, *optional*): Rows of the table that are tested.
        noise (`list[str]`, *optional*): Kinds of `evaluation.noise`; all by default.
        snrs_db (`list[float]`, *optional*): Signal-to-noise ratios in dB, for every kind.
        leads (`list[int]`, *optional*): Numbers of leads: 1 (I), 2 (I, II), 3 (I, II, V2) or 6 (limb leads).
        sampling_rates_hz (`list[float]`, *optional*): Rates that the signal is resampled to.
        mains_hz (`float`, *optional*, defaults to 50.0): Of the powerline noise, 50 or 60.
        seed (`int`, *optional*, defaults to 0): Of the noise; a record's noise has the same course at every ratio.
    """

    rows: list[RowName] = field(default_factory=lambda: ["handcrafted", "resnet", "finetuned"])
    noise: list[str] = field(default_factory=lambda: list(NOISE_KINDS))
    snrs_db: list[float] = field(default_factory=lambda: [12.0, 6.0, 0.0])
    leads: list[int] = field(default_factory=lambda: [1, 2, 3, 6])
    sampling_rates_hz: list[float] = field(default_factory=lambda: [100.0, 250.0, 360.0, 1000.0])
    mains_hz: float = 50.0
    seed: int = 0

    def __post_init__(self):
        odd = [kind for kind in self.noise if kind not in NOISE_KINDS]
        if odd:
            raise ValueError(f"`robustness.noise` {odd} is unknown: choose from {', '.join(NOISE_KINDS)}.")
        if any(count not in USUAL_LEADS for count in self.leads):
            raise ValueError(f"`robustness.leads` must be of {sorted(USUAL_LEADS)}, got {self.leads}.")
        if self.mains_hz not in MAINS_HZ:
            raise ValueError(f"`robustness.mains_hz` must be 50 or 60, got {self.mains_hz}.")


@dataclass(kw_only=True)
class EvaluationConfig:
    """
    A classification task on test records, with the rows that a figure means something beside.

    Args:
        output_dir (`str`): Folder for `results.json`, `results.md` and plots.
        task ([`TaskConfig`]): The task.
        data ([`DataConfig`]): `train` and `validation` for what is fitted here, thresholds and choices; `held_out` are
            the test records. `window_s` is the longest window; training options such as `lead_dropout` do not count.
        checkpoint (`list[str]` or `str`, *optional*): Fine-tuned checkpoint, or several that differ in their seed.
        pretrained (`str`, *optional*): Checkpoint whose frozen backbone is probed: `final` of stage 2.
        seeds (`list[int]`, *optional*): Of the random backbones and of the networks trained here; 0, 1, 2 by default.
        rows (`list[str]`, *optional*): Rows of the table; all by default.
        resnet_epochs (`int`, *optional*, defaults to 20): Epochs of the 1-D residual network.
        bootstrap ([`BootstrapConfig`], *optional*): Intervals.
        robustness ([`RobustnessConfig`], *optional*): What the records are made worse by.
        device (`str`, *optional*, defaults to `"auto"`): `auto` for an accelerator where there is one, or `cpu`.
        overwrite (`bool`, *optional*, defaults to `False`): Whether results in `output_dir` may be replaced.
    """

    output_dir: str
    task: TaskConfig
    data: DataConfig
    checkpoint: list[str] | str | None = None
    pretrained: str | None = None
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    rows: list[RowName] = field(default_factory=lambda: list(ROWS))
    resnet_epochs: int = 20
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    robustness: RobustnessConfig = field(default_factory=RobustnessConfig)
    device: Literal["auto", "cpu"] = "auto"
    overwrite: bool = False

    def __post_init__(self):
        if not self.checkpoints and self.pretrained is None:
            raise ValueError("name what to evaluate: `checkpoint`, `pretrained`, or both.")
        if not self.rows or not self.seeds:
            raise ValueError("`rows` and `seeds` must name at least one each.")

    @property
    def checkpoints(self) -> list[str]:
        """Fine-tuned checkpoints, perhaps none."""
        return [self.checkpoint] if isinstance(self.checkpoint, str) else list(self.checkpoint or ())


__all__ = ["ROWS", "BootstrapConfig", "EvaluationConfig", "RobustnessConfig", "RowName"]
