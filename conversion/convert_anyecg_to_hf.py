# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Converts a training checkpoint in the layout of AnyECG's ancestors (LaBraM, NeuroLM) to this package's safetensors.

python conversion/convert_anyecg_to_hf.py stage2.pth --config stage2.json -o converted/
python conversion/convert_anyecg_to_hf.py stage2.pth --config stage2.json -o converted/ \\
    --quantizer stage1.pth --quantizer-config stage1.json

`--config` is a JSON object with what weights do not tell: patch_size, sampling_rate, lead_names (in the order of
`pos_embed`), num_attention_heads, patch_norm_groups, layer_norm_eps, hidden_act, time_tolerance, of stage 1 wavelet,
wavelet_levels and wavelet_mode too; and any other field of the configuration. Every weight must have a place, every
place a weight. `conversion_report.json` beside the weights says which went where, what was folded, and how much every
stage differs from the same weights in their own layout.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ancestor_config import build_config, fill_what_is_implied, is_quantizer
from ancestor_files import drop, make_plain, read_checkpoint, widen_first_convolution
from ancestor_keys import Row, backbone_table, quantizer_table, to_ours, to_theirs
from parity import TOLERANCE, ancestor_of, compare_stages
from transformers import PreTrainedModel

from anyecg_hf import (
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.models.anyecg.compatibility_anyecg import check_codes_match, check_tokenizer_matches

REPORT_FILE = "conversion_report.json"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Conversion:
    """
    A converted model and what is to be said of it.

    Attributes:
        model (`PreTrainedModel`): In float32.
        dtype (`torch.dtype`): Of the source's weights.
        names (`dict[str, str]`): Their names -> ours.
        notes (`list[str]`): What was taken off, folded, filled in or left out.
        differences (`dict[str, float]`): Stage -> largest difference, per largest value.
    """

    model: PreTrainedModel
    dtype: torch.dtype
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)


def convert(
    checkpoint: Path,
    stated: dict[str, Any],
    weights: str | None = None,
    dropped: list[str] | None = None,
    conv1_padding: int | None = None,
) -> Conversion:
    """
    Converts one checkpoint and compares every stage.

    Args:
        checkpoint (`Path`): The file.
        stated (`dict[str, Any]`): Fields of the configuration.
        weights (`str`, *optional*): Which of several sets in the file.
        dropped (`list[str]`, *optional*): Patterns of weights that are left out.
        conv1_padding (`int`, *optional*): Zeros before a patch in the source's first convolution; by default as here.

    Returns:
        [`Conversion`]

    Raises:
        `FileNotFoundError`, `ValueError`: for whatever does not fit; nothing is written then.
    """
    state = read_checkpoint(checkpoint, weights)
    drop(state, dropped or [])
    make_plain(state)
    config = build_config(state.tensors, stated)
    if conv1_padding is not None:
        widen_first_convolution(state, conv1_padding, config.patch_strides[0])
        config = build_config(
            state.tensors, {key: value for key, value in stated.items() if key != "patch_kernel_size"}
        )
    fill_what_is_implied(state, config)
    model, table = _empty_model(config, state.tensors)
    source = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.tensors.items()}
    ours = to_ours(source, table)
    _load(model, ours)
    back = to_theirs(ours, table)
    broken = [name for name, tensor in source.items() if not torch.equal(back[name], tensor)]
    if broken:
        raise ValueError(f"{broken[:5]} do not come back as they were: the table is wrong, please report it.")
    ancestor = ancestor_of(model)
    ancestor.load_state_dict(source, strict=True)
    dtype = next(tensor.dtype for tensor in state.tensors.values() if tensor.is_floating_point() and tensor.ndim > 1)
    names = {name: ", ".join(next(filter(None, (row.match(name) for row in table)))) for name in source}
    return Conversion(model, dtype, names, state.notes, compare_stages(model, ancestor))


def _empty_model(config: Any, tensors: dict[str, torch.Tensor]) -> tuple[PreTrainedModel, list[Row]]:
    if is_quantizer(tensors):
        return AnyECGRhythmQuantizer(config).eval(), quantizer_table(config.patch_channels)
    heads = [name for name in ("lm_head", "head") if f"{name}.weight" in tensors]
    if len(heads) > 1:
        raise ValueError(f"the checkpoint has {' and '.join(heads)}: leave one out, `--drop 'head\\..*'` for example.")
    model_class = {
        (): AnyECGModel,
        ("lm_head",): AnyECGForMaskedCodeModeling,
        ("head",): AnyECGForSequenceClassification,
    }
    model = model_class[tuple(heads)](config).eval()
    return model, backbone_table(config.patch_channels, "anyecg." if heads else "")


