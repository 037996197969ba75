# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
import torch
from tests.models.tiny import tiny_config
from tests.training.conftest import SMALL, WINDOW_PATCHES, assert_same_weights, log_of
from tests.training.written_records import cleaned_records

from anyecg_hf import AnyECGRhythmQuantizer
from anyecg_hf.training.stages import add_codes, pretrain, record_time_positions, train_quantizer
from anyecg_hf.training.trainer import CodebookCallback, CodebookCollapseError
from anyecg_hf.windowing import window_spans

STEPS = 20
WARMING_UP = 4  # a checkpoint before the codebook starts, in the middle of an epoch
STARTED = 8


class TestTrainQuantizer:
    @pytest.fixture(scope="class")
    @classmethod
    def run(cls, tmp_path_factory):
        return tmp_path_factory.mktemp("stage1")

    @pytest.fixture(scope="class")
    @classmethod
    def train(cls, tokenizer, beats, quantizer_config, few_steps):
        def train(folder, steps=STEPS, **overrides) -> AnyECGRhythmQuantizer:
            config = quantizer_config(**overrides)
            arguments = {**few_steps, "max_steps": steps, "save_steps": 4}
            return train_quantizer(config, tokenizer, beats, folder, WINDOW_PATCHES, **arguments)

        return train

    @pytest.fixture(scope="class")
    @classmethod
    def quantizer(cls, train, run) -> AnyECGRhythmQuantizer:
        return train(run)

    def test_the_loss_falls_and_every_term_is_in_the_log(self, quantizer, run):
        log = [entry for entry in log_of(run) if "loss" in entry]
        terms = ("morphology_loss", "frequency_loss", "demography_loss", "codebook_loss", "commitment_loss")
        assert len(log) == STEPS // 2
        assert all({*terms, "perplexity", "codebook_usage"} <= entry.keys() for entry in log)
        assert log[-1]["morphology_loss"] < 0.8 * log[0]["morphology_loss"]
        assert log[-1]["frequency_loss"] < log[0]["frequency_loss"]
        config = quantizer.config
        for entry in log:
            weighted = sum(getattr(config, term.replace("_loss", "_weight")) * entry[term] for term in terms)
            assert entry["loss"] == pytest.approx(weighted, rel=1e-3)

    def test_the_codebook_starts_after_the_warm_up(self, quantizer, run):
        log = [entry for entry in log_of(run) if "loss" in entry]
        assert [entry["commitment_loss"] > 0 for entry in log[:5]] == [False, False, False, True, True]
        assert bool(quantizer.quantizer.started) and int(quantizer.quantizer.updates) == STEPS
        assert log[-1]["codebook_usage"] > 0.5

    def test_the_result_is_in_evaluation_mode_and_knows_what_it_trained_on(self, quantizer):
        assert not quantizer.training
        assert quantizer.config.trained_time_positions == WINDOW_PATCHES

    @pytest.mark.parametrize("step", [WARMING_UP, STARTED])
    def test_a_resumed_run_gives_exactly_the_weights_of_an_uninterrupted_one(
        self, quantizer, train, run, resumable, tmp_path, step
    ):
        assert_same_weights(train(resumable(run, step, tmp_path)), quantizer)

    def test_the_vectors_kept_for_the_start_are_what_makes_it_exact(self, quantizer, train, run, resumable, tmp_path):
        folder = resumable(run, WARMING_UP, tmp_path)
        (folder / f"checkpoint-{WARMING_UP}" / CodebookCallback.STATE_FILE).unlink()
        resumed = train(folder, steps=STARTED)
        reference = AnyECGRhythmQuantizer.from_pretrained(run / f"checkpoint-{STARTED}")
        assert not torch.equal(resumed.quantizer.codebooks[0].embeddings, reference.quantizer.codebooks[0].embeddings)

    def test_a_finished_run_is_not_trained_again(self, quantizer, train, run):
        assert_same_weights(train(run), quantizer)
        assert len(list(run.glob("checkpoint-*"))) == STEPS // 4

    def test_another_seed_gives_another_model(self, quantizer, tokenizer, beats, quantizer_config, few_steps, tmp_path):
        arguments = {**few_steps, "seed": 4, "max_steps": 1}
        config = quantizer_config(codebook_warmup_updates=0)
        other = train_quantizer(config, tokenizer, beats, tmp_path, WINDOW_PATCHES, **arguments)
        assert not torch.equal(other.code_projection[0].weight, quantizer.code_projection[0].weight)

    def test_training_that_ends_within_the_warm_up_is_refused(
        self, tokenizer, beats, quantizer_config, few_steps, tmp_path
    ):
        arguments = {**few_steps, "max_steps": 2}
        with pytest.raises(ValueError, match="training ended within the 6 warm-up updates, and the codebook was never"):
            train_quantizer(quantizer_config(), tokenizer, beats, tmp_path, WINDOW_PATCHES, **arguments)

    def test_a_collapsed_codebook_stops_training(self, tokenizer, beats, quantizer_config, few_steps, tmp_path):
        one_patch = cleaned_records(4, seconds=2.0)
        for record in one_patch:
            record.patches[:] = one_patch[0].patches[0, 0]
            record.lead_ids[:] = 0
        config = quantizer_config(num_hidden_layers=1, min_codebook_usage=0.5, codebook_warmup_updates=0)
        arguments = {**few_steps, "max_steps": 40}
        with pytest.raises(
            CodebookCollapseError, match=r"only .*% of the 16 codes are in use at step \d+, and `min_cod"
        ):
            train_quantizer(config, tokenizer, one_patch, tmp_path, WINDOW_PATCHES, **arguments)


