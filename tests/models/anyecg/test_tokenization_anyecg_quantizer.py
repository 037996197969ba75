# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The tokenizer's codes, and how it is saved, loaded, pickled and pushed."""

import copy
import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.models.ecg_signals import heartbeats
from tests.models.tiny import tiny_quantizer_config
from transformers import AutoFeatureExtractor

from anyecg_hf import AnyECGConfig, AnyECGRhythmQuantizer, AnyECGTokenizer

LEADS = ["I", "II", "V1"]


def tiny_quantizer(seed: int = 0, **overrides) -> AnyECGRhythmQuantizer:
    torch.manual_seed(seed)
    return AnyECGRhythmQuantizer(tiny_quantizer_config(**{"max_time_positions": 64, **overrides}))


def tiny_tokenizer(**overrides) -> AnyECGTokenizer:
    tokenizer = AnyECGTokenizer(patch_size=75)
    tokenizer.quantizer = tiny_quantizer(**overrides)
    return tokenizer


@pytest.fixture
def tokenizer() -> AnyECGTokenizer:
    return tiny_tokenizer()


@pytest.fixture
def ecg() -> np.ndarray:
    """4 s of three leads at 500 Hz; half a second of lead II is missing."""
    signal = heartbeats(leads=3, seconds=4, sampling_rate=500, wander_mv=0.1, noise_mv=0.01)
    signal[1, 500:750] = np.nan
    return signal


# Codes


