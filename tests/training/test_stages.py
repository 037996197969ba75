# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the stages of the quantizer and of masked codes are made of; whole runs are in `test_resume` and its kin."""

import numpy as np
import pytest
import torch
from tests.corpora.written_rows import row
from tests.training.small_runs import SmallRuns
from tests.training.written_sources import cleaned_rows

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.training.codes import add_codes
from anyecg_hf.training.configs import MaskingConfig
from anyecg_hf.training.pretrain import MaskedCodeCollator, PretrainingStage, hidden_codes
from anyecg_hf.training.stage import mean_terms
from anyecg_hf.training.train_quantizer import QuantizerCollator, QuantizerStage
from anyecg_hf.training.windows import WindowSettings, seeded_generator


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def coded(runs):
    rows = cleaned_rows([row(number, n_leads=2 + number, seconds=3) for number in range(3)])
    return list(add_codes(rows, AnyECGTokenizer.from_pretrained(runs.tokenizer).quantizer, 8))


class TestQuantizer:
    def stage(self, runs, tmp_path, **changes) -> QuantizerStage:
        config = runs.config("quantizer", tmp_path / "run", data__validation=[], **changes)
        config.data.validation = runs.config("finetuning", tmp_path / "run").data.validation
        return QuantizerStage(config)

    def test_batches_have_demographics(self):
        rows = list(cleaned_rows([row(0, age_years=50.0, sex=1), row(2)]))
        batch = QuantizerCollator(WindowSettings(8))(rows)
        expected = torch.tensor([[50.0, torch.nan, 1.0], [torch.nan] * 3])
        torch.testing.assert_close(batch["demographics"], expected, equal_nan=True)

    def test_counts_are_real_patches_and_known_demographics(self, runs, tmp_path):
        mask = torch.ones(3, 2, 4, dtype=torch.long)
        mask[0, 1, 2:] = 0
        mask[2] = 0  # its demographics cannot be told from anything
        known = torch.tensor([[50.0, torch.nan, 1.0], [torch.nan] * 3, [60.0, 70.0, 0.0]])
        counts = self.stage(runs, tmp_path).counts({"attention_mask": mask, "demographics": known})
        assert counts.pop("demography_loss") == 2
        assert counts == dict.fromkeys(("morphology_loss", "frequency_loss", "codebook_loss", "commitment_loss"), 14.0)

    def test_the_terms_add_up_to_the_loss_of_the_model(self, runs, tmp_path):
        stage = self.stage(runs, tmp_path)
        outputs = stage.model(**stage.collate(list(stage.data.train.select(range(3))), seeded_generator(0)))
        total = sum(term.weight * term.value for term in stage.terms(outputs).values())
        torch.testing.assert_close(total, outputs.loss)

    def test_validation_tells_how_the_codebook_is_used_on_all_rows(self, runs, tmp_path):
        stage = self.stage(runs, tmp_path)
        stage.model.eval().quantizer.started.fill_(True)
        rows = list(stage.data.validation)
        batches = [(stage.collate(rows[first : first + 3]), rows[first : first + 3]) for first in (0, 3, 6)]
        with torch.no_grad():
            found = stage.validate(stage.model, iter(batches))
            outputs = [stage.model(**batch) for batch, _ in batches]
        codes = np.concatenate([output.codes[output.codes >= 0].numpy() for output in outputs])
        shares = np.bincount(codes, minlength=8) / len(codes)
        assert found["codebook_usage"] == np.mean(shares > 0)
        assert found["perplexity"] == pytest.approx(np.exp(-sum(share * np.log(share) for share in shares if share)))
        sizes = [int(batch["attention_mask"].sum()) for batch, _ in batches]
        expected = np.average([float(output.morphology_loss) for output in outputs], weights=sizes)
        assert found["morphology_loss"] == pytest.approx(expected, rel=1e-5)

    def test_a_codebook_that_never_started_is_no_result(self, runs, tmp_path):
        stage = self.stage(runs, tmp_path)
        with pytest.raises(ValueError, match="within the 5 warm-up updates, and the codebook was never started"):
            stage.check_finished(stage.model)

    def test_a_run_that_ends_before_the_codebook_starts_is_refused_before_it_begins(self, runs, tmp_path):
        with pytest.raises(ValueError, match="`run.steps` is 5, and the codebook starts after 5 warm-up updates"):
            self.stage(runs, tmp_path, run__steps=5)

    def test_the_tokenizer_section_is_checked(self, runs, tmp_path):
        with pytest.raises(ValueError, match="`tokenizer` must not have patch_size"):
            self.stage(runs, tmp_path, tokenizer={"patch_size": 300})


