# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint as a folder of graphs, with what a program without Python needs to know to run them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedModel

from anyecg_hf.deployment.graphs import TENSORS, GraphModule, export_graph
from anyecg_hf.deployment.onnx_files import OPSET, write_int8, write_onnx
from anyecg_hf.models.anyecg import (
    AnyECGForLongRecordClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import refuse_path_to_nothing
from anyecg_hf.models.anyecg.compatibility_anyecg import check_tokenizer_matches
from anyecg_hf.version import __version__

FORMS = ("onnx", "torch")
_SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
DESCRIPTION_FILE = "export.json"

# What the tensors are, for who reads `export.json`.
_MEANINGS = {
    "input_values": "float32 (records, leads, patches, samples): cleaned signal over its scale, 0 where masked",
    "attention_mask": "int64 (records, leads, patches): 1 for real patches, 0 for padded or unusable ones",
    "lead_ids": "int64 (records, leads): places in `lead_names`",
    "scale": "float32 (records,): mV that one unit of input_values is",
    "bool_masked_pos": "bool (records, leads, patches): patches to restore, whose values are not read",
    "noised": "bool (records, leads, patches): patches to clean",
    "window_embeddings": "float32 (records, windows, width): `pooler_output` of the backbone for every window",
    "window_mask": "bool (records, windows): windows with anything real",
    "last_hidden_state": "float32 (records, leads * patches, width): tokens, leads first",
    "pooler_output": "float32 (records, width): mean over real tokens",
    "reconstruction": "float32 (records, leads, patches, samples): in the units of input_values",
    "codes": "int64 (records, leads, patches): rhythm codes, -1 where masked; with several codebooks one axis more",
}


@dataclass(frozen=True)
class ExportedCheckpoint:
    """
    What was written.

    Attributes:
        folder (`Path`): Where.
        files (`dict[str, int]`): File name -> size in bytes.
        largest_differences (`dict[str, dict[str, float]]`): ONNX file -> output -> largest difference from PyTorch, per
            largest value; of codes, the share that differs. Empty for `torch.export`.
    """

    folder: Path
    files: dict[str, int]
    largest_differences: dict[str, dict[str, float]]


def export_checkpoint(
    checkpoint: str | os.PathLike,
    folder: str | os.PathLike,
    form: str = "onnx",
    part: str | None = None,
    int8: bool = False,
) -> ExportedCheckpoint:
    """
    Writes a checkpoint's model, and its quantizer if it has one, as graphs for any number of records, leads and
    patches, beside the tokenizer's settings and `export.json`, which describes tensors, labels and settings.

    Args:
        checkpoint (`str` or `os.PathLike`): Folder or repository.
        folder (`str` or `os.PathLike`): Where to write; files of the same names are replaced.
        form (`str`, *optional*, defaults to `"onnx"`): `"onnx"`, or `"torch"` for `torch.export`.
        part (`str`, *optional*): Class of the model, for example `"AnyECGModel"` for the backbone alone; by default
            what the checkpoint was saved as.
        int8 (`bool`, *optional*, defaults to `False`): Whether to write the model a second time with weights of 8 bits.

    Returns:
        [`ExportedCheckpoint`]

    Raises:
        `FileNotFoundError`: if the checkpoint is a path to nothing.
        `ImportError`: for ONNX without its libraries.
        `ValueError`: for an unknown form or part, `int8` without ONNX, weights that the checkpoint lacks, or answers
            that differ from PyTorch's.
    """
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {', '.join(FORMS)}, got {form!r}.")
    if int8 and form != "onnx":
        raise ValueError("8 bits are for ONNX files: pass `form='onnx'`.")
    refuse_path_to_nothing(checkpoint)
    models = {"model": load_whole(checkpoint, part)}
    if isinstance(models["model"], AnyECGForLongRecordClassification):
        models["backbone"] = models["model"].anyecg
    tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
    check_tokenizer_matches(models["model"].config, tokenizer)
    if tokenizer.has_quantizer:
        models["quantizer"] = tokenizer.quantizer
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    differences: dict[str, dict[str, float]] = {}
    graphs: dict[str, GraphModule] = {}
    for name, model in models.items():
        path = folder / f"{name}{_SUFFIXES[form]}"
        graphs[path.name] = GraphModule(model)
        if form == "torch":
            torch.export.save(export_graph(model).program, path)
            continue
        differences[path.name] = write_onnx(model, path).largest_differences
        if int8 and name == "model":
            rounded = folder / "model.int8.onnx"
            graphs[rounded.name] = graphs[path.name]
            differences[rounded.name] = write_int8(path, rounded, model).largest_differences
    (folder / "preprocessor_config.json").write_text(tokenizer.to_json_string())
    description = _description(models["model"], tokenizer, graphs, differences, form)
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1) + "\n")
    names = (*graphs, "preprocessor_config.json", DESCRIPTION_FILE)
    return ExportedCheckpoint(folder, {name: (folder / name).stat().st_size for name in names}, differences)


