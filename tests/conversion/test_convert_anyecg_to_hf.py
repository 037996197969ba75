# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Training checkpoints as people have them become ours, stage by stage the same; what does not fit is refused."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import convert_anyecg_to_hf
import pytest
import torch
from convert_anyecg_to_hf import REPORT_FILE, convert, main
from parity import ancestor_of, compare_stages, example_batch, stages
from safetensors.torch import load_file
from tests.conversion.sources import backbone, quantizer, stated, write_json
from torch.nn.functional import conv1d, pad
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForMaskedLM

from anyecg_hf import AnyECGForMaskedCodeModeling, AnyECGForSequenceClassification, AnyECGModel, AnyECGRhythmQuantizer

ROOT = Path(__file__).parents[2]


def saved(path: Path, content) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("head", "model_class"),
    [
        ("lm_head", AnyECGForMaskedCodeModeling),
        ("head", AnyECGForSequenceClassification),
        (None, AnyECGModel),
    ],
)
@pytest.mark.parametrize("time_encoding", ["learned", "rotary"])
def test_every_stage_of_a_backbone_answers_as_in_its_own_layout(tmp_path, head, model_class, time_encoding):
    fields = {"time_encoding": time_encoding, "use_scale_embeddings": True, "num_labels": 3}
    source, config = backbone(head, **fields)
    found = convert(saved(tmp_path / "source.pth", source.state_dict()), stated(config, time_encoding=time_encoding))
    assert type(found.model) is model_class
    names = [*stages(found.model)]
    assert names[:4] == ["patch_embed", "tokens", "blocks.0", "blocks.1"] and names[4] == "norm"
    assert list(found.differences) == names
    assert max(found.differences.values()) < 1e-5
    # Not by way of the report: the module that the weights came from, and all of the answer.
    batch = example_batch(found.model, seed=7)
    real = batch["attention_mask"].flatten(1).bool()
    with torch.no_grad():
        wanted = source(batch["input_values"], batch["attention_mask"], batch["lead_ids"], None, batch["scale"])
        answer = found.model(**batch)[0]
    if head == "head":
        torch.testing.assert_close(answer, wanted, rtol=0, atol=1e-5)
    else:
        answer = answer.flatten(1, 2) if head == "lm_head" else answer
        torch.testing.assert_close(answer[real], wanted[real], rtol=0, atol=1e-5 * float(wanted.abs().max()))


def test_every_stage_of_a_quantizer_answers_as_in_its_own_layout(tmp_path):
    source, config = quantizer()
    found = convert(saved(tmp_path / "source.pth", source.state_dict()), stated(config))
    assert type(found.model) is AnyECGRhythmQuantizer
    assert found.differences.pop("codes") == 0.0
    assert {"encoder.patch_embed", "encode_task_layer", "decoder.norm"} < found.differences.keys()
    assert [name for name in found.differences if name.startswith("decode_task_layer")] == [
        f"decode_task_layer_{view}" for view in ("morphology", "frequency", "demography")
    ]
    assert max(found.differences.values()) < 1e-5
    assert len(set(found.model.encode(example_batch(found.model)["input_values"]).flatten().tolist())) > 4


def test_a_difference_is_found(tmp_path):
    source, config = backbone()
    found = convert(saved(tmp_path / "source.pth", source.state_dict()), stated(config))
    ancestor = ancestor_of(found.model)
    spoiled = source.state_dict()
    spoiled["blocks.1.attn.qkv.weight"] = spoiled["blocks.1.attn.qkv.weight"].roll(1, 0)
    ancestor.load_state_dict(spoiled)
    differences = compare_stages(found.model, ancestor)
    assert differences["blocks.0"] < 1e-5 < 1e-3 < differences["blocks.1"]


