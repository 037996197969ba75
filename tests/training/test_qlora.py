# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Low-rank adapters on weights that bitsandbytes holds in 4 bits."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.interruptions import train_until
from tests.training.small_runs import CODES, SHAPE, SmallRuns, assert_same_run, checkpoint_names, start, train, weights

from anyecg_hf import AnyECGForMaskedCodeModeling
from anyecg_hf.models.anyecg import AnyECGConfig, AnyECGForSequenceClassification
from anyecg_hf.training.adapters import adapt, load_adapted, parse_lora, save_adapted
from anyecg_hf.training.configs import FinetuningConfig

pytestmark = pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes")

# The width of a block of 4-bit weights.
WIDTH = {"hidden_size": 64, "intermediate_size": 128}
QLORA = parse_lora("r=4,quantize=true")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SmallRuns:
    runs = SmallRuns(tmp_path_factory.mktemp("runs"))
    torch.manual_seed(1)
    AnyECGForMaskedCodeModeling(AnyECGConfig(**{**SHAPE, **CODES, **WIDTH})).save_pretrained(runs.backbone)
    return runs


def finetuning(runs: SmallRuns, output_dir: Path, **changes: Any) -> FinetuningConfig:
    changes = {"run__log_every": 1, "adaptation": QLORA, "code_weight": 0.0, **changes}
    return runs.config("finetuning", output_dir, **changes)


def quantized(runs: SmallRuns) -> torch.nn.Module:
    torch.manual_seed(2)
    model = AnyECGForSequenceClassification.from_pretrained(runs.backbone, **QLORA.loading_arguments())
    return adapt(model, QLORA)


def question() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {"input_values": torch.randn(4, 3, 8, 75), "labels": torch.tensor([0, 1, 0, 1])}


def test_the_layers_are_held_in_4_bits_and_the_adapters_learn(runs: SmallRuns):
    model = quantized(runs)
    held = {name for name, item in model.named_parameters() if item.dtype == torch.uint8}
    assert len(held) == 2 * 6 and all(".layers." in name for name in held)
    before = {name: item.detach().clone() for name, item in model.named_parameters()}
    optimiser = torch.optim.AdamW([item for item in model.parameters() if item.requires_grad], lr=1e-2)
    losses = []
    for _ in range(5):
        loss = model.train()(**question()).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    changed = {name for name, item in model.named_parameters() if not torch.equal(item, before[name])}
    assert changed and all(".lora_" in name or ".modules_to_save." in name for name in changed)


def test_gradients_after_an_evaluation_are_those_before_it(runs: SmallRuns):
    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        torch.manual_seed(4)
        model.train()(**question()).loss.backward()
        return {name: item.grad.clone() for name, item in model.named_parameters() if item.requires_grad}

    model = quantized(runs)
    for name, item in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(item, std=0.1)
    expected = gradients()
    with torch.no_grad():
        model.eval()(**question())
    found = gradients()
    assert found.keys() == expected.keys() and any(gradient.abs().max() > 0 for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=0, msg=name)


def test_an_adapter_loads_on_4_bits_and_on_whole_weights(runs: SmallRuns, tmp_path: Path):
    model = quantized(runs)
    torch.nn.init.normal_(model.get_base_model().anyecg.layers[0].attention.q_proj.lora_B.default.weight, std=0.1)
    save_adapted(model, tmp_path)
    assert "quantization_config" not in json.loads((tmp_path / "model_config.json").read_text())

    def answer(loaded: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return loaded.eval()(**question()).logits

    expected = answer(model)
    again = load_adapted(tmp_path, trainable=True, **QLORA.loading_arguments())
    torch.testing.assert_close(answer(again), expected, rtol=1e-5, atol=1e-5)
    again.train()(**question()).loss.backward()
    whole = answer(load_adapted(tmp_path))
    assert 0 < (whole - expected).abs().max() < 0.2


def test_a_run_trains_through_validations_resumes_exactly_and_leaves_an_adapter(runs: SmallRuns, tmp_path: Path):
    whole = finetuning(runs, tmp_path / "whole")
    train(whole)
    left = {name: item for name, item in weights(tmp_path / "whole").items() if name.startswith("adapter_model")}
    assert all("lora_" in name or "classifier" in name for name in left)
    assert all(item.any() for name, item in left.items() if "lora_B" in name)  # zero before training

    half = finetuning(runs, tmp_path / "run")
    start(tmp_path / "errors", train_until, half, 60).wait()
    assert checkpoint_names(tmp_path / "run")[0] == "step-00000004" and not (tmp_path / "run" / "final").exists()
    half.resume = True
    start(tmp_path / "errors", train, half).finish()
    assert_same_run(tmp_path / "run", tmp_path / "whole")
