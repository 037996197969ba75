# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which weights fine-tuning trains: all, the head, low-rank adapters (LoRA, QLoRA) or an attentive probe.

    adaptation = parse_lora("r=16,alpha=32")
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=5, **adaptation.loading_arguments())
    model = adapt(model, adaptation)

An adapter holds the low-rank matrices and the head, and names the checkpoint that it belongs to.
"""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGForSequenceClassification
from anyecg_hf.models.anyecg.adapter_files_anyecg import check_adapter_file
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import read_json
from anyecg_hf.training.adapter_bases import adapted_class, check_base, describe_base
from anyecg_hf.training.load_reports import load_report_held_back
from anyecg_hf.training.peft_library import import_peft, renamed_attribute_ignored

ADAPTER_FILE, _WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
# Not `config.json`: `transformers` would look for the whole model beside it.
MODEL_CONFIG_FILE = "model_config.json"
# Digest and type of the backbone's weights that an adapter was trained on.
BASE_FIELD = "adapter_base"

# Everything outside the backbone's layers stays as it is: the patch encoder, which sees the signal, and the head.
_NOT_QUANTIZED = [r"(?!(anyecg\.)?layers\.).*"]

# PEFT's names for what its Auto classes can load again; adapters of other heads are generic.
_TASK_TYPES = {"AnyECGForSequenceClassification": "SEQ_CLS", "AnyECGForTokenClassification": "TOKEN_CLS"}


@dataclass(kw_only=True)
class LoraSettings:
    """
    Low-rank adapters (LoRA, arXiv 2106.09685).

    Args:
        r (`int`, *optional*, defaults to 8): Rank.
        alpha (`float`, *optional*): The adapters' output is scaled by `alpha / r`; `2 * r` by default.
        dropout (`float`, *optional*, defaults to 0.0): Dropout before the adapters.
        targets (`list[str]`, *optional*): Layers to adapt; by default queries and values, `q_proj` and `v_proj`.
        modules_to_save (`list[str]`, *optional*): Modules that are trained whole and kept with the adapter; by default
            the head.
        quantize (`bool`, *optional*, defaults to `False`): QLoRA: the frozen weights of the layers are kept in 4 bits.
            Needs bitsandbytes.
    """

    r: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    targets: list[str] | None = None
    modules_to_save: list[str] | None = None
    quantize: bool = False

    def __post_init__(self):
        if self.r < 1:
            raise ValueError(f"the rank `r` of LoRA must be at least 1, got {self.r}.")
        if self.alpha is not None and not 0 < self.alpha < float("inf"):
            raise ValueError(f"`alpha` of LoRA must be positive, got {self.alpha}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` of LoRA is a probability and must lie in [0, 1), got {self.dropout}.")
        for name in ("targets", "modules_to_save"):
            if getattr(self, name) is not None and not all(getattr(self, name)):
                raise ValueError(f"`{name}` of LoRA holds an empty name: {getattr(self, name)}.")
        if self.targets == []:
            raise ValueError("`targets` of LoRA is empty: name layers, or leave it out for `q_proj` and `v_proj`.")


@dataclass(kw_only=True)
class AdaptationConfig:
    """
    What of a model is trained.

    Args:
        mode (`str`, *optional*, defaults to `"full"`): `full`: every weight; `head`: what is not backbone; `lora`:
            low-rank adapters and the head; `attentive_probe`: a head that pools the frozen backbone's tokens by learned
            queries.
        lora ([`LoraSettings`], *optional*): Of mode `lora`.
    """

    mode: Literal["full", "head", "lora", "attentive_probe"] = "full"
    lora: LoraSettings = field(default_factory=LoraSettings)

    def __post_init__(self):
        if self.mode not in _STEPS:
            raise ValueError(f"`mode` must be one of {sorted(_STEPS)}, got {self.mode!r}.")

    def loading_arguments(self) -> dict[str, Any]:
        """
        What `from_pretrained` of the model to be adapted must be told.

        Returns:
            `dict[str, Any]`: keyword arguments; none in most modes.

        Raises:
            `ImportError`: for QLoRA without bitsandbytes.
        """
        if self.mode == "attentive_probe":
            return {"classifier_pooling": "attention"}
        if self.mode == "lora" and self.lora.quantize:
            return {"quantization_config": _four_bits()}
        return {}


def parse_lora(text: str) -> AdaptationConfig:
    """
    Reads the short form of the command line.

    Args:
        text (`str`): Fields of [`LoraSettings`], for example `"r=16,alpha=32,dropout=0.1"`; names of layers are joined
            by `+`, for example `"targets=q_proj+v_proj"`. An empty text means the defaults.

    Returns:
        [`AdaptationConfig`] of mode `lora`.

    Raises:
        `ValueError`: for an unknown or repeated field, or a value of another kind; names it.
    """
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in _READERS:
            raise ValueError(f"unknown LoRA field {name!r} in {text!r}: choose from {sorted(_READERS)}.")
        if not equals or not value:
            raise ValueError(f"LoRA field {name!r} in {text!r} needs a value: `{name}={_READERS[name].example}`.")
        if name in given:
            raise ValueError(f"LoRA field {name!r} stands twice in {text!r}.")
        try:
            given[name] = _READERS[name].read(value)
        except ValueError:
            raise ValueError(
                f"LoRA field {name!r} must be {_READERS[name].kind}, got {value!r} in {text!r}: write"
                f" `{name}={_READERS[name].example}`."
            ) from None
    return AdaptationConfig(mode="lora", lora=LoraSettings(**given))


@dataclass(frozen=True)
class _Reader:
    read: Callable[[str], Any]
    kind: str
    example: str


def _read_flag(text: str) -> bool:
    flags = {"true": True, "false": False}
    if text.lower() not in flags:
        raise ValueError(text)
    return flags[text.lower()]


def _read_names(text: str) -> list[str]:
    return [name.strip() for name in text.split("+")]


_READERS = {
    "r": _Reader(int, "a whole number", "16"),
    "alpha": _Reader(float, "a number", "32"),
    "dropout": _Reader(float, "a number", "0.1"),
    "targets": _Reader(_read_names, "names", "q_proj+v_proj"),
    "modules_to_save": _Reader(_read_names, "names", "classifier"),
    "quantize": _Reader(_read_flag, "true or false", "true"),
}


def adapt(model: PreTrainedModel, adaptation: AdaptationConfig) -> PreTrainedModel | nn.Module:
    """
    Makes exactly those weights trainable that the mode says.

    Args:
        model ([`PreTrainedModel`]): A backbone with a head, loaded with `adaptation.loading_arguments()`; it is
            changed.
        adaptation ([`AdaptationConfig`]): What to train.

    Returns:
        The model to train: `model` itself, or a `peft.PeftModel` around it. Call the latter with keyword arguments.

    Raises:
        `ValueError`: if the model does not fit the mode, or is adapted already.
        `ImportError`: for `lora` without PEFT.
    """
    if getattr(model, "peft_config", None):
        raise ValueError(
            "the model has adapters already: `load_adapted(folder, trainable=True)` goes on training them."
        )
    return _STEPS[adaptation.mode](model, adaptation)


def _train_all(model: PreTrainedModel, adaptation: AdaptationConfig) -> PreTrainedModel:
    _refuse_frozen_backbone(model, adaptation)
    return model.requires_grad_(True)


def _train_head(model: PreTrainedModel, adaptation: AdaptationConfig) -> PreTrainedModel:
    names = head_names(model)
    if not names:
        raise ValueError(f"mode {adaptation.mode!r} trains the head, and {type(model).__name__} has none.")
    model.requires_grad_(False)
    for name in names:
        getattr(model, name).requires_grad_(True)
    # Frozen features must not change from one look to the next: no dropout in the backbone while the head trains.
    model.base_model.register_forward_pre_hook(_evaluate)
    return model


def _train_probe(model: PreTrainedModel, adaptation: AdaptationConfig) -> PreTrainedModel:
    pooling = getattr(model.config, "classifier_pooling", None)
    if pooling != "attention" or not isinstance(model, AnyECGForSequenceClassification):
        raise ValueError(
            "mode 'attentive_probe' needs AnyECGForSequenceClassification with `classifier_pooling='attention'`, got"
            f" {type(model).__name__} with {pooling!r}: load it with `adaptation.loading_arguments()`."
        )
    return _train_head(model, adaptation)


def _train_adapters(model: PreTrainedModel, adaptation: AdaptationConfig) -> nn.Module:
    _refuse_frozen_backbone(model, adaptation)
    peft = import_peft()
    lora = adaptation.lora
    # PEFT passes over a name without a module as long as another has one.
    for name in ("targets", "modules_to_save"):
        _check_modules(model, name, getattr(lora, name) or [])
    if lora.quantize:
        if not getattr(model, "is_loaded_in_4bit", False):
            raise ValueError("QLoRA needs a model in 4 bits: load it with `adaptation.loading_arguments()`.")
        # Whether activations are checkpointed is the run's choice.
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        _keep_differentiable(model)
    settings = peft.LoraConfig(
        r=lora.r,
        lora_alpha=2 * lora.r if lora.alpha is None else lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        modules_to_save=head_names(model) if lora.modules_to_save is None else lora.modules_to_save,
        task_type=next(
            (_TASK_TYPES[kind.__name__] for kind in type(model).mro() if kind.__name__ in _TASK_TYPES), None
        ),
    )
    # Now: later they may be sharded, or have adapters among them.
    base = describe_base(model)
    with renamed_attribute_ignored():
        adapted = peft.get_peft_model(model, settings)
    adapted.get_base_model().adapter_base = base
    return adapted


def _keep_differentiable(model: nn.Module) -> None:
    """On some CPUs bitsandbytes packs its weights when it first evaluates, and gradients do not pass what is packed."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _check_modules(model: PreTrainedModel, field_name: str, wanted: list[str]) -> None:
    modules = [name for name, _ in model.named_modules()]
    absent = [name for name in wanted if not any(module == name or module.endswith(f".{name}") for module in modules)]
    if absent:
        raise ValueError(f"`{field_name}` of LoRA: {type(model).__name__} has no {absent}.")