def as_trained_by_the_ancestors(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Their spellings: layer scales, no bias of keys, prefixes, one-dimensional convolutions."""
    spelled = {}
    for name, tensor in state.items():
        if name.endswith(("attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight", "mlp.fc2.bias")):
            gamma = 0.5 + torch.arange(len(tensor)) / len(tensor)
            block = name.rpartition(".attn" if ".attn" in name else ".mlp")[0]
            spelled[f"{block}.gamma_{1 if '.attn' in name else 2}"] = gamma
            tensor = tensor / (gamma[:, None] if tensor.ndim == 2 else gamma)
        if name.endswith("attn.qkv.bias"):
            query, _, value = tensor.chunk(3)
            spelled |= {name.replace("qkv.bias", "q_bias"): query, name.replace("qkv.bias", "v_bias"): value}
            continue
        spelled[name] = tensor[:, :, 0] if "patch_embed.conv" in name and tensor.ndim == 4 else tensor
    return {f"module.{name}": tensor for name, tensor in spelled.items()}


def test_the_ancestors_own_spellings_come_to_the_same(tmp_path):
    source, config = backbone()
    with torch.no_grad():
        for block in source.blocks:
            block.attn.qkv.bias[32:64] = 0.0  # keys have none there
    theirs = as_trained_by_the_ancestors(source.state_dict())
    ema = {name: torch.zeros_like(tensor) for name, tensor in theirs.items()}
    content = {"model": theirs, "model_ema": ema, "epoch": 3, "args": argparse.Namespace(lr=1e-4)}
    path = saved(tmp_path / "checkpoint-3.pth", content)
    found = convert(path, stated(config), weights="model")
    plain = convert(saved(tmp_path / "plain.pth", source.state_dict()), stated(config))
    for name, tensor in plain.model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[name], tensor, rtol=1e-5, atol=1e-7)
    notes = "\n".join(found.notes)
    for said in (
        "weights taken from 'model'",
        "'model_ema' left out",
        "prefix 'module.' taken off",
        "blocks.1.gamma_2 multiplied into blocks.1.mlp.fc2",
        "blocks.0.attn.q_bias and blocks.0.attn.v_bias joined to blocks.0.attn.qkv.bias, with zeros for the keys",
        "patch_embed.conv2.weight made two-dimensional",
    ):
        assert said in notes
    averaged = convert(path, stated(config), weights="model_ema")
    assert not any(tensor.any() for tensor in averaged.model.state_dict().values())
    with pytest.raises(ValueError, match=r"weights under \['model', 'model_ema'\], and none was chosen.*--weights"):
        convert(path, stated(config))


def test_parts_that_the_ancestors_lack_are_filled_in_to_do_nothing(tmp_path):
    # Frames times channels is the width, as theirs: no projection, no linear path, no mask token.
    source, config = backbone(None, hidden_size=80, num_attention_heads=2)
    with torch.no_grad():
        source.patch_embed.proj.weight.copy_(torch.eye(80))
        source.patch_embed.proj.bias.zero_()
        source.patch_embed.skip.weight.zero_()
    lacking = ("patch_embed.proj.weight", "patch_embed.proj.bias", "patch_embed.skip.weight", "mask_token")
    theirs = {name: tensor for name, tensor in source.state_dict().items() if name not in lacking}
    found = convert(saved(tmp_path / "source.pth", theirs), stated(config))
    batch = example_batch(found.model)
    with torch.no_grad():
        wanted = source(batch["input_values"], batch["attention_mask"], batch["lead_ids"])
        answer = found.model(**batch).last_hidden_state
    real = batch["attention_mask"].flatten(1).bool()
    torch.testing.assert_close(answer[real], wanted[real], rtol=0, atol=1e-5 * float(wanted.abs().max()))
    assert [note for note in found.notes if "filled in" in note] == [
        f"{name} is not there: filled in so that it changes nothing"
        for name in ("patch_embed.skip.weight", *lacking[:2], "mask_token")
    ]


def test_a_quantizer_without_averages_goes_on_from_its_codes(tmp_path):
    source, config = quantizer()
    theirs = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith("quantize.")}
    codes, counts = source.quantize.embedding.weight, torch.arange(16.0)
    theirs |= {
        "quantize.embedding.weight": codes,
        "quantize.embedding.cluster_size": torch.zeros(16),
        "quantize.embedding.initted": torch.tensor([1.0]),
        "quantize.cluster_size": counts,
    }
    found = convert(saved(tmp_path / "source.pth", {"state_dict": theirs}), stated(config))
    codebook = found.model.quantizer.codebooks[0]
    assert torch.equal(codebook.ema_counts, counts) and bool(found.model.quantizer.started)
    torch.testing.assert_close(codebook.ema_sums, codes * counts[:, None])
    assert float(codebook.gain) == 1.0 and found.differences["codes"] == 0.0


def test_another_padding_of_the_first_convolution_is_kept_by_a_longer_kernel(tmp_path):
    source, config = backbone()
    path, padding = saved(tmp_path / "source.pth", source.state_dict()), 7
    found = convert(path, stated(config), conv1_padding=padding)
    assert found.model.config.patch_kernel_size == 2 * padding + 5
    assert "patch_embed.conv1.weight: 4 zeros added for a padding of 7 samples" in found.notes
    patches = torch.randn(3, 75, generator=torch.Generator().manual_seed(5))
    conv = source.patch_embed.conv1
    wanted = conv1d(pad(patches, (padding, 75))[:, None], conv.weight[:, :, 0], conv.bias, stride=5)[..., :15]
    encoder = found.model.anyecg.embeddings.patch_encoder
    frames = pad(patches, (padding, padding)).unfold(1, encoder.kernel_size, encoder.strides[0])
    torch.testing.assert_close(encoder.convolutions[0](frames).transpose(1, 2), wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="with 2 zeros before a patch it has no equal here"):
        convert(path, stated(config), conv1_padding=2)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Both stages with their configurations."""
    for name, (source, config) in {"stage2": backbone(), "stage1": quantizer()}.items():
        saved(tmp_path / f"{name}.pth", {"model": source.state_dict()})
        write_json(tmp_path / f"{name}.json", stated(config))
    return tmp_path


def arguments(folder: Path, *others: str) -> list[str]:
    files = [folder / "stage2.pth", "--config", folder / "stage2.json", "-o", folder / "out"]
    quantizer_files = ["--quantizer", folder / "stage1.pth", "--quantizer-config", folder / "stage1.json"]
    return [str(each) for each in (*files, *quantizer_files, *others)]


def test_a_checkpoint_of_both_stages_loads_by_the_auto_classes(folder, capsys):
    assert main(arguments(folder)) == 0
    out = folder / "out"
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(out), AutoFeatureExtractor.from_pretrained(out)
    assert type(tokenizer.quantizer) is AnyECGRhythmQuantizer and type(AutoModel.from_pretrained(out)) is AnyECGModel
    batch = tokenizer(torch.randn(2, 600), sampling_rate=300, lead_names=["I", "V1"], return_tensors="pt")
    hidden = torch.ones_like(batch["attention_mask"], dtype=torch.bool)
    assert model(**batch, bool_masked_pos=hidden, labels=tokenizer.encode(batch)).loss.isfinite()
    report = json.loads((out / REPORT_FILE).read_text())
    assert report["model"]["weights"]["blocks.0.attn.qkv.weight"].count("_proj.weight") == 3
    assert all(0 < report[part]["largest_difference_of_a_stage"] < 1e-5 for part in ("model", "quantizer"))
    printed = capsys.readouterr().out
    assert "model: AnyECGForMaskedCodeModeling" in printed and "encode_task_layer" in printed


def test_the_dtype_is_the_sources_and_codes_stay_precise(folder):
    for name in ("stage1", "stage2"):
        weights = torch.load(folder / f"{name}.pth", weights_only=True)["model"]
        half = {key: value.bfloat16() if value.is_floating_point() else value for key, value in weights.items()}
        saved(folder / f"{name}.pth", {"model": half})
    assert main(arguments(folder)) == 0
    weights = load_file(folder / "out" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    codes = load_file(folder / "out" / "quantizer" / "model.safetensors")
    assert codes["quantizer.codebooks.0.embeddings"].dtype == torch.float32
    assert codes["encoder.norm.weight"].dtype == torch.bfloat16
    assert main(arguments(folder, "--dtype", "float32")) == 0
    assert load_file(folder / "out" / "model.safetensors")["code_head.weight"].dtype == torch.float32


def change(folder: Path, name: str, **weights) -> None:
    content = torch.load(folder / f"{name}.pth", weights_only=True)
    kept = {key: value for key, value in {**content["model"], **weights}.items() if value is not None}
    saved(folder / f"{name}.pth", {"model": kept})


def restate(folder: Path, name: str, **fields) -> None:
    content = {**json.loads((folder / f"{name}.json").read_text()), **fields}
    write_json(folder / f"{name}.json", {key: value for key, value in content.items() if value is not None})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda at: change(at, "stage2", cls_token=torch.zeros(1, 1, 32)), "no place in AnyECG: cls_token"),
        (lambda at: change(at, "stage2", **{"norm.bias": None}), r"lacks 1 weights of AnyECGFor.*anyecg.norm.bias"),
        (
            lambda at: change(at, "stage2", **{"blocks.1.norm1.weight": torch.zeros(31)}),
            r"layers.1.attention_norm.weight would have the shape \(31,\), expected \(32,\)",
        ),
        (
            lambda at: change(at, "stage2", **{"pos_embed": torch.zeros(1, 23, 32)}),
            "pos_embed has 23 rows, expected one",
        ),
        (lambda at: change(at, "stage2", **{"head.weight": torch.zeros(2, 32)}), "the checkpoint has lm_head and head"),
        (lambda at: change(at, "stage2", **{"time_embed": None}), "time_embed is not there: state `time_encoding"),
        (
            lambda at: change(at, "stage2", **{"patch_embed.conv1.weight": None}),
            "expected weights in the layout of LaBraM",
        ),
        (lambda at: restate(at, "stage2", lead_names=None, patch_size=None), "do not tell patch_size, lead_names"),
        (lambda at: restate(at, "stage2", hidden_size=64), "`hidden_size` is 64 in the configuration, but 32 by the"),
        (lambda at: restate(at, "stage2", patch_size=80), "a patch of 80 samples does not give 5 frames"),
        (
            lambda at: restate(at, "stage1", patch_size=150),
            r"linear_path.weight would have the shape \(32, 75\), expected \(32, 150\)",
        ),
        (lambda at: restate(at, "stage1", wavelet_levels=None), "do not tell wavelet_levels"),
        (lambda at: (at / "stage2.json").write_text("[1]"), "holds a list, expected an object"),
        (lambda at: (at / "stage2.json").write_text("{"), "stage2.json is not JSON"),
        (lambda at: (at / "stage2.pth").unlink(), "there is no checkpoint"),
        (lambda at: (at / "stage2.pth").write_bytes(b"PK\x03\x04 cut"), "is no PyTorch checkpoint, or is cut short"),
        (lambda at: saved(at / "stage2.pth", [1, 2]), "holds a list, expected weights by name"),
        (lambda at: saved(at / "stage2.pth", {"epoch": 3}), r"weights under \[\], and none was chosen; its keys are"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(folder, capsys, spoil, message):
    spoil(folder)
    assert main(arguments(folder)) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    with pytest.raises(ValueError, match=message):
        raise ValueError(printed.err)
    assert not (folder / "out").exists()


def test_codes_of_another_codebook_are_refused(folder, capsys):
    change(folder, "stage2", **{"lm_head.weight": torch.zeros(17, 32), "lm_head.bias": torch.zeros(17)})
    assert main(arguments(folder)) == 2
    assert "`codebook_size` is 17, but the quantizer's is 16" in capsys.readouterr().err


def test_a_stage_that_differs_is_refused(folder, capsys, monkeypatch):
    monkeypatch.setattr(convert_anyecg_to_hf, "TOLERANCE", 0.0)
    assert main(arguments(folder)) == 2
    assert "differs by" in capsys.readouterr().err and not (folder / "out").exists()


def test_weights_are_left_out_on_the_users_word_only(folder, capsys):
    change(folder, "stage2", cls_token=torch.zeros(1, 1, 32))
    assert main(arguments(folder, "--drop", "cls_tokens?")) == 0
    assert "cls_token left out as asked" in capsys.readouterr().out
    assert main(arguments(folder, "--drop", "projection_head.*")) == 2
    assert "nothing in the checkpoint is named 'projection_head.*'" in capsys.readouterr().err


class Attack:
    """Unpickling it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_code_in_a_pickle_is_not_run(folder, capsys):
    saved(folder / "stage2.pth", {"model": {}, "extra": Attack(folder / "ran")})
    assert main(arguments(folder)) == 2
    assert "holds more than tensors, and nothing of it was run" in capsys.readouterr().err
    assert not (folder / "ran").exists()


def test_the_script_runs_from_anywhere(tmp_path):
    command = [sys.executable, str(ROOT / "conversion" / "convert_anyecg_to_hf.py"), "nowhere.pth"]
    finished = subprocess.run(
        [*command, "--config", "nothing.json", "-o", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 2 and "nothing.json" in finished.stderr
