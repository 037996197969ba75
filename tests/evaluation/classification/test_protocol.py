# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.evaluation.small_evaluations import (
    CLASSES,
    small_data,
    small_evaluation,
    write_classifier,
    write_split,
    written_row,
)
from tests.models.tiny import padded_batch
from tests.training.small_runs import write_backbone, write_tokenizer

from anyecg_hf import AnyECGForSequenceClassification, AnyECGTokenizer
from anyecg_hf.evaluation import evaluate
from anyecg_hf.evaluation.classification.result_files import render_markdown
from anyecg_hf.evaluation.classification.result_plots import draw_robustness
from anyecg_hf.evaluation.classification.table_rows import checkpoint_classes, load_models
from anyecg_hf.evaluation.evaluation_configs import ROWS, BootstrapConfig, EvaluationConfig, RobustnessConfig
from anyecg_hf.evaluation.metrics import macro_auroc
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.records import ECGRecord
from anyecg_hf.training.adapters import AdaptationConfig, LoraSettings, adapt, save_adapted
from anyecg_hf.training.config_files import load_config
from anyecg_hf.training.configs import LABEL_TASKS, TaskConfig
from anyecg_hf.training.label_tasks import label_task
from anyecg_hf.training.leaks import LeakError

FOLDER = Path(__file__).parents[3] / "examples" / "recipes" / "evaluation"
# The others are `tests/training/test_task_recipes.py`'s.
RECIPES = [
    path for path in sorted(FOLDER.glob("*.yaml")) if load_config(EvaluationConfig, path).task.name in LABEL_TASKS
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def results(root):
    """All rows, with two fine-tuned checkpoints."""
    second = write_classifier(root / "second", seed=9)
    first = write_classifier(root / "classifier")
    backbone = write_backbone(root / "backbone")
    return evaluate(small_evaluation(root, checkpoint=[str(first), str(second)], pretrained=str(backbone)))


class TestResults:
    def test_have_every_row_with_its_seeds(self, results):
        assert list(results["rows"]) == list(ROWS) and results["missing_rows"] == {}
        seeds = {name: len(row["seeds"]) for name, row in results["rows"].items()}
        assert seeds == {
            "majority": 1,
            "random_probe": 2,
            "handcrafted": 1,
            "resnet": 2,
            "probe": 1,
            "finetuned": 2,
        }

    def test_have_every_figure_with_its_interval(self, results):
        names = ["macro_auroc", "macro_auprc", "macro_f1", "weighted_f1", "calibration_error"]
        for row in results["rows"].values():
            assert list(row["figures"]) == names and list(row["classes"]) == list(CLASSES)
            for figure in row["figures"].values():
                assert figure["low"] <= figure["high"] and len(figure["by_seed"]) == len(row["seeds"])
                assert figure["estimate"] == pytest.approx(np.mean(figure["by_seed"]))
                assert (figure["standard_deviation"] is None) == (len(row["seeds"]) == 1)
        majority = results["rows"]["majority"]["figures"]
        assert majority["macro_auroc"]["estimate"] == majority["macro_auroc"]["high"] == 0.5

    def test_compare_the_fine_tuned_model_and_the_probe_with_every_other_row(self, results):
        figures = {name: row["figures"]["macro_auroc"]["estimate"] for name, row in results["rows"].items()}
        assert list(results["differences"]) == ["finetuned", "probe"]
        for reference, others in results["differences"].items():
            assert set(others) == set(ROWS) - {reference}
            for name, found in others.items():
                assert found["macro_auroc"]["estimate"] == pytest.approx(figures[reference] - figures[name])

    def test_of_the_fine_tuned_model_are_those_of_its_probabilities_on_the_records(self, root, results):
        analyzer = RecordAnalyzer(root / "second", window_s=2.0)
        probabilities = []
        for number in range(24, 36):
            written = written_row(number)
            record = ECGRecord(written["signal"].to_millivolts(), 100.0, tuple(written["lead_names"]))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # written records repeat, which looks odd
                classes = analyzer.classify(analyzer.clean(record))
            probabilities.append([item.probability for item in classes])
        labels = np.array([[number & 1, number >> 1 & 1] for number in range(24, 36)])
        # Windows are kept as float16.
        found = results["rows"]["finetuned"]["figures"]["macro_auroc"]["by_seed"][1]
        assert found == pytest.approx(macro_auroc(labels, np.array(probabilities)), abs=0.03)

    def test_have_subgroups_of_every_record(self, results):
        subgroups = results["subgroups"]
        assert {name: group["records"] for name, group in subgroups["sex"].items()} == {"female": 6, "male": 6}
        assert subgroups["sex"]["female"]["left_out"] == [CLASSES[0]]  # all of them have it
        assert sum(group["records"] for group in subgroups["age"].values()) == 12
        assert subgroups["age"][">=75"]["note"] == "no records"
        whole = subgroups["corpus"]["written"]["rows"]["probe"]
        figure = results["rows"]["probe"]["figures"]["macro_auroc"]
        assert (whole["estimate"], whole["low"], whole["high"]) == pytest.approx(
            (figure["estimate"], figure["low"], figure["high"])
        )

    def test_have_what_worse_records_change(self, results):
        tests = {test["title"]: test for test in results["robustness"]}
        assert list(tests) == ["emg, 0 dB", "powerline, 0 dB", "I", "250 Hz"]
        assert tests["powerline, 0 dB"]["records"] == 0 and tests["powerline, 0 dB"]["left_out"] == 12
        for name in ("handcrafted", "resnet", "finetuned"):
            clean = results["rows"][name]["figures"]["macro_auroc"]["estimate"]
            found = tests["emg, 0 dB"]["rows"][name]
            assert found["change"]["estimate"] == pytest.approx(found["macro_auroc"]["estimate"] - clean)
        assert abs(tests["250 Hz"]["rows"]["finetuned"]["change"]["estimate"]) < 0.1

    def test_say_what_they_rest_on(self, root, results):
        assert results["settings"]["task"]["name"] == "labels" and "torch" in results["versions"]
        assert results["data"]["test"]["records"] == 12 and len(results["data"]["test"]["fingerprint_sha256"]) == 64
        assert len(set(results["models"]["finetuned_sha256"])) == 2
        thresholds = results["rows"]["finetuned"]["classes"][CLASSES[0]]["thresholds"]
        assert len(thresholds) == 2 and all(0 < value < 1 for value in thresholds)

    def test_are_written_as_json_markdown_and_pictures(self, root, results):
        folder = root / "results"
        assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(results))
        text = (folder / "results.md").read_text()
        assert text == render_markdown(results, ["rows.png", "reliability.png", "robustness.png"])
        for name in ("rows.png", "reliability.png", "robustness.png"):
            assert name in text and np.asarray(Image.open(folder / name)).std() > 10
        estimate = results["rows"]["probe"]["figures"]["macro_auroc"]["estimate"]
        assert f"| linear probe, pre-trained backbone | 1 | {estimate:.3f} [" in text

    def test_of_few_patients_are_said_to_be_no_evidence(self, results):
        note = "Of fewer than 20 patients intervals are no evidence."
        assert note in render_markdown(results)
        many = copy.deepcopy(results)
        many["data"]["test"]["patients"] = 20
        assert note not in render_markdown(many)

    def test_have_a_legend_whatever_the_first_panel_lacks(self, results):
        turned = {**results, "robustness": sorted(results["robustness"], key=lambda test: test["records"])}
        assert turned["robustness"][0]["records"] == 0
        (legend,) = draw_robustness(turned).legends
        names = [text.get_text().split(" (")[0] for text in legend.get_texts()]
        assert names == ["hand-crafted features", "1-D ResNet from scratch", "fine-tuned"]

    def test_are_not_replaced_unasked(self, root, results):
        with pytest.raises(ValueError, match="holds results: name another `output_dir`, or pass `--overwrite true`"):
            evaluate(small_evaluation(root, pretrained=str(root / "backbone")))

    def test_name_classes_without_figures(self, results):
        changed = copy.deepcopy(results)
        for row in changed["rows"].values():
            row["classes"][CLASSES[1]]["auroc"] = None
        assert f"having no positives or no negatives here: {CLASSES[1]}." in render_markdown(changed)