# One way for all modes: `adapt` looks up what to do.
_STEPS: dict[str, Callable[[PreTrainedModel, AdaptationConfig], nn.Module]] = {
    "full": _train_all,
    "head": _train_head,
    "lora": _train_adapters,
    "attentive_probe": _train_probe,
}


def _refuse_frozen_backbone(model: PreTrainedModel, adaptation: AdaptationConfig) -> None:
    """Such a model keeps its backbone in evaluation mode, adapters and their dropout included."""
    if getattr(model.config, "freeze_backbone", False):
        raise ValueError(
            f"mode {adaptation.mode!r} trains in the backbone, which `freeze_backbone=True` of the config rules out:"
            " load the model with `freeze_backbone=False`."
        )


def _evaluate(module: nn.Module, _: tuple[Any, ...]) -> None:
    if module.training:
        module.eval()


def head_names(model: PreTrainedModel) -> list[str]:
    """
    Names of the model's own parts beside the backbone that hold weights.

    Args:
        model ([`PreTrainedModel`]): A backbone with a head.

    Returns:
        `list[str]`: for example `["classifier"]`; nothing for a bare backbone.
    """
    if model.base_model is model:
        return []
    children = model.named_children()
    return [name for name, child in children if child is not model.base_model and any(True for _ in child.parameters())]


