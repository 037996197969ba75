# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import io
import logging

import numpy as np
import pytest
import torch
from tests.corpora.written_rows import row
from tests.training.small_runs import CLASSES, SmallRuns
from tests.training.written_sources import FIBRILLATION, FLUTTER, NORMAL, cleaned_rows

from anyecg_hf import AnyECGForLeadReconstruction, AnyECGForSequenceClassification, AnyECGTokenizer
from anyecg_hf.training.adapters import AdaptationConfig, LoraSettings, load_adapted
from anyecg_hf.training.classification import ClassificationStage, classifier_settings, count_labels, labelled_rows
from anyecg_hf.training.configs import MaskingConfig, TaskConfig
from anyecg_hf.training.finetune import finetune
from anyecg_hf.training.label_tasks import label_task
from anyecg_hf.training.sources import DataFacts, TrainingRows


def rows_of(*stated: tuple[str, tuple[str, ...]]):
    """Cleaned rows: `(corpus, codes)` each."""
    return cleaned_rows(
        [
            row(number, corpus=corpus, labels=list(codes), native_labels=list(codes), seconds=1)
            for number, (corpus, codes) in enumerate(stated)
        ]
    )


def data(train, validation=None) -> TrainingRows:
    return TrainingRows(train=train, validation=validation, facts=DataFacts())