class TestTasks:
    def test_anomaly_has_its_own_figures(self, tmp_path):
        def stated(number: int) -> dict:
            codes = ["426783006"] if number % 2 else ["164889003"]
            return written_row(number, corpus="georgia", labels=codes, native_labels=codes)

        spans = {"train": range(16), "validation": range(16, 24), "held_out": range(24, 36)}
        splits = {
            name: [write_split(tmp_path, name, [stated(number) for number in span])] for name, span in spans.items()
        }
        classifier = write_classifier(
            tmp_path / "anomaly", ("normal", "abnormal"), problem_type="single_label_classification"
        )
        config = small_evaluation(
            tmp_path,
            task=TaskConfig(name="anomaly"),
            data=small_data(tmp_path, **splits),
            checkpoint=str(classifier),
            seeds=[0],
            robustness=RobustnessConfig(rows=[]),
        )
        results = evaluate(config)
        assert list(results["missing_rows"]) == ["probe"] and results["robustness"] == []
        names = ["accuracy", "auprc", "auroc", "weighted_f1", "macro_f1", "calibration_error"]
        for row in results["rows"].values():
            assert list(row["figures"]) == names and row["classes"]["abnormal"]["thresholds"] == [None]
        assert results["rows"]["majority"]["figures"]["accuracy"]["estimate"] == 0.5
        assert "Decisions are the most likely class." in (tmp_path / "results" / "results.md").read_text()

    def test_classes_that_are_known_of_some_records_only_are_fitted_and_scored_on_those(self, tmp_path):
        """Georgia and CPSC 2018 do not state the same classes."""
        cycle = [["426783006"], ["164889003"], ["427084000"], ["164889003", "284470004"]]

        def stated(number: int, corpus: str) -> dict:
            codes = cycle[number % 4]
            return written_row(number, corpus=corpus, labels=codes, native_labels=codes)

        spans = {"train": range(20), "validation": range(20, 30), "held_out": range(30, 42)}
        splits = {
            name: [
                write_split(
                    tmp_path, name, [stated(number, "georgia" if number % 3 else "cpsc2018") for number in span]
                )
            ]
            for name, span in spans.items()
        }
        config = small_evaluation(
            tmp_path,
            task=TaskConfig(name="arrhythmia", drop_rare=1),
            data=small_data(tmp_path, **splits),
            pretrained=str(write_backbone(tmp_path / "backbone")),
            seeds=[0],
            robustness=RobustnessConfig(rows=["probe"], noise=[], leads=[], sampling_rates_hz=[250.0]),
        )
        results = evaluate(config)
        assert sum(results["data"]["train"]["unknown"].values()) > 0
        assert list(results["rows"]) == ["majority", "random_probe", "handcrafted", "resnet", "probe"]
        for row in results["rows"].values():
            assert row["figures"]["macro_auroc"]["estimate"] > 0
        chosen = results["rows"]["probe"]["notes"]["inverse_regularisation"][0]
        assert len(chosen) == len(results["task"]["classes"])