@dataclass(frozen=True)
class TrainableWeights:
    """
    How much of a model is trained.

    Attributes:
        trained (`int`): Parameters that take gradients.
        total (`int`): All parameters.
    """

    trained: int
    total: int

    @property
    def share(self) -> float:
        """Trained parameters over all."""
        return self.trained / self.total

    @classmethod
    def of(cls, model: nn.Module) -> "TrainableWeights":
        """Counts the parameters of a model, on the meta device too."""
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
        return cls(sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes))


def save_adapted(
    model: PreTrainedModel | nn.Module, folder: str | Path, state_dict: dict[str, torch.Tensor] | None = None
) -> None:
    """
    Saves what was trained: a whole model, or an adapter with the configuration of the model that it was trained in.

    Args:
        model: From [`adapt`].
        folder (`str` or `Path`): Where to write; made if it is not there.
        state_dict (`dict[str, torch.Tensor]`, *optional*): Its weights, where the model itself holds shards of them.
    """
    model.save_pretrained(folder, state_dict=state_dict)
    if not getattr(model, "peft_config", None):
        return
    inner = model.get_base_model()
    described = {**inner.config.to_diff_dict(), "architectures": [type(inner).__name__]}
    if getattr(inner, BASE_FIELD, None):
        described[BASE_FIELD] = getattr(inner, BASE_FIELD)
    # Not for files: they belong to how the frozen weights are held on this machine.
    described.pop("quantization_config", None)
    text = json.dumps(described, indent=2, sort_keys=True) + "\n"
    (Path(folder) / MODEL_CONFIG_FILE).write_text(text, encoding="utf-8")