def _load(model: PreTrainedModel, weights: dict[str, torch.Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing = sorted(expected.keys() - weights.keys())
    if missing:
        raise ValueError(f"the checkpoint lacks {len(missing)} weights of {type(model).__name__}: {missing[:8]}.")
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise ValueError(
                f"{name} would have the shape {tuple(weights[name].shape)}, expected {shape}: the configuration is of"
                " another model."
            )
    model.load_state_dict(weights, strict=True)


def _cast(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """To the dtype in which it is saved, without the parts that must stay precise."""
    precise = tuple(model._keep_in_fp32_modules_strict or ())
    for name, module in model.named_modules():
        if not any(part in precise for part in name.split(".")):
            for own in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
                own.data = own.data.to(dtype) if own.is_floating_point() else own.data
    model.config.dtype = dtype


def _report(conversions: dict[str, Conversion]) -> dict[str, Any]:
    return {
        part: {
            "model": type(found.model).__name__,
            "parameters": found.model.num_parameters(),
            "notes": found.notes,
            "largest_difference_of_a_stage": max(found.differences.values()),
            "differences": found.differences,
            "weights": found.names,
        }
        for part, found in conversions.items()
    }


def _parse(arguments: list[str]) -> argparse.Namespace:
    first, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="of stage 1 or stage 2")
    parser.add_argument("--config", type=Path, required=True, help="JSON with what the weights do not tell")
    parser.add_argument("--quantizer", type=Path, help="checkpoint of stage 1 to put beside one of stage 2")
    parser.add_argument("--quantizer-config", type=Path, help="JSON for it")
    parser.add_argument("--tokenizer-config", type=Path, help="JSON with the cleaning; the paper's by default")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--weights", help="which set of weights, if the file has several: model, model_ema ...")
    parser.add_argument("--drop", action="append", default=[], metavar="NAME", help="weights to leave out (pattern)")
    parser.add_argument("--conv1-padding", type=int, help="zeros before a patch in the source; as here by default")
    parser.add_argument("--dtype", choices=DTYPES, help="of the written weights; the source's by default")
    return parser.parse_args(arguments)


def _stated(path: Path) -> dict[str, Any]:
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if not isinstance(stated, dict):
        raise ValueError(f"{path} holds a {type(stated).__name__}, expected an object.")
    return {name: value for name, value in stated.items() if name != "model_type"}


def _run(options: argparse.Namespace) -> dict[str, Conversion]:
    if (options.quantizer is None) != (options.quantizer_config is None):
        raise ValueError("`--quantizer` and `--quantizer-config` go together.")
    conversions = {
        "model": convert(
            options.checkpoint, _stated(options.config), options.weights, options.drop, options.conv1_padding
        )
    }
    model = conversions["model"].model
    if options.quantizer is not None:
        stated = _stated(options.quantizer_config)
        conversions["quantizer"] = convert(options.quantizer, stated, options.weights, [], options.conv1_padding)
        check_codes_match(model.config, conversions["quantizer"].model.config)
    for part, found in conversions.items():
        worst = max(found.differences, key=found.differences.__getitem__)
        if not found.differences[worst] <= TOLERANCE:
            raise ValueError(
                f"{worst} of the {part} differs by {found.differences[worst]:g}, allowed are {TOLERANCE:g}. Nothing was"
                " written."
            )
    tokenizer = _tokenizer(options, conversions)
    for found in conversions.values():
        _cast(found.model, DTYPES[options.dtype] if options.dtype else found.dtype)
    model.save_pretrained(options.output)
    if tokenizer is not None:
        tokenizer.save_pretrained(options.output)
    (options.output / REPORT_FILE).write_text(json.dumps(_report(conversions), indent=1) + "\n")
    return conversions


def _tokenizer(options: argparse.Namespace, conversions: dict[str, Conversion]) -> AnyECGTokenizer | None:
    """The tokenizer of a model of stage 2, with its quantizer if there is one."""
    config = conversions["model"].model.config
    if isinstance(conversions["model"].model, AnyECGRhythmQuantizer):
        return None
    stated = _stated(options.tokenizer_config) if options.tokenizer_config else {}
    shared = {name: getattr(config, name) for name in ("patch_size", "sampling_rate", "lead_names")}
    tokenizer = AnyECGTokenizer(**{**shared, **stated})
    check_tokenizer_matches(config, tokenizer)
    if "quantizer" in conversions:
        tokenizer.quantizer = conversions["quantizer"].model
    return tokenizer


def main(arguments: list[str] | None = None) -> int:
    """Converts, and prints what was found. Returns the exit status."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        conversions = _run(options)
    except (OSError, ValueError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    for part, found in conversions.items():
        print(f"{part}: {type(found.model).__name__}, {found.model.num_parameters():,} parameters")
        print("\n".join(f"  {note}" for note in found.notes))
        for stage, difference in found.differences.items():
            print(f"  {stage:<36} {difference:.1e}")
    print(f"written to {options.output}, with {REPORT_FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