class TestModels:
    def test_an_adapter_is_a_checkpoint_too(self, tmp_path):
        pytest.importorskip("peft")
        backbone = write_backbone(tmp_path / "backbone")
        labels = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: place for place, name in enumerate(CLASSES)}}
        model = AnyECGForSequenceClassification.from_pretrained(
            backbone, problem_type="multi_label_classification", **labels
        )
        adapted = adapt(model, AdaptationConfig(mode="lora", lora=LoraSettings(r=2)))
        save_adapted(adapted, tmp_path / "adapter")
        write_tokenizer(tmp_path / "adapter")
        config = small_evaluation(tmp_path, checkpoint=str(tmp_path / "adapter"))
        models = load_models(config, torch.device("cpu"))
        inputs = padded_batch()
        with torch.no_grad():
            expected = adapted.eval()(**inputs).logits
            assert torch.equal(models.classifiers[0](**inputs).logits, expected)
        assert checkpoint_classes(models, label_task(config.task)) == list(CLASSES)

    def test_that_clean_records_differently_are_refused(self, tmp_path):
        first, second = (write_classifier(tmp_path / name) for name in ("first", "second"))
        tokenizer = AnyECGTokenizer.from_pretrained(second)
        tokenizer.notch_hz = 60.0
        tokenizer.save_pretrained(second)
        config = small_evaluation(tmp_path, checkpoint=[str(first), str(second)])
        with pytest.raises(ValueError, match=r"second clean records differently: \{'notch_hz': \(50\.0, 60\.0\)\}"):
            load_models(config, torch.device("cpu"))