def load_whole(checkpoint: str | os.PathLike, part: str | None = None) -> PreTrainedModel:
    """
    A model all of whose weights come from the checkpoint.

    Args:
        checkpoint (`str` or `os.PathLike`): Folder or repository.
        part (`str`, *optional*): Name of its class; by default what the checkpoint was saved as.

    Returns:
        `PreTrainedModel`: in evaluation mode, float32.

    Raises:
        `ValueError`: for a class that has no graph, or weights that the checkpoint lacks.
    """
    known = {kind.__name__: kind for kind in TENSORS if kind is not AnyECGRhythmQuantizer}
    saved_as = (AutoConfig.from_pretrained(checkpoint).architectures or [AnyECGModel.__name__])[0]
    name = part or saved_as
    if name not in known:
        raise ValueError(
            f"{name} cannot be exported as a graph: choose `part` among {', '.join(known)}. {checkpoint} was saved as"
            f" {saved_as}."
        )
    options = {"output_loading_info": True, "ignore_mismatched_sizes": True, "dtype": torch.float32}
    model, found = known[name].from_pretrained(checkpoint, **options)
    missing = sorted({*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])})
    if missing:
        raise ValueError(
            f"{checkpoint} lacks {len(missing)} weights of {name}, for example {missing[0]}: it was saved as"
            f" {saved_as}."
        )
    return model.eval()


def _description(
    model: PreTrainedModel,
    tokenizer: AnyECGTokenizer,
    graphs: dict[str, GraphModule],
    differences: dict[str, dict[str, float]],
    form: str,
) -> dict[str, Any]:
    config = model.config
    meanings = {**_MEANINGS, "logits": f"float32: {_logits_of(model)}"}
    return {
        "anyecg_hf": __version__,
        "form": form,
        **({"opset": OPSET} if form == "onnx" else {}),
        "graphs": {
            name: {
                "model": type(module.model).__name__,
                "inputs": {each: meanings[each] for each in module.inputs},
                "outputs": {each: meanings[each] for each in module.outputs},
                "largest_differences_from_pytorch": differences.get(name, {}),
            }
            for name, module in graphs.items()
        },
        "patch_size": config.patch_size,
        "sampling_rate_hz": config.sampling_rate,
        "trained_patches": config.trained_time_positions,
        "lead_names": list(tokenizer.lead_names),
        "problem_type": getattr(config, "problem_type", None),
        "labels": {str(index): label for index, label in sorted(config.id2label.items())},
        "label_thresholds": getattr(config, "label_thresholds", None),
    }


def _logits_of(model: PreTrainedModel) -> str:
    return {
        "AnyECGForSequenceClassification": "(records, labels): before sigmoid or softmax, as `problem_type` says",
        "AnyECGForLongRecordClassification": "(records, labels): before sigmoid or softmax, as `problem_type` says",
        "AnyECGForTokenClassification": "a value for each label and patch time, before softmax",
        "AnyECGForMaskedCodeModeling": "a value for each code and token, before softmax",
    }.get(type(model).__name__, "")


__all__ = ["DESCRIPTION_FILE", "FORMS", "ExportedCheckpoint", "export_checkpoint", "load_whole"]
