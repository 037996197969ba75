# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Models as one graph of tensors in, tensors out, for any number of records, leads and patches."""

import contextlib
import copy
import functools
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from transformers import PreTrainedModel

from anyecg_hf.deployment.solvers import solve_by_elimination
from anyecg_hf.models.anyecg import (
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGForTokenClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
)


@dataclass(frozen=True)
class TensorNames:
    """
    What goes into a graph and what comes out.

    Attributes:
        inputs (`tuple[str, ...]`): Names out of `AXES`.
        outputs (`tuple[str, ...]`): Fields of the model's output.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


_PATCHES = ("input_values", "attention_mask", "lead_ids")
TENSORS: dict[type[PreTrainedModel], TensorNames] = {
    AnyECGModel: TensorNames(_PATCHES, ("last_hidden_state", "pooler_output")),
    AnyECGForMaskedCodeModeling: TensorNames(_PATCHES, ("logits",)),
    AnyECGForSequenceClassification: TensorNames(_PATCHES, ("logits",)),
    AnyECGForTokenClassification: TensorNames(_PATCHES, ("logits",)),
    AnyECGForLeadReconstruction: TensorNames((*_PATCHES, "bool_masked_pos", "noised"), ("reconstruction",)),
    # Windows pass through a graph of the backbone, as many at a time as there is memory for.
    AnyECGForLongRecordClassification: TensorNames(("window_embeddings", "window_mask"), ("logits",)),
    AnyECGRhythmQuantizer: TensorNames(_PATCHES, ("codes",)),
}
# The axes that vary of every input; windows are as many as patches would be.
AXES = {
    "input_values": ("records", "leads", "patches"),
    "attention_mask": ("records", "leads", "patches"),
    "lead_ids": ("records", "leads"),
    "scale": ("records",),
    "bool_masked_pos": ("records", "leads", "patches"),
    "noised": ("records", "leads", "patches"),
    "window_embeddings": ("records", "windows"),
    "window_mask": ("records", "windows"),
}
# Sizes that no other size could be mistaken for: what is two once would be taken to be two for ever.
_EXAMPLE = (2, 5, 7)
_MOST_RECORDS = 4096
# A day of patches of a quarter of a second.
_MOST_PATCHES = 2**19


@dataclass(frozen=True)
class Graph:
    """
    An exported model.

    Attributes:
        program (`torch.export.ExportedProgram`): The graph, with its weights.
        inputs (`tuple[str, ...]`): `input_values` `(B, L, N, S)` float32, `attention_mask` `(B, L, N)` int64,
            `lead_ids` `(B, L)` int64; for models that are told voltages, `scale` `(B,)` float32 in mV; for lead
            reconstruction, `bool_masked_pos` and `noised` `(B, L, N)` bool; for long records `window_embeddings`
            `(B, W, D)` float32 and `window_mask` `(B, W)` bool, and nothing else.
        outputs (`tuple[str, ...]`): Names of what comes out.
    """

    program: ExportedProgram
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class GraphModule(nn.Module):
    """
    A model with positional tensors in and a tuple of tensors out.

    Args:
        model (`PreTrainedModel`): One of the classes in `TENSORS`. It is left as it is.

    Raises:
        `ValueError`: for another class.
    """

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        if type(model) not in TENSORS:
            known = ", ".join(kind.__name__ for kind in TENSORS)
            raise ValueError(f"{type(model).__name__} cannot be exported as a graph: choose one of {known}.")
        # Of all attention implementations, the one whose operators other runtimes have.
        self.model = copy.deepcopy(model).eval()
        self.model.set_attn_implementation("sdpa")
        if isinstance(model, AnyECGForLeadReconstruction):
            solve = functools.partial(solve_by_elimination, steps=len(model.config.lead_names))
            self.model.reconstruction_head.lead_estimator.solve = solve
        self.inputs, self.outputs = TENSORS[type(model)].inputs, TENSORS[type(model)].outputs
        if getattr(model.config, "use_scale_embeddings", False) and "input_values" in self.inputs:
            self.inputs += ("scale",)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        # The graph of a model that was shown contiguous tensors takes no others; windows of a record are others.
        tensors = tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors)
        named = dict(zip(self.inputs, tensors, strict=True))
        if isinstance(self.model, AnyECGRhythmQuantizer):
            return (self.model.encode(**named),)
        found = self.model(**named)
        return tuple(found[name] for name in self.outputs)


def example_inputs(
    module: GraphModule, shape: tuple[int, int, int] = _EXAMPLE, seed: int = 0
) -> tuple[torch.Tensor, ...]:
    """
    Noise of a shape, its last patches padded in every second record.

    Args:
        module ([`GraphModule`]): For the patch size, the lead names and which inputs there are.
        shape (`tuple[int, int, int]`, *optional*): Records, leads, patches.
        seed (`int`, *optional*, defaults to 0): Of the noise.

    Returns:
        `tuple[torch.Tensor, ...]`: as `module.inputs` names them.
    """
    config = module.model.config
    generator = torch.Generator().manual_seed(seed)
    records, leads, patches = shape
    mask = torch.ones(shape, dtype=torch.long)
    mask[1::2, :, patches // 2 + 1 :] = 0
    lead_ids = torch.arange(leads).remainder(len(config.lead_names)).expand(records, -1)
    values = torch.randn(*shape, config.patch_size, generator=generator) * mask[..., None]
    scale = 0.05 + 0.3 * torch.rand(records, generator=generator)
    kinds = torch.rand(shape, generator=generator)
    windows = torch.randn(records, patches, config.hidden_size, generator=generator)
    tensors = {
        "input_values": values,
        "attention_mask": mask,
        "lead_ids": lead_ids.contiguous(),
        "scale": scale,
        "bool_masked_pos": kinds < 0.3,
        "noised": kinds > 0.8,
        "window_embeddings": windows * mask[:, 0, :, None],
        "window_mask": mask[:, 0].bool(),
    }
    return tuple(tensors[name] for name in module.inputs)


def largest_shape(model: PreTrainedModel) -> dict[str, int]:
    """
    Args:
        model (`PreTrainedModel`): One of the classes in `TENSORS`.

    Returns:
        `dict[str, int]`: the most records, leads, patches and windows that its graph takes.
    """
    config = model.config
    patches = config.max_time_positions if config.time_encoding == "learned" else _MOST_PATCHES
    return {"records": _MOST_RECORDS, "leads": len(config.lead_names), "patches": patches, "windows": _MOST_PATCHES}


@torch.no_grad()
def export_graph(model: PreTrainedModel) -> Graph:
    """
    Exports a model with `torch.export`, for any number of records, leads and patches.

    Args:
        model (`PreTrainedModel`): One of the classes in `TENSORS`; of [`AnyECGForLongRecordClassification`] what comes
            after the backbone.

    Returns:
        [`Graph`]: `torch.export.save(graph.program, path)` writes it.

    Raises:
        `ValueError`: for another class.
    """
    module = GraphModule(model)
    sizes = {name: Dim(name, min=1, max=most) for name, most in largest_shape(model).items()}
    dynamic = tuple({axis: sizes[size] for axis, size in enumerate(AXES[name])} for name in module.inputs)
    # One entry for `*tensors`, which is a tuple.
    with quiet_exporter():
        program = torch.export.export(module, example_inputs(module), dynamic_shapes=(dynamic,), strict=False)
        # The mask's index arithmetic is recorded as calls of Python functions, which no file could hold.
        program = program.run_decompositions({})
    return Graph(program, module.inputs, module.outputs)


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Without what PyTorch's exporters print of every step, and warn of deprecations within themselves."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


__all__ = [
    "AXES",
    "TENSORS",
    "Graph",
    "GraphModule",
    "TensorNames",
    "example_inputs",
    "export_graph",
    "largest_shape",
    "quiet_exporter",
]
