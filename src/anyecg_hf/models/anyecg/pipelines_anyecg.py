# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pipelines for classification, anomaly detection, embeddings, lead reconstruction and rhythm codes.

A record longer than the training windows is cleaned whole and cut into the fewest even windows ([`window_spans`]).
Embeddings and class probabilities are means over windows, each weighted by its patches that are not masked; codes and
restored leads are laid end to end.
"""

from typing import Any

import numpy as np
import torch

from .inputs_anyecg import as_signal, resolve_lead_names
from .modeling_anyecg_quantizer import AnyECGRhythmQuantizer
from .modeling_anyecg_reconstruction import AnyECGForLeadReconstruction
from .modeling_anyecg_tasks import class_probabilities
from .pipeline_base_anyecg import ECGPipeline, PreparedECG
from .pipeline_options_anyecg import check_thresholds, check_top_k
from .windowing_anyecg import mean_over_windows

NORMAL, ABNORMAL = "normal", "abnormal"
_TO_RESTORE = 2


class ECGClassificationPipeline(ECGPipeline):
    """
    Class probabilities of ECG records, `"ecg-classification"`.

    The answer for a record is a list of dicts, the most likely class first: `label` (of `config.id2label`), `score`
    (probability), `description` (name and codes, where the checkpoint has them), `threshold` and `present` (whether the
    score reaches the threshold; `None` without one).

    Arguments of the call, beside those of [`ECGPipeline`]:
        top_k (`int`, *optional*): How many of the most likely classes; all by default.
        threshold (`float` or `dict[str, float]`, *optional*): For all classes or by label; by default the checkpoint's
            `label_thresholds`, where there are any.

    Example:

    ```python
    >>> classify = pipeline("ecg-classification", model=TINY)
    >>> classify(ecg, sampling_rate=500, lead_names=["I", "II"], unit="mV", top_k=1)
    [{'label': 'NORM', 'score': 0.91, 'description': 'normal ECG', 'threshold': 0.57, 'present': True}]
    ```
    """

    answer_parameters = ("top_k", "threshold")

    def _check_model(self) -> None:
        super()._check_model()
        if not hasattr(self.model, "classifier"):
            raise ValueError(f"{type(self.model).__name__} does not classify records.")
        class_probabilities(self.model.config, torch.zeros(1, self.model.config.num_labels))

    def _check_answer_parameters(self, top_k: Any = None, threshold: Any = None) -> None:
        check_top_k(top_k)
        check_thresholds(threshold, self.model.config.id2label.values())

    @property
    def _window_patches(self) -> int | None:
        # A hierarchical classifier cuts records itself.
        return None if hasattr(self.model, "window_patches") else super()._window_patches

    def _answer_windows(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return class_probabilities(self.model.config, self.model(**inputs).logits)

    def _probabilities(self, prepared: PreparedECG, windows: list[torch.Tensor]) -> dict[str, float]:
        means = mean_over_windows(windows, prepared.real_patches).tolist()
        return {self.model.config.id2label[index]: value for index, value in enumerate(means)}

    def _answer(
        self, prepared: PreparedECG, windows: list[torch.Tensor], top_k: int | None = None, threshold: Any = None
    ) -> list[dict[str, Any]]:
        config = self.model.config
        thresholds = dict(config.label_thresholds or {})
        if isinstance(threshold, dict):
            thresholds |= threshold
        elif threshold is not None:
            thresholds = dict.fromkeys(config.id2label.values(), threshold)
        found = sorted(self._probabilities(prepared, windows).items(), key=lambda item: -item[1])
        return [
            {
                "label": label,
                "score": score,
                "description": (config.label_descriptions or {}).get(label, ""),
                "threshold": thresholds.get(label),
                "present": score >= thresholds[label] if label in thresholds else None,
            }
            for label, score in found[:top_k]
        ]


class ECGAnomalyDetectionPipeline(ECGClassificationPipeline):
    """
    Whether ECG records are abnormal, `"ecg-anomaly-detection"`.

    The answer for a record is a dict: `label` (`"normal"`, `"abnormal"`, or `None` without a threshold), `score` (of
    being abnormal, 0 to 1), `threshold` and `normal_label` (the class that the score rests on).

    It needs a classifier with the classes `normal` and `abnormal`, as `anyecg finetune` makes for `task.name: anomaly`;
    its score is the probability of `abnormal`, its threshold by default the stored one, else 0.5 for classes that
    exclude each other. Of any other classifier the call must say which class means normal: the score is then 1 minus
    its probability, and the default threshold 1 minus its stored threshold. That is what the class means and no more:
    PTB-XL's `NORM`, for example, says nothing of rhythm.

    Arguments of the call, beside those of [`ECGPipeline`]:
        threshold (`float`, *optional*): Score from which on a record is abnormal.
        normal_label (`str`, *optional*): The class that means normal.
    """

    answer_parameters = ("threshold", "normal_label")

    def _check_answer_parameters(self, threshold: Any = None, normal_label: str | None = None) -> None:
        if isinstance(threshold, dict):
            raise ValueError(f"`threshold` of anomaly detection is one number, got {threshold!r}.")
        check_thresholds(threshold, ())
        labels = list(self.model.config.id2label.values())
        if normal_label is not None and normal_label not in labels:
            raise ValueError(f"`normal_label` must be one of the checkpoint's classes {labels}, got {normal_label!r}.")

    def _answer(
        self,
        prepared: PreparedECG,
        windows: list[torch.Tensor],
        threshold: float | None = None,
        normal_label: str | None = None,
    ) -> dict[str, Any]:
        probabilities = self._probabilities(prepared, windows)
        stored = self.model.config.label_thresholds or {}
        if normal_label is None:
            score, default = probabilities[ABNORMAL], stored.get(ABNORMAL)
            if default is None and self.model.config.problem_type != "multi_label_classification":
                default = 0.5  # where the more likely of the two classes changes
        else:
            score, default = 1 - probabilities[normal_label], stored.get(normal_label)
            default = None if default is None else 1 - default
        threshold = default if threshold is None else threshold
        label = None if threshold is None else (ABNORMAL if score >= threshold else NORMAL)
        return {"label": label, "score": score, "threshold": threshold, "normal_label": normal_label or NORMAL}

    def _check_call(self, parameters: dict[str, Any]) -> None:
        labels = list(self.model.config.id2label.values())
        if parameters.get("normal_label") is None and set(labels) != {NORMAL, ABNORMAL}:
            raise ValueError(
                f"anomaly detection needs a classifier with the classes {NORMAL!r} and {ABNORMAL!r} (fine-tune with"
                f" `task.name: anomaly`), but this one has {labels}. If one of them means normal, say so:"
                f' `normal_label="{labels[0]}"`.'
            )


class ECGFeatureExtractionPipeline(ECGPipeline):
    """
    Embeddings of ECG records, `"ecg-feature-extraction"`: a list of floats a record, the mean over its real tokens.

    Arguments of the call, beside those of [`ECGPipeline`]:
        per_window (`bool`, *optional*, defaults to `False`): Whether to return one dict a window instead: `start_s`,
            `end_s`, `real_share` (share of its patches that are not masked) and `embedding`.
    """

    answer_parameters = ("per_window",)

    def _check_answer_parameters(self, per_window: bool = False) -> None:
        if not isinstance(per_window, bool):
            raise ValueError(f"`per_window` must be True or False, got {per_window!r}.")

    def _answer_windows(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return getattr(self.model, self.model.base_model_prefix, self.model)(**inputs).pooler_output.float()

    def _answer(
        self, prepared: PreparedECG, windows: list[torch.Tensor], per_window: bool = False
    ) -> list[float] | list[dict[str, Any]]:
        if not per_window:
            return mean_over_windows(windows, prepared.real_patches).tolist()
        leads = len(prepared.cleaned.lead_names)
        answers, start = [], 0
        for embedding, patches, real in zip(windows, prepared.window_patches, prepared.real_patches, strict=True):
            place = {"start_s": start * self._patch_s, "end_s": (start + patches) * self._patch_s}
            answers.append({**place, "real_share": real / (leads * patches), "embedding": embedding.tolist()})
            start += patches
        return answers


class ECGTokenizationPipeline(ECGPipeline):
    """
    Rhythm codes of ECG records, `"ecg-tokenization"`.

    The answer for a record is a list of dicts, lead by lead: `lead` (its name in the vocabulary), `lead_index` (its row
    in the record), `start_s`, `end_s` and `code` (`int`; a list with several codebooks; `None` where the patch is
    masked). The model is the rhythm quantizer of the checkpoint's tokenizer.
    """

    def __init__(self, model: Any, feature_extractor: Any = None, **kwargs: Any):
        if feature_extractor is not None:
            # `quantizer` is loaded from the tokenizer's own checkpoint, or checked to be one that fits it.
            if _is_a(model, AnyECGRhythmQuantizer):
                feature_extractor.quantizer = model
            model = feature_extractor.quantizer
        super().__init__(model=model, feature_extractor=feature_extractor, **kwargs)

    def _answer_windows(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.model.encode(inputs["input_values"], inputs["attention_mask"], inputs["lead_ids"])

    def _answer(self, prepared: PreparedECG, windows: list[torch.Tensor]) -> list[dict[str, Any]]:
        names = prepared.cleaned.lead_names
        codes = torch.cat(prepared.without_padding(windows), dim=1).tolist()
        return [
            {
                "lead": name,
                "lead_index": index,
                "start_s": patch * self._patch_s,
                "end_s": (patch + 1) * self._patch_s,
                "code": None if np.min(code) < 0 else code,
            }
            for index, (name, row) in enumerate(zip(names, codes, strict=True))
            for patch, code in enumerate(row)
        ]


class ECGLeadReconstructionPipeline(ECGPipeline):
    """
    Missing leads of ECG records, `"ecg-lead-reconstruction"`, restored from the others.

    The answer for a record is a dict: `lead_names` (those wanted), `sampling_rate` in Hz (the model's), `unit`
    (`"mV"`), `start_s` and `signal`, one list a wanted lead; a sample is `None` where no other lead has anything to
    restore it from. What the record holds of a wanted lead is not read.

    Arguments of the call, beside those of [`ECGPipeline`]:
        wanted (`str` or `list[str]`): Leads to restore.
    """

    input_parameters = ("wanted",)

    def __init__(self, model: Any, **kwargs: Any):
        super().__init__(model=_with_reconstruction_head(model), **kwargs)

    def _check_model(self) -> None:
        super()._check_model()
        if not _is_a(self.model, AnyECGForLeadReconstruction):
            raise ValueError(
                f"lead reconstruction needs an AnyECGForLeadReconstruction, got {type(self.model).__name__}."
            )

    def _check_call(self, parameters: dict[str, Any]) -> None:
        if not parameters.get("wanted"):
            raise ValueError('name the leads to restore, for example `wanted=["V2", "V3"]`.')
        self._wanted(parameters["wanted"])

    def _wanted(self, wanted: Any) -> tuple[str, ...]:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        found = resolve_lead_names(names, (len(names), 1), self.feature_extractor.lead_names)
        if "unknown" in found:
            raise ValueError(f"`wanted` must name leads whose place is known, got {names}.")
        return found

    def _clean(self, record: dict[str, Any], wanted: Any = None) -> Any:
        """The record without the wanted leads, so that they have no part in its scale."""
        signal = as_signal(record["signal"])
        names = resolve_lead_names(record["lead_names"], signal.shape, self.feature_extractor.lead_names)
        kept = [row for row, name in enumerate(names) if name not in self._wanted(wanted)]
        if not kept:
            raise ValueError(f"the record holds no lead beside those wanted, {list(self._wanted(wanted))}.")
        names = [names[row] for row in kept]
        return super()._clean({**record, "signal": signal[kept], "lead_names": names})

    def _feature(self, cleaned: Any, wanted: Any = None) -> dict[str, Any]:
        feature = self.feature_extractor.feature(cleaned)
        names = self._wanted(wanted)
        ids = np.array([self.feature_extractor.lead_names.index(name) for name in names], dtype=np.int64)
        values, mask = feature["input_values"], feature["attention_mask"]
        # In the mask, which is padded like all inputs: what is to be restored needs another lead at its time.
        rows = np.repeat(_TO_RESTORE * mask.max(axis=0, keepdims=True), len(names), axis=0)
        return {
            **feature,
            "input_values": np.concatenate((values, np.zeros((len(names), *values.shape[1:]), values.dtype))),
            "attention_mask": np.concatenate((mask, rows)),
            "lead_ids": np.concatenate((feature["lead_ids"], ids)),
        }

    def _answer_windows(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        restored = inputs["attention_mask"] == _TO_RESTORE
        mask = inputs["attention_mask"].clamp(max=1)
        values = self.model(**{**inputs, "attention_mask": mask}, bool_masked_pos=restored).reconstruction.float()
        values = values * inputs["scale"].float()[:, None, None, None]
        return values.masked_fill(~restored[..., None], float("nan"))

    def _answer(self, prepared: PreparedECG, windows: list[torch.Tensor]) -> dict[str, Any]:
        signal = torch.cat(prepared.without_padding(windows), dim=1).flatten(1)
        first = len(prepared.cleaned.lead_names)
        names = [self.feature_extractor.lead_names[lead] for lead in prepared.lead_ids[first:]]
        return {
            "lead_names": names,
            "sampling_rate": float(self.feature_extractor.sampling_rate),
            "unit": "mV",
            "start_s": 0.0,
            "signal": [[None if value != value else value for value in row] for row in signal[first:].tolist()],
        }


def _is_a(model: Any, model_class: type) -> bool:
    """By name: the model may come with the code of another checkpoint."""
    return any(kind.__name__ == model_class.__name__ for kind in type(model).__mro__)


def _with_reconstruction_head(model: Any) -> Any:
    """
    The model, or for a bare backbone the model with the head that its checkpoint holds: remote code has no Auto class
    for it, and comes with `AutoModel`.
    """
    if type(model).__name__ != "AnyECGModel" or not model.name_or_path:
        return model
    commit = getattr(model.config, "_commit_hash", None)
    where = {} if commit is None else {"revision": commit}
    return AnyECGForLeadReconstruction.from_pretrained(model.name_or_path, dtype=model.dtype, **where)


__all__ = [
    "ECGAnomalyDetectionPipeline",
    "ECGClassificationPipeline",
    "ECGFeatureExtractionPipeline",
    "ECGLeadReconstructionPipeline",
    "ECGTokenizationPipeline",
]