class TestLabelledRows:
    def test_rows_that_say_nothing_are_left_out(self):
        rows = rows_of(
            ("georgia", (NORMAL,)), ("georgia", ()), ("folder", (FIBRILLATION,)), ("georgia", (FIBRILLATION,))
        )
        asked = label_task(TaskConfig(name="anomaly"))
        _, found = labelled_rows(asked, data(rows, rows), drop_rare=0)
        assert list(found.train["record_id"]) == ["r000", "r003"] == list(found.validation["record_id"])
        _, streamed = labelled_rows(asked, data(rows.to_iterable_dataset()), drop_rare=0)
        assert [each["record_id"] for each in streamed.train] == ["r000", "r003"]

    def test_a_class_without_positives_is_refused_by_name(self):
        rows = rows_of(("georgia", (NORMAL,)), ("georgia", (FIBRILLATION,)))
        asked = label_task(TaskConfig(name="labels", classes=[NORMAL, FLUTTER, "no such label"]))
        with pytest.raises(ValueError, match=rf"{FLUTTER} \(0 of 2 training records\), no such label \(0 of 2"):
            labelled_rows(asked, data(rows), drop_rare=0)

    def test_a_class_without_negatives_is_refused_by_name(self):
        rows = rows_of(("georgia", (NORMAL,)), ("georgia", (NORMAL, FIBRILLATION)))
        asked = label_task(TaskConfig(name="labels", classes=[NORMAL, FIBRILLATION]))
        with pytest.raises(ValueError, match=rf"{NORMAL} \(2 of 2 training records\)\. Set `task\.drop_rare: 1`"):
            labelled_rows(asked, data(rows), drop_rare=0)

    def test_a_class_that_validation_lacks_is_refused_by_name(self):
        train = rows_of(("georgia", (NORMAL,)), ("georgia", (FIBRILLATION,)))
        asked = label_task(TaskConfig(name="labels", classes=[NORMAL, FIBRILLATION]))
        with pytest.raises(ValueError, match=rf"{NORMAL} \(1 of 1 validation records\), {FIBRILLATION} \(0 of 1"):
            labelled_rows(asked, data(train, rows_of(("georgia", (NORMAL,)))), drop_rare=0)

    def test_rare_classes_are_left_out_on_request_and_told(self, caplog):
        stated = [(NORMAL,), (FIBRILLATION,), (NORMAL, FIBRILLATION), (FLUTTER,), ()]
        rows = rows_of(*(("georgia", codes) for codes in stated), ("cinc2017", (FLUTTER,)))
        asked = label_task(TaskConfig(name="labels", classes=[NORMAL, FIBRILLATION, FLUTTER, "no such"]))
        with caplog.at_level(logging.WARNING):
            kept, found = labelled_rows(asked, data(rows), drop_rare=2)
        assert kept.class_names == (NORMAL, FIBRILLATION, FLUTTER)
        assert "classes are left out: no such (0 of 5 training records)" in caplog.text
        positives, negatives = count_labels(kept, found.train)
        assert (positives.tolist(), negatives.tolist()) == ([2, 2, 2], [3, 3, 3])

    def test_rows_that_know_only_rare_classes_are_left_out_too(self):
        pauses = "27885002"  # complete AV block, which CinC 2017 never states
        stated = [(NORMAL,), (pauses,), (NORMAL,), (pauses,)]
        rows = rows_of(*(("georgia", codes) for codes in stated), ("cinc2017", ("N",)), ("georgia", (FIBRILLATION,)))
        kept, found = labelled_rows(label_task(TaskConfig(name="arrhythmia")), data(rows), drop_rare=2)
        assert "AVB3" in kept.class_names and "AF" not in kept.class_names
        assert len(found.train) == 6
        without = kept.without({"NSR"})
        assert without.class_names == ("AVB3",) and without.label(dict(rows[4])) is None

    def test_no_class_left_is_an_error(self):
        rows = rows_of(("georgia", (NORMAL,)), ("georgia", (FIBRILLATION,)))
        asked = label_task(TaskConfig(name="labels", classes=[NORMAL, FIBRILLATION]))
        with pytest.raises(ValueError, match="no class is left"):
            labelled_rows(asked, data(rows), drop_rare=2)

    def test_a_single_label_task_loses_no_class(self):
        rows = rows_of(("georgia", (NORMAL,)), ("georgia", (NORMAL,)))
        with pytest.raises(ValueError, match=r"abnormal \(0 of 2 training records\)"):
            labelled_rows(label_task(TaskConfig(name="anomaly")), data(rows), drop_rare=1)

    def test_a_corpus_without_the_asked_labels_is_refused(self):
        rows = rows_of(("georgia", (NORMAL,)), ("georgia", (FIBRILLATION,)))
        with pytest.raises(ValueError, match="no training record has labels of the task 'superclass'"):
            labelled_rows(label_task(TaskConfig(name="superclass")), data(rows), drop_rare=0)

    def test_unknown_labels_count_as_neither(self):
        stated = {"cinc2017": (["A"], [FIBRILLATION]), "georgia": ([FLUTTER], [FLUTTER])}
        rows = cleaned_rows(
            [
                row(number, corpus=corpus, native_labels=native, labels=codes)
                for number, (corpus, (native, codes)) in enumerate(stated.items())
            ]
        )
        asked = label_task(TaskConfig(name="arrhythmia"))
        positives, negatives = (dict(zip(asked.class_names, each, strict=True)) for each in count_labels(asked, rows))
        assert (positives["AF"], negatives["AF"], positives["AFL"], negatives["AFL"]) == (1, 1, 1, 0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SmallRuns:
    return SmallRuns(tmp_path_factory.mktemp("runs"))


MODES = {
    "full": AdaptationConfig(),
    "head": AdaptationConfig(mode="head"),
    "lora": AdaptationConfig(mode="lora", lora=LoraSettings(r=2)),
    "attentive_probe": AdaptationConfig(mode="attentive_probe"),
}


def small(runs: SmallRuns, folder, **changes):
    """A run of six steps that is validated twice."""
    given = {"run__steps": 6, "run__validate_every": 3, "run__save_every": 6, "code_weight": 0.0, **changes}
    return runs.config("finetuning", folder, **given)


class TestRuns:
    @pytest.fixture(scope="class", params=MODES)
    @classmethod
    def run(cls, request, runs, tmp_path_factory):
        """Mode, returned model and run folder of one run each."""
        folder = tmp_path_factory.mktemp(request.param) / "run"
        return request.param, finetune(small(runs, folder, adaptation=MODES[request.param])), folder

    def test_final_loads_and_answers_as_the_returned_model(self, run):
        mode, model, folder = run
        load = load_adapted if mode == "lora" else AnyECGForSequenceClassification.from_pretrained
        loaded = load(folder / "final").eval()
        rows = cleaned_rows([row(number, n_leads=number + 1) for number in range(3)])
        batch = AnyECGTokenizer.from_pretrained(folder / "final").pad(
            [{name: each[name] for name in ("input_values", "attention_mask", "lead_ids")} for each in rows],
            return_tensors="pt",
        )
        inputs = {
            "input_values": batch["input_values"].float(),
            "attention_mask": batch["attention_mask"].long(),
            "lead_ids": batch["lead_ids"].long(),
        }
        with torch.no_grad():
            expected, found = model(**inputs).logits, loaded(**inputs).logits
        assert not model.training and expected.shape == (3, 2)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)

    def test_classes_and_thresholds_are_stored(self, run):
        _, model, folder = run
        config = (load_adapted(folder / "final") if run[0] == "lora" else model).config
        assert config.id2label == dict(enumerate(CLASSES)) and config.problem_type == "multi_label_classification"
        assert config.label_descriptions == {CLASSES[0]: "sinus bradycardia", CLASSES[1]: "sinus tachycardia"}
        assert set(config.label_thresholds) == set(CLASSES)
        assert all(0 <= value <= 1 for value in config.label_thresholds.values())
        assert config.trained_time_positions == 8

    def test_only_what_the_mode_says_was_trained(self, run, runs):
        mode, model, _ = run
        torch.manual_seed(3)
        before = AnyECGForSequenceClassification.from_pretrained(runs.backbone).state_dict()
        inner = model.get_base_model() if mode == "lora" else model
        after = {name.replace(".base_layer", ""): value for name, value in inner.state_dict().items()}
        backbone = [name for name in before if name.startswith("anyecg.")]
        changed = [name for name in backbone if not torch.equal(before[name], after[name])]
        assert bool(changed) == (mode == "full")
        assert len(backbone) > 20


