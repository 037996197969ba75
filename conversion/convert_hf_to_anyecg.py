# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes a checkpoint of this package in the layout of AnyECG's ancestors, for people who must: a pickle of tensors.

python conversion/convert_hf_to_anyecg.py runs/mine/final -o stage2.pth
python conversion/convert_hf_to_anyecg.py runs/mine/final -o stage1.pth --part AnyECGRhythmQuantizer --wrap model

Beside it lies a JSON file of the same name with the configuration, which `convert_anyecg_to_hf.py --config` takes. All
weights are carried over, or none are.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from ancestor_files import WRAPPERS
from ancestor_keys import backbone_table, quantizer_table, to_theirs
from parity import TOLERANCE, ancestor_of, compare_stages
from transformers import AutoConfig, PreTrainedModel

from anyecg_hf import (
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)

PARTS = {
    kind.__name__: kind
    for kind in (AnyECGModel, AnyECGForMaskedCodeModeling, AnyECGForSequenceClassification, AnyECGRhythmQuantizer)
}


def load_part(checkpoint: str, part: str | None) -> PreTrainedModel:
    """
    Args:
        checkpoint (`str`): Folder or repository.
        part (`str`, *optional*): One of `PARTS`; by default what the checkpoint was saved as.

    Returns:
        `PreTrainedModel`: in float32, with all of its weights from the checkpoint.

    Raises:
        `OSError`, `ValueError`: for a checkpoint or a part that is not there.
    """
    config = AutoConfig.from_pretrained(checkpoint)
    saved_as = (config.architectures or [AnyECGModel.__name__])[0]
    if (part or saved_as) not in PARTS:
        raise ValueError(
            f"{part or saved_as} has no form in the ancestors' layout: choose `--part` among {list(PARTS)}."
        )
    kind = PARTS[part or saved_as]
    if kind is AnyECGRhythmQuantizer and config.model_type != "anyecg_quantizer":
        return AnyECGTokenizer.from_pretrained(checkpoint).quantizer.float()
    model, found = kind.from_pretrained(checkpoint, dtype=torch.float32, output_loading_info=True)
    if found["missing_keys"]:
        raise ValueError(
            f"{checkpoint} lacks weights of {kind.__name__}, for example {sorted(found['missing_keys'])[0]}."
        )
    return model.eval()


def ancestor_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """
    Args:
        model (`PreTrainedModel`): From [`load_part`].

    Returns:
        `dict[str, torch.Tensor]`: its weights by the ancestors' names.

    Raises:
        `ValueError`: if one has no place there, or a stage of the model in that layout answers otherwise.
    """
    channels = model.config.patch_channels
    if isinstance(model, AnyECGRhythmQuantizer):
        table = quantizer_table(channels)
    else:
        table = backbone_table(channels, "anyecg." if hasattr(model, "anyecg") else "")
    theirs = to_theirs(model.state_dict(), table)
    ancestor = ancestor_of(model)
    ancestor.load_state_dict(theirs, strict=True)
    differences = compare_stages(model, ancestor)
    worst = max(differences, key=differences.__getitem__)
    if not differences[worst] <= TOLERANCE:
        raise ValueError(f"{worst} differs by {differences[worst]:g}, allowed are {TOLERANCE:g}. Nothing was written.")
    return theirs


def _parse(arguments: list[str]) -> argparse.Namespace:
    first, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="folder or repository")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write, .pth or .pt")
    parser.add_argument("--part", help=f"one of {', '.join(PARTS)}; by default what it was saved as")
    parser.add_argument("--wrap", choices=WRAPPERS, help="put the weights under this key")
    parser.add_argument("--prefix", default="", help="before every name, `module.` for example")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> tuple[PreTrainedModel, dict[str, torch.Tensor]]:
    if options.output.suffix not in (".pth", ".pt"):
        raise ValueError(f"{options.output} is to be a pickle: name it .pth or .pt.")
    model = load_part(options.checkpoint, options.part)
    weights = ancestor_weights(model)
    named: dict[str, Any] = {f"{options.prefix}{name}": tensor for name, tensor in weights.items()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    torch.save({options.wrap: named} if options.wrap else named, options.output)
    model.config.to_json_file(options.output.with_suffix(".json"), use_diff=False)
    return model, weights


def main(arguments: list[str] | None = None) -> int:
    """Writes the file, and prints what went into it. Returns the exit status."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        model, weights = _run(options)
    except (OSError, ValueError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(f"{type(model).__name__}: {len(weights)} weights written to {options.output}")
    print(f"configuration: {options.output.with_suffix('.json')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