class TestPretrain:
    @pytest.fixture(scope="class")
    @classmethod
    def run(cls, tmp_path_factory):
        return tmp_path_factory.mktemp("stage2")

    @pytest.fixture(scope="class")
    @classmethod
    def coded(cls, beats):
        """Codes that the signal determines: loud patches and quiet ones."""
        for record in beats:
            record.codes = (record.patches.astype(np.float32).std(axis=2) > 0.5).astype(np.int64) + 3
        return beats

    @pytest.fixture(scope="class")
    @classmethod
    def train(cls, tokenizer, coded, few_steps):
        def train(folder, **overrides):
            config = tiny_config(**{**SMALL, "hidden_dropout": 0.1, **overrides})
            arguments = {**few_steps, "max_steps": 16, "save_steps": 8}
            strategies = (("random", 0.5, 0.5), ("whole_time", 0.4, 0.5))
            return pretrain(config, tokenizer, coded, folder, WINDOW_PATCHES, strategies=strategies, **arguments)

        return train

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, train, run):
        return train(run)

    def test_the_loss_falls(self, model, run):
        log = [entry["loss"] for entry in log_of(run) if "loss" in entry]
        assert log[-1] < 0.6 * log[0]
        assert not model.training

    def test_a_resumed_run_gives_exactly_the_weights_of_an_uninterrupted_one(
        self, model, train, run, resumable, tmp_path
    ):
        assert_same_weights(train(resumable(run, 8, tmp_path)), model)

    def test_all_rows_of_a_learned_time_table_are_trained(self, tokenizer, coded, few_steps, tmp_path):
        config = tiny_config(**{**SMALL, "time_encoding": "learned", "max_time_positions": 9})
        rows = []
        for steps in (1, 12):
            arguments = {**few_steps, "max_steps": steps, "weight_decay": 0.0}
            model = pretrain(config, tokenizer, coded, tmp_path / str(steps), WINDOW_PATCHES, **arguments)
            rows.append(model.anyecg.embeddings.time_embeddings.weight.detach())
        assert config.trained_time_positions == 9
        assert (rows[0] != rows[1]).any(dim=1).all()


class TestTimePositions:
    def test_rotary_encoding_records_the_window(self):
        config = tiny_config(time_encoding="rotary")
        assert record_time_positions(config, 40) is None
        assert config.trained_time_positions == 40

    def test_a_learned_table_is_covered_as_a_whole(self):
        config = tiny_config(time_encoding="learned", max_time_positions=8)
        assert record_time_positions(config, 6) == 8
        assert config.trained_time_positions == 8


class TestAddCodes:
    @pytest.mark.parametrize("codebooks", [1, 2])
    def test_codes_are_those_of_each_window_on_its_own(self, quantizer_config, codebooks):
        quantizer = AnyECGRhythmQuantizer(quantizer_config(num_quantizers=codebooks)).eval()
        records = [*cleaned_records(3, seconds=2.0), *cleaned_records(1, seconds=1.5, leads=2)]
        records[1].patch_mask[1, 3] = False
        add_codes(records, quantizer, window_patches=5, batch_size=2)
        for record in records:
            for window in window_spans(record.patch_mask.shape[1], 5):
                expected = quantizer.encode(
                    torch.tensor(record.patches[None, :, window], dtype=torch.float32),
                    torch.tensor(record.patch_mask[None, :, window], dtype=torch.long),
                    torch.tensor(record.lead_ids[None]),
                )
                np.testing.assert_array_equal(record.codes[:, window], expected[0])
        assert (records[1].codes[1, 3] == -1).all() and (records[1].codes >= 0).sum() == 23 * codebooks