def load_adapted(
    folder: str | Path,
    base: str | Path | None = None,
    trainable: bool = False,
    any_base: bool = False,
    **loading_arguments: Any,
) -> nn.Module:
    """
    Loads an adapter from [`save_adapted`] on its checkpoint, with the head and labels that it was trained for.

    Args:
        folder (`str` or `Path`): The adapter.
        base (`str` or `Path`, *optional*): The checkpoint that it belongs to; by default the one it names.
        trainable (`bool`, *optional*, defaults to `False`): Whether to go on training.
        any_base (`bool`, *optional*, defaults to `False`): Whether a checkpoint of other weights will do. They are
            compared where both are held in the same type, and not in 4 bits.
        loading_arguments: For `from_pretrained` of the checkpoint, for example `dtype`.

    Returns:
        `peft.PeftModel`

    Raises:
        `ValueError`: if the folder does not hold an adapter of this package, or the checkpoint is of another size or
            has other weights.
        `ImportError`: without PEFT.
    """
    folder = Path(folder)
    absent = [name for name in (ADAPTER_FILE, MODEL_CONFIG_FILE, _WEIGHTS_FILE) if not (folder / name).is_file()]
    if absent:
        raise ValueError(
            f"expected an adapter saved by `save_adapted`, but {str(folder)!r} has no {' and no '.join(absent)}."
        )
    peft = import_peft()
    described = read_json(folder / MODEL_CONFIG_FILE)
    trained_on = described.pop(BASE_FIELD, None)
    model_class = adapted_class(folder, described.pop("architectures", None))
    named = check_adapter_file(folder / ADAPTER_FILE)
    base = named if base is None else base
    if base is None:
        raise ValueError(f"{folder / ADAPTER_FILE} does not name the checkpoint of the adapter: pass `base`.")
    # The checkpoint's own head, if it has one, may be of another size; the adapter brings its own.
    settings = {"config": AnyECGConfig.from_dict(described), "ignore_mismatched_sizes": True, **loading_arguments}
    with load_report_held_back() as held:
        model, found = model_class.from_pretrained(base, output_loading_info=True, **settings)
    odd = {*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])}
    found_base = describe_base(model)
    if not any_base and trained_on and found_base:
        check_base(folder, base, trained_on, found_base)
    model.adapter_base = trained_on if trained_on and not any_base else found_base
    with safe_open(folder / _WEIGHTS_FILE, framework="pt") as brought:
        odd -= {name.removeprefix("base_model.model.") for name in brought.keys()}
    odd |= {key for key in found["unexpected_keys"] if key.startswith("anyecg.")}
    if odd:
        held.show()
    if trainable:
        _keep_differentiable(model)
    try:
        with renamed_attribute_ignored():
            return peft.PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except RuntimeError as error:
        raise ValueError(
            f"the weights of the adapter {str(folder)!r} do not fit what it says of itself: {error}"
        ) from error


def _four_bits() -> Any:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ImportError("QLoRA (`quantize`) needs bitsandbytes: pip install bitsandbytes")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=_NOT_QUANTIZED,
    )


__all__ = [
    "AdaptationConfig",
    "LoraSettings",
    "TrainableWeights",
    "adapt",
    "head_names",
    "load_adapted",
    "parse_lora",
    "save_adapted",
]
