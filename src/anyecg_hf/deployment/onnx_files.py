# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""ONNX files: written, compared with PyTorch, and rounded to 8 bits."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from anyecg_hf.deployment.graphs import Graph, GraphModule, example_inputs, export_graph, largest_shape, quiet_exporter

OPSET = 20
# Records, leads and patches that a file is tried on: one of each, a usual record, an odd batch.
TRIED_SHAPES = ((1, 1, 1), (1, 12, 40), (3, 5, 17))
# Largest difference from PyTorch, per largest value.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class OnnxReport:
    """
    What was written, and how near it is to PyTorch.

    Attributes:
        path (`Path`): The file.
        size_bytes (`int`): Its size.
        inputs, outputs (`tuple[str, ...]`): Names of its tensors.
        largest_differences (`dict[str, float]`): Output -> largest difference over all shapes tried, per largest value;
            of codes, the share that differs.
    """

    path: Path
    size_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    largest_differences: dict[str, float]


def write_onnx(model: PreTrainedModel, path: str | os.PathLike) -> OnnxReport:
    """
    Writes a model as ONNX for any number of records, leads and patches, and compares it with PyTorch.

    Args:
        model (`PreTrainedModel`): One of the classes that [`export_graph`] takes.
        path (`str` or `os.PathLike`): The file; weights are inside.

    Returns:
        [`OnnxReport`]

    Raises:
        `ImportError`: without onnx, onnxscript and onnxruntime.
        `ValueError`: for another class, or if ONNX Runtime's answers differ from PyTorch's by more than `TOLERANCE`; no
            file is left then.
    """
    _require_onnx()
    path, graph = Path(path), export_graph(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        _convert(graph).save(partial)
        differences = compare_onnx(partial, model)
        worst = max(differences, key=differences.__getitem__)
        if not differences[worst] <= TOLERANCE:
            raise ValueError(
                f"ONNX Runtime's {worst} differ from PyTorch's by {differences[worst]:g}, allowed are {TOLERANCE:g}."
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return OnnxReport(path, path.stat().st_size, graph.inputs, graph.outputs, differences)


def write_int8(source: str | os.PathLike, path: str | os.PathLike, model: PreTrainedModel) -> OnnxReport:
    """
    Rounds the weights of an ONNX file's matrix products to 8 bits; activations are rounded as they come (dynamic
    quantization, for CPUs). How much that costs is for the caller to judge: nothing is refused.

    Args:
        source (`str` or `os.PathLike`): From [`write_onnx`].
        path (`str` or `os.PathLike`): The file to write.
        model (`PreTrainedModel`): What it was made of, to compare with.

    Returns:
        [`OnnxReport`]

    Raises:
        `ImportError`: without onnx and onnxruntime.
    """
    _require_onnx()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = Path(path)
    with quiet_exporter():
        quantize_dynamic(
            source, path, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gemm"]
        )
    module = GraphModule(model)
    return OnnxReport(path, path.stat().st_size, module.inputs, module.outputs, compare_onnx(path, model))


def compare_onnx(
    path: str | os.PathLike, model: PreTrainedModel, shapes: Sequence[tuple[int, int, int]] = TRIED_SHAPES
) -> dict[str, float]:
    """
    How much ONNX Runtime's answers differ from PyTorch's.

    Args:
        path (`str` or `os.PathLike`): The ONNX file.
        model (`PreTrainedModel`): What it was made of.
        shapes (`Sequence[tuple[int, int, int]]`, *optional*): Records, leads and patches of the noise to try, as far as
            the model takes so many.

    Returns:
        `dict[str, float]`: as `OnnxReport.largest_differences`.

    Raises:
        `ImportError`: without onnxruntime.
    """
    module, session = GraphModule(model), onnx_session(path)
    found = dict.fromkeys(module.outputs, 0.0)
    largest = largest_shape(model)
    most = (largest["records"], largest["leads"], largest["patches"])
    for shape in (tuple(map(min, shape, most)) for shape in shapes):
        tensors = example_inputs(module, shape)
        with torch.no_grad():
            expected = module(*tensors)
        feed = {name: tensor.numpy() for name, tensor in zip(module.inputs, tensors, strict=True)}
        answers = session.run(list(module.outputs), feed)
        for name, wanted, answer in zip(module.outputs, expected, answers, strict=True):
            found[name] = max(found[name], _difference(wanted.numpy(), answer))
    return found


def onnx_session(path: str | os.PathLike, threads: int = 0) -> Any:
    """
    Args:
        path (`str` or `os.PathLike`): An ONNX file.
        threads (`int`, *optional*, defaults to 0): Of the CPU; 0 leaves it to ONNX Runtime.

    Returns:
        `onnxruntime.InferenceSession`: on the CPU.

    Raises:
        `ImportError`: without onnxruntime.
    """
    _require_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    if found.shape != expected.shape:
        raise ValueError(f"ONNX Runtime's answer has the shape {found.shape}, PyTorch's {expected.shape}.")
    if not np.issubdtype(expected.dtype, np.floating):
        return float((expected != found).mean())
    return float(np.abs(expected - found).max() / max(float(np.abs(expected).max()), 1e-6))


def _convert(graph: Graph) -> "torch.onnx.ONNXProgram":
    from onnxscript import opset20

    # PyTorch's own translations take numbers only, and these depend on sizes that may vary.
    def remainder(value, divisor):
        return opset20.Mod(value, opset20.CastLike(divisor, value))

    def product(value, factor):
        return opset20.Mul(value, opset20.CastLike(factor, value))

    with quiet_exporter(), torch.no_grad():
        return torch.onnx.export(
            graph.program,
            dynamo=True,
            opset_version=OPSET,
            input_names=graph.inputs,
            output_names=graph.outputs,
            custom_translation_table={
                torch.ops.aten.remainder.Scalar: remainder,
                torch.ops.aten.mul.Scalar: product,
            },
            verbose=False,
        )


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f'ONNX files need {error.name}: `pip install "anyecg-hf[onnx]"`.', name=error.name) from error


__all__ = [
    "OPSET",
    "TOLERANCE",
    "TRIED_SHAPES",
    "OnnxReport",
    "compare_onnx",
    "onnx_session",
    "write_int8",
    "write_onnx",
]