class TestRefusals:
    def test_of_leaks(self, tmp_path):
        rows = [written_row(number) for number in range(24, 36)]
        shared = [write_split(tmp_path, "held_out", [*rows, written_row(50, patient_id="p3")])]
        config = small_evaluation(tmp_path, data=small_data(tmp_path, held_out=shared, on_leak="drop"))
        with pytest.raises(LeakError, match="share the same patient"):
            evaluate(config)
        assert not (tmp_path / "results").exists()

    def test_of_a_checkpoint_of_another_task(self, tmp_path):
        other = write_classifier(tmp_path / "other", ("NORM", "MI"))
        with pytest.raises(ValueError, match=r"of another task than 'labels': .* over \['NORM', 'MI'\]"):
            evaluate(small_evaluation(tmp_path, checkpoint=str(other)))

    def test_of_a_checkpoint_without_a_head(self, tmp_path):
        backbone = write_backbone(tmp_path / "backbone")
        with pytest.raises(ValueError, match="no head that classifies windows"):
            evaluate(small_evaluation(tmp_path, checkpoint=str(backbone)))

    def test_of_windows_longer_than_a_model_was_trained_on(self, tmp_path):
        trained = write_classifier(tmp_path / "trained", trained_time_positions=4)
        with pytest.raises(ValueError, match=r"`data\.window_s` is 2, but a model was trained on windows of 1 s"):
            evaluate(small_evaluation(tmp_path, checkpoint=str(trained)))

    def test_of_seeds_with_other_classes(self, tmp_path):
        folders = [write_classifier(tmp_path / "one"), write_classifier(tmp_path / "two", CLASSES[::-1])]
        with pytest.raises(ValueError, match="two have other classes"):
            evaluate(small_evaluation(tmp_path, checkpoint=[str(folder) for folder in folders]))

    def test_of_nothing_to_evaluate(self, tmp_path):
        with pytest.raises(ValueError, match="name what to evaluate: `checkpoint`, `pretrained`, or both"):
            small_evaluation(tmp_path, checkpoint=None)
        config = small_evaluation(tmp_path, pretrained=str(write_backbone(tmp_path / "b")), rows=["finetuned"])
        with pytest.raises(ValueError, match="there is no row to compute: .*no `checkpoint` was named"):
            evaluate(config)


class TestConfigs:
    def test_a_checkpoint_is_one_or_several(self, tmp_path):
        assert small_evaluation(tmp_path, checkpoint="a").checkpoints == ["a"]
        assert small_evaluation(tmp_path, checkpoint=["a", "b"]).checkpoints == ["a", "b"]

    @pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
    def test_recipes_can_be_loaded_and_keep_the_folds_apart(self, path):
        config = load_config(EvaluationConfig, path)
        label_task(config.task)
        folds = {
            name: {fold for source in getattr(config.data, name) for fold in source.folds or ()}
            for name in ("train", "validation", "held_out")
        }
        assert folds == {"train": set(range(1, 8)), "validation": {8}, "held_out": {9}}
        assert config.bootstrap == BootstrapConfig() and config.output_dir.endswith(path.stem)

    def test_there_is_a_recipe_for_every_task(self):
        tasks = {load_config(EvaluationConfig, path).task.name for path in RECIPES}
        assert tasks == {"superclass", "subclass", "rhythm", "anomaly", "arrhythmia", "challenge"}