def test_codes_are_one_for_each_real_patch_and_minus_one_elsewhere(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    batch = tokenizer([ecg, ecg[:2, :1000]], 500, [LEADS, LEADS[:2]])
    codes = tokenizer.encode(batch)
    assert codes.shape == (2, 3, 16) and codes.dtype == torch.int64
    real = torch.tensor(batch["attention_mask"]).bool()
    assert (codes[~real] == -1).all()
    assert ((codes[real] >= 0) & (codes[real] < 16)).all()
    assert codes[real].unique().numel() > 1


def test_encode_takes_raw_signals_arrays_and_tensors_alike(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    expected = tokenizer.encode(tokenizer(ecg, 500, LEADS))
    assert torch.equal(tokenizer.encode(tokenizer(ecg, 500, LEADS, return_tensors="pt")), expected)
    assert torch.equal(tokenizer.encode(ecg, sampling_rate=500, lead_names=LEADS), expected)
    record = SimpleNamespace(signal_mv=ecg, sampling_rate=500, lead_names=LEADS)
    assert torch.equal(tokenizer.encode(record), expected)
    with pytest.raises(ValueError, match="`sampling_rate` is missing"):
        tokenizer.encode(ecg)


def test_a_batch_has_the_codes_of_its_records_one_by_one(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    together = tokenizer.encode([ecg, ecg[:2, :1000]], sampling_rate=500, lead_names=[LEADS, LEADS[:2]])
    assert torch.equal(together[:1], tokenizer.encode(ecg, sampling_rate=500, lead_names=LEADS))
    alone = tokenizer.encode(ecg[:2, :1000], sampling_rate=500, lead_names=LEADS[:2])
    assert torch.equal(together[1:, :2, : alone.shape[2]], alone)


def test_decoding_gives_millivolts_and_zeros_where_the_code_is_negative(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    batch = tokenizer(ecg, 500, LEADS)
    codes = tokenizer.encode(batch)
    signal_mv = tokenizer.decode(codes, batch["lead_ids"], batch["scale"])
    assert signal_mv.shape == (1, 3, 16 * 75) and signal_mv.dtype == torch.float32
    assert not signal_mv.requires_grad
    silent = (codes < 0).repeat_interleave(75, dim=-1)
    assert silent.any() and not signal_mv[silent].any()
    assert (signal_mv[~silent] != 0).any()
    doubled = tokenizer.decode(codes.numpy(), batch["lead_ids"], 2 * batch["scale"])
    torch.testing.assert_close(doubled, 2 * signal_mv)


def test_decoding_equals_the_quantizers_reconstruction(tokenizer: AnyECGTokenizer, ecg: np.ndarray):
    batch = tokenizer(ecg, 500, LEADS, return_tensors="pt")
    with torch.no_grad():
        outputs = tokenizer.quantizer(batch["input_values"], batch["attention_mask"], batch["lead_ids"])
    signal_mv = tokenizer.decode(outputs.codes, batch["lead_ids"], batch["scale"])
    expected = (outputs.reconstruction * batch["scale"][:, None, None, None]).flatten(2)
    torch.testing.assert_close(signal_mv, expected)


def test_codes_that_belong_to_another_codebook_are_refused(tokenizer: AnyECGTokenizer):
    leads, scale = torch.zeros(1, 2, dtype=torch.long), torch.ones(1)
    with pytest.raises(ValueError, match="code 16 is beyond the codebook of 16 codes"):
        tokenizer.decode(torch.full((1, 2, 3), 16), leads, scale)
    with pytest.raises(ValueError, match=r"expected codes \(B, L, N\) .* for Q = 1, got shape \(1, 2, 3, 2\)"):
        tokenizer.decode(torch.zeros(1, 2, 3, 2, dtype=torch.long), leads, scale)


def test_residual_codes_have_one_more_axis(ecg: np.ndarray):
    tokenizer = tiny_tokenizer(num_quantizers=2)
    batch = tokenizer(ecg, 500, LEADS)
    codes = tokenizer.encode(batch)
    assert codes.shape == (1, 3, 16, 2)
    assert (codes[torch.tensor(batch["attention_mask"]) == 0] == -1).all()
    assert tokenizer.decode(codes, batch["lead_ids"], batch["scale"]).shape == (1, 3, 16 * 75)


def test_what_codes_stand_for_has_the_same_codes_once_trained():
    quantizer, patches = train_on_four_waves()
    codes = quantizer.encode(patches)
    assert codes.unique().numel() == 4
    decoded = quantizer.decode(codes)
    assert (decoded - patches).square().mean() < 0.05
    assert torch.equal(quantizer.encode(decoded), codes)


def train_on_four_waves() -> tuple[AnyECGRhythmQuantizer, torch.Tensor]:
    """A quantizer of four codes that has seen four kinds of patches, and a batch of these."""
    quantizer = tiny_quantizer(
        codebook_size=4, codebook_warmup_updates=20, initializer_range=0.05, ema_decay=0.9, kmeans_iterations=10
    ).train()
    angles = 2 * torch.pi * torch.arange(75) / 75
    waves = 2**0.5 * torch.stack([wave(turns * angles) for wave in (torch.sin, torch.cos) for turns in (1, 2)])
    optimizer = torch.optim.AdamW(quantizer.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        patches = waves[torch.randint(4, (4, 2, 6), generator=generator)]
        noisy = patches + 0.05 * torch.randn(patches.shape, generator=generator)
        optimizer.zero_grad()
        quantizer(noisy).loss.backward()
        optimizer.step()
        quantizer.update_codebook()
    return quantizer.eval(), patches


# The quantizer behind them


def test_a_tokenizer_without_a_quantizer_says_how_to_get_one(ecg: np.ndarray):
    with pytest.raises(ValueError, match=r"this tokenizer has no quantizer: load it with `from_pretrained` from a"):
        AnyECGTokenizer(patch_size=75).encode(ecg, sampling_rate=500, lead_names=LEADS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch_size": 300}, "the quantizer's `patch_size` is 75, but the tokenizer's is 300: they must agree"),
        (
            {"patch_size": 75, "sampling_rate": 250},
            "the quantizer's `sampling_rate` is 300, but the tokenizer's is 250",
        ),
        ({"patch_size": 75, "lead_names": ["I", "unknown"]}, "the quantizer's `lead_names` is .* but the tokenizer's"),
    ],
)
def test_a_quantizer_of_another_kind_of_patch_is_refused(settings: dict, message: str):
    tokenizer = AnyECGTokenizer(**settings)
    with pytest.raises(ValueError, match=message):
        tokenizer.quantizer = tiny_quantizer()


def test_a_quantizer_is_used_in_evaluation_mode_and_moved_along(tokenizer: AnyECGTokenizer):
    assert not tokenizer.quantizer.training
    assert tokenizer.to("meta") is tokenizer
    assert tokenizer.quantizer.device.type == "meta"
    later = AnyECGTokenizer(patch_size=75).to("meta")
    later.quantizer = tiny_quantizer()
    assert later.quantizer.device.type == "meta"


# Saving and loading


def test_settings_and_quantizer_survive_saving_and_loading(tmp_path: Path, ecg: np.ndarray):
    tokenizer = AnyECGTokenizer(patch_size=75, notch_hz=60.0, bandpass_low_hz=None, denoise_wavelet="sym4")
    tokenizer.quantizer = tiny_quantizer()
    tokenizer.save_pretrained(tmp_path)
    saved = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert saved == {"preprocessor_config.json", "quantizer/config.json", "quantizer/model.safetensors"}

    for loaded in (AnyECGTokenizer.from_pretrained(tmp_path), AutoFeatureExtractor.from_pretrained(tmp_path)):
        assert type(loaded) is AnyECGTokenizer
        assert loaded.to_dict() == tokenizer.to_dict()
        assert loaded.cleaning_settings == tokenizer.cleaning_settings
        assert loaded._quantizer is None, "weights are read on first use"
        arguments = {"sampling_rate": 500, "lead_names": LEADS}
        assert torch.equal(loaded.encode(ecg, **arguments), tokenizer.encode(ecg, **arguments))


def test_every_step_of_the_cleaning_is_in_the_file(tmp_path: Path):
    AnyECGTokenizer().save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "preprocessor_config.json").read_text())
    expected = {
        **{"sampling_rate": 300, "patch_size": 300, "bandpass_low_hz": 0.1, "bandpass_high_hz": 75.0},
        **{"filter_order": 2, "notch_hz": 50.0, "notch_quality": 30.0},
        **{"denoise": True, "denoise_wavelet": "db6", "denoise_levels": 4},
        "feature_extractor_type": "AnyECGTokenizer",
    }
    assert expected.items() <= stored.items()
    assert not any(name.startswith("_") for name in stored)


def test_settings_may_be_overridden_at_loading(tmp_path: Path):
    AnyECGTokenizer().save_pretrained(tmp_path)
    assert AnyECGTokenizer.from_pretrained(tmp_path, notch_hz=None).cleaning_settings.notch_hz is None


def test_a_loaded_tokenizer_can_be_saved_again_with_its_quantizer(tokenizer: AnyECGTokenizer, tmp_path: Path):
    tokenizer.save_pretrained(tmp_path / "first")
    AnyECGTokenizer.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    first, second = (AnyECGTokenizer.from_pretrained(tmp_path / name).quantizer for name in ("first", "second"))
    for ours, theirs in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_tokenizer_saved_without_a_quantizer_can_be_loaded_and_saved_again(tmp_path: Path, ecg: np.ndarray):
    AnyECGTokenizer(patch_size=75).save_pretrained(tmp_path / "first")
    loaded = AnyECGTokenizer.from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "second")
    assert not (tmp_path / "second" / "quantizer").exists()
    with pytest.raises(ValueError, match="this tokenizer has no quantizer"):
        loaded.encode(ecg, sampling_rate=500, lead_names=LEADS)


def test_a_tokenizer_in_a_subfolder_finds_its_quantizer_there(tokenizer: AnyECGTokenizer, tmp_path: Path):
    tokenizer.save_pretrained(tmp_path / "inner")
    loaded = AnyECGTokenizer.from_pretrained(tmp_path, subfolder="inner")
    assert loaded.quantizer.config.codebook_size == 16


def test_the_tokenizer_is_found_by_the_model_config_too(tmp_path: Path):
    AnyECGTokenizer().save_pretrained(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    stored = json.loads(file.read_text())
    del stored["feature_extractor_type"]
    file.write_text(json.dumps(stored))
    AnyECGConfig.from_preset("tiny").save_pretrained(tmp_path)
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path)) is AnyECGTokenizer