class TestMaskedCodes:
    def test_labels_are_the_codes_of_the_windows(self, coded):
        collate = MaskedCodeCollator(WindowSettings(8, lead_dropout=0.5))
        batch = collate(coded, seeded_generator(0))
        assert batch["labels"].shape == batch["attention_mask"].shape == batch["bool_masked_pos"].shape
        assert torch.equal(batch["labels"] >= 0, batch["attention_mask"].bool())
        assert not (batch["bool_masked_pos"] & (batch["labels"] < 0)).any()

    def test_the_complement_doubles_codes_with_their_windows(self, coded):
        collate = MaskedCodeCollator(WindowSettings(8), (MaskingConfig(complement=True),))
        batch = collate(coded, seeded_generator(0))
        assert {len(value) for value in batch.values()} == {6}
        assert all(torch.equal(value[:3], value[3:]) for name, value in batch.items() if name != "bool_masked_pos")
        assert hidden_codes(batch["labels"], batch["bool_masked_pos"]) == float((batch["labels"][:3] >= 0).sum())

    def test_validation_hides_the_same_patches_every_time(self, coded):
        masking = (MaskingConfig(strategy="whole_time"), MaskingConfig(strategy="whole_lead"))
        collate = MaskedCodeCollator(WindowSettings(8, lead_dropout=1.0), masking)
        first, second = collate(coded)["bool_masked_pos"], collate(coded)["bool_masked_pos"]
        assert torch.equal(first, second)
        real = collate(coded)["attention_mask"].bool()
        assert torch.equal(first, real & first.any(dim=1, keepdim=True))  # by the first strategy

    @pytest.mark.parametrize("codebooks", [1, 3])
    def test_hidden_codes_are_counted_in_every_codebook(self, codebooks):
        codes = torch.zeros((2, 3, 4) if codebooks == 1 else (2, 3, 4, codebooks), dtype=torch.long)
        codes[0, 1] = -1
        hidden = torch.zeros(2, 3, 4, dtype=torch.bool)
        hidden[0, :2, 1] = hidden[1, 2] = True
        assert hidden_codes(codes, hidden) == 5 * codebooks

    def test_means_over_many_batches_weigh_every_hidden_code_alike(self, runs, tmp_path):
        stage = PretrainingStage(runs.config("pretraining", tmp_path / "run"), torch.device("cpu"))
        rows = list(stage.data.train.select(range(6)))
        batches = [(stage.collate(part), part) for part in (rows[:1], rows[1:])]
        stage.model.eval()
        with torch.no_grad():
            found = mean_terms(stage, stage.model, iter(batches))
            losses = [float(stage.model(**batch).loss) for batch, _ in batches]
        counts = [stage.counts(batch)["code_loss"] for batch, _ in batches]
        assert counts[0] != counts[1]
        assert found["loss"] == found["code_loss"] == pytest.approx(np.average(losses, weights=counts), rel=1e-5)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"model": {"codebook_size": 512}}, "codebook_size is 8 there and 512 here"),
            ({"model": {"patch_size": 300}}, "patch_size is 75 there and 300 here"),
            ({"model": {"hidden": 3}}, "`model` has unknown fields: hidden"),
            ({"masking": []}, "`masking` is empty"),
        ],
    )
    def test_settings_that_cannot_be_are_refused(self, runs, tmp_path, changes, message):
        with pytest.raises(ValueError, match=message):
            PretrainingStage(runs.config("pretraining", tmp_path / "run", **changes), torch.device("cpu"))

    def test_a_stream_is_trained_on_the_codes_of_the_prepared_rows(self, runs, tmp_path):
        prepared, streamed = (
            PretrainingStage(
                runs.config("pretraining", tmp_path / "run", data__streaming=streaming), torch.device("cpu")
            )
            for streaming in (False, True)
        )
        rows = list(streamed.data.train)
        np.testing.assert_equal(rows, list(prepared.data.train))
        batches = [stage.collate(rows[:3], seeded_generator(0)) for stage in (prepared, streamed)]
        assert all(torch.equal(batches[0][name], batches[1][name]) for name in batches[0])