class TestStage:
    def stage(self, runs, tmp_path, **changes) -> ClassificationStage:
        return ClassificationStage(small(runs, tmp_path / "run", **changes), torch.device("cpu"))

    def test_counts_are_the_known_labels_and_hidden_codes(self, runs, tmp_path):
        stage = self.stage(runs, tmp_path, code_weight=0.5)
        batch = stage.collate(list(stage.data.train.select(range(3))), torch.Generator().manual_seed(0))
        batch["labels"][0, 1] = torch.nan
        hidden = batch["bool_masked_pos"] & (batch["codes"] >= 0)
        assert stage.counts(batch) == {"classification_loss": 5.0, "code_loss": float(hidden.sum())}
        del batch["codes"]
        assert stage.counts(batch) == {"classification_loss": 5.0}

    def test_single_labels_count_once_a_record(self, runs, tmp_path):
        stage = self.stage(runs, tmp_path)
        assert stage.counts({"labels": torch.tensor([0, 1, 1])}) == {"classification_loss": 3.0}

    def test_heads_of_other_tasks_in_the_checkpoint_are_no_obstacle_and_nothing_is_complained_of(
        self, runs, tmp_path, monkeypatch
    ):
        complaints = io.StringIO()
        handler = logging.StreamHandler(complaints)
        told = logging.getLogger("transformers")
        monkeypatch.setattr(told, "handlers", [*told.handlers, handler])
        model = AnyECGForLeadReconstruction.from_pretrained(runs.backbone)
        model.save_pretrained(tmp_path / "parent")
        AnyECGTokenizer.from_pretrained(runs.backbone).save_pretrained(tmp_path / "parent")
        complaints.truncate(0)
        stage = self.stage(runs, tmp_path, checkpoint=str(tmp_path / "parent"))
        assert stage.model.config.num_labels == len(CLASSES) == stage.model.classifier.out_features
        assert "num_labels" not in complaints.getvalue()

    def test_validation_passes_over_unknown_labels(self, runs, tmp_path):
        stage = self.stage(runs, tmp_path)
        rows = list(stage.data.validation)
        whole = stage.collate(rows)
        known = {**whole, "labels": whole["labels"].clone()}
        known["labels"][0] = torch.nan
        stage.model.eval()
        with torch.no_grad():
            found = stage.validate(stage.model, iter([(known, rows)]))
            without = stage.validate(stage.model, iter([(stage.collate(rows[1:]), rows[1:])]))
        assert found == pytest.approx(without, abs=1e-5)
        assert np.isfinite(found["macro_auroc"])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"model": {"hiden_size": 3}}, "`model` has unknown fields: hiden_size"),
            ({"model": {"hidden_size": 64, "num_attention_heads": 4}}, "lacks 37 weights .*random numbers"),
            ({"model": {"num_hidden_layers": 1}}, "does not fit the weights of .*left out: anyecg.layers.1"),
            ({"model": {"num_hidden_layers": 3}}, "lacks 16 weights .*anyecg.layers.2"),
            ({"model": {"patch_size": 300}}, "contradicts task, adaptation or tokenizer: patch_size is 75 there"),
            ({"model": {"problem_type": "regression"}}, "problem_type is 'multi_label_classification' there"),
            ({"model": {"id2label": {0: "a", 1: "b"}}}, "`model` contradicts task, adaptation or tokenizer: id2label"),
            (
                {"adaptation": MODES["attentive_probe"], "model": {"classifier_pooling": "mean"}},
                "classifier_pooling is 'attention' there and 'mean' here",
            ),
            ({"task": TaskConfig(name="superclass")}, "no training record has labels of the task 'superclass'"),
            ({"task": TaskConfig(name="labels", classes=["x"])}, r"x \(0 of 18 training records\)"),
            ({"code_weight": 0.1, "adaptation": MODES["head"]}, "`code_weight` needs `adaptation.mode: full`"),
            ({"code_weight": 0.1, "masking": [MaskingConfig(complement=True)]}, "masking without `complement`"),
            ({"code_weight": 0.1, "masking": []}, "`masking` is empty"),
        ],
    )
    def test_settings_that_cannot_be_are_refused(self, runs, tmp_path, changes, message):
        with pytest.raises(ValueError, match=message):
            self.stage(runs, tmp_path, **changes)

    def test_a_second_task_needs_a_checkpoint_with_a_code_head(self, runs, tmp_path):
        finetune(small(runs, tmp_path / "first", run__steps=1, run__validate_every=1, adaptation=MODES["head"]))
        with pytest.raises(ValueError, match="`code_weight` at 0 where the checkpoint has no code head"):
            self.stage(runs, tmp_path, code_weight=0.1, checkpoint=str(tmp_path / "first" / "final"))

    def test_the_pooling_is_a_choice_of_the_run(self, runs, tmp_path):
        assert self.stage(runs, tmp_path).model.config.classifier_pooling == "mean_max"
        chosen = self.stage(runs, tmp_path, model={"classifier_pooling": "mean"})
        assert chosen.model.classifier.in_features == 32


def test_a_model_of_a_task_knows_its_classes():
    settings = classifier_settings(label_task(TaskConfig(name="anomaly")))
    assert settings == {
        "id2label": {0: "normal", 1: "abnormal"},
        "label2id": {"normal": 0, "abnormal": 1},
        "problem_type": "single_label_classification",
        "label_descriptions": None,
    }