def test_pickles_carry_no_weights_but_know_where_they_are(tokenizer: AnyECGTokenizer, tmp_path: Path, ecg: np.ndarray):
    tokenizer.save_pretrained(tmp_path)
    loaded = AnyECGTokenizer.from_pretrained(tmp_path)
    expected = loaded.encode(ecg, sampling_rate=500, lead_names=LEADS)
    assert loaded._quantizer is not None
    pickled = pickle.dumps(loaded)
    assert len(pickled) < 5000
    in_worker = pickle.loads(pickled)
    assert in_worker._quantizer is None
    assert torch.equal(in_worker.encode(ecg, sampling_rate=500, lead_names=LEADS), expected)


def test_showing_or_copying_the_settings_leaves_the_quantizer_alone(tokenizer: AnyECGTokenizer):
    quantizer = tokenizer.quantizer
    assert "_quantizer" not in repr(tokenizer)
    assert "_quantizer" not in tokenizer.to_dict()
    copy.deepcopy(tokenizer)
    assert tokenizer.quantizer is quantizer


@pytest.mark.parametrize("in_one_call", [True, False], ids=["save_pretrained", "push_to_hub"])
def test_pushing_by_transformers_uploads_the_quantizer_too(
    in_one_call: bool, tokenizer: AnyECGTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    uploaded = []

    class Hub:
        """The three calls of the Hub's client that pushing makes."""

        def create_repo(self, repo_id: str, **kwargs):
            return SimpleNamespace(repo_id=repo_id)

        def create_commit(self, operations: list, **kwargs):
            uploaded.extend(operation.path_in_repo for operation in operations)

        def model_info(self, *args, **kwargs):
            raise AssertionError("not needed to push a tokenizer")

    # The package puts its own in their place (tests/hub/test_pushing.py); code beside a checkpoint has these.
    for name in ("push_to_hub", "_upload_modified_files"):
        monkeypatch.delattr(AnyECGTokenizer, name)
    monkeypatch.setattr("transformers.utils.hub.hf_api", Hub)
    monkeypatch.setattr("transformers.feature_extraction_utils.hf_api", Hub)
    card = SimpleNamespace(save=lambda path: Path(path).write_text("# Card\n"))
    monkeypatch.setattr("transformers.utils.hub.create_and_tag_model_card", lambda *args, **kwargs: card)

    if in_one_call:
        tokenizer.save_pretrained(str(tmp_path), push_to_hub=True, repo_id="someone/anyecg")
    else:
        tokenizer.push_to_hub("someone/anyecg")
    assert {"preprocessor_config.json", "quantizer/config.json", "quantizer/model.safetensors"} <= set(uploaded)
