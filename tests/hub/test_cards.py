# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import copy
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from anyecg_hf.hub.cards import render_checkpoint_card

FACTS = Path(__file__).parents[2] / "model_cards" / "anyecg-tiny.yaml"


def interval(estimate: float) -> dict[str, float]:
    return {"estimate": estimate, "low": estimate - 0.0213, "high": estimate + 0.0217}


def stage(learning_rate: float, steps: int, **settings: Any) -> dict[str, Any]:
    """Provenance of a stage."""
    optimiser = {"beta_1": 0.9, "beta_2": 0.98, "weight_decay": 0.01, "max_gradient_norm": 1.0}
    optimiser |= {"learning_rate": learning_rate, "schedule": "cosine", "warmup_steps": 50}
    run = {"steps": steps, "gradient_accumulation": 2, "device": "cpu"}
    data = {"batch_size": 8, "lead_dropout": 0.2, "train": [source(1, 2, 3, 5)], "held_out": [source(9)]}
    data["validation"] = [source(8)] if "task" in settings else []
    return {
        "settings": {"optimiser": optimiser, "run": run, "data": data, **settings},
        "data": {"fingerprint": f"{steps:04d}456789abcdef0123456789abcdef", "dropped": {"a copy": 17}},
        "versions": {"torch": "2.13.0"},
    }


def source(*folds: int) -> dict[str, Any]:
    """Settings of a source of records."""
    return {"corpus": "ptb-xl", "folds": list(folds)}


def row(title: str, auroc: float, seeds: int = 1) -> dict[str, Any]:
    """A row of the table."""
    return {"title": title, "seeds": seeds, "macro_auroc": interval(auroc)}


RESULTS: dict[str, Any] = {
    "quantizer": {
        "records": 141,
        "codebook_size": 512,
        "codes_in_use": 0.987,
        "perplexity": 301.4,
        "code_lead_information_bits": 0.63,
        "correlation_median": 0.911,
        "correlation_low": 0.822,
        "correlation_high": 0.944,
        "snr_db": 7.654,
    },
    "masked_codes": [
        {
            "strategy": strategy,
            "ratio": ratio,
            "cross_entropy": 3.0123,
            "unigram_cross_entropy": 5.0456,
            "accuracy": 0.2109,
            "copy_previous_accuracy": 0.0321,
            "copy_nearest_accuracy": 0.0501,
            "copy_neighbour_accuracy": 0.1002,
        }
        for strategy, ratio in (("random", 0.5), ("whole_time", 0.4))
    ],
    "superclasses": {
        "records": 141,
        "positives": {"NORM": 60, "MI": 40},
        "without_any_class": {"train": 21, "validation": 4, "test": 3},
        "rows": {
            "handcrafted": row("hand-crafted features", 0.8012),
            "random_probe": row("linear probe, random backbone", 0.7543, seeds=3),
            "probe": row("linear probe, pre-trained backbone", 0.8321),
            "finetuned": row("fine-tuned", 0.8765),
        },
        "less": {
            "finetuned": {
                "handcrafted": interval(0.0753),
                "random_probe": interval(0.1222),
                "probe": interval(0.0444),
            },
            "probe": {
                "handcrafted": interval(0.0309),
                "random_probe": interval(0.0778),
                "finetuned": interval(-0.0444),
            },
        },
        "macro_f1": interval(0.7003),
        "auroc_by_class": {"NORM": 0.901, "MI": 0.852},
    },
    "lead_reconstruction": {
        "windows": 139,
        "patients": 138,
        "rows": {"least_squares": "least squares", "linear": "linear part", "trained": "ours"},
        "parts": [
            {
                "title": "(b) one chest lead missing",
                "rows": {
                    "least_squares": {
                        "psnr_db": interval(26.1234),
                        "pearson_r": interval(0.8511),
                        "less": interval(1.1111),
                    },
                    "trained": {"psnr_db": interval(27.2345), "pearson_r": interval(0.8822)},
                },
            }
        ],
    },
    "training_records_by_corpus": {"ptb-xl": 651, "georgia": 22, "code-15": 16, "ludb": 150},
    "architecture": {
        "patch_size": 75,
        "patch_seconds": 0.25,
        "sampling_rate": 300,
        "window_patches": 48,
        "window_seconds": 12.0,
        "backbone_layers": 5,
        "quantizer_encoder_layers": 3,
        "quantizer_decoder_layers": 2,
        "loss_weights": {"morphology": 1.0, "frequency": 0.3},
    },
    "parameters": {"backbone": 2345678, "quantizer_without_codebook": 1234567, "codebook": 16384},
    "stored_bytes": 8_765_432,
    "provenance": {
        "quantizer": stage(1e-3, 1501),
        "pretraining": stage(
            1e-3,
            2002,
            masking=[
                {"strategy": "random", "ratio": 0.5, "weight": 0.5},
                {"strategy": "whole_time", "ratio": 0.4, "weight": 0.35},
            ],
        ),
        "lead_reconstruction": stage(2e-3, 3003, task={"name": "lead-reconstruction"}),
        "superclass": stage(
            3e-4,
            504,
            task={"name": "superclass"},
            masking=[{"strategy": "random", "ratio": 0.5, "weight": 1.0}],
            code_weight=0.1,
        ),
    },
}
RESULTS["provenance"]["quantizer"]["settings"]["run"]["seed"] = 5
RESULTS["provenance"]["superclass"]["training_s"] = 612.0
RESULTS["provenance"]["lead_reconstruction"]["versions"] |= {"anyecg_hf": "0.1.0", "transformers": "5.23.0"}


@pytest.fixture(scope="module")
def card() -> str:
    return render_checkpoint_card(FACTS, RESULTS)


class TestMetadata:
    def test_it_names_licence_library_and_task(self, card):
        data = ModelCard(card).data
        assert (data.license, data.library_name) == ("apache-2.0", "anyecg_hf")
        assert data.pipeline_tag == "audio-classification"
        assert {"ecg", "anyecg"} <= set(data.tags)

    def test_it_holds_every_result_with_data_set_and_split(self, card):
        found = [
            (result.dataset_config, result.metric_type, result.metric_value)
            for result in ModelCard(card).data.eval_results
        ]
        assert found == [
            ("superclass", "roc_auc", 0.8765),
            ("superclass", "f1", 0.7003),
            ("lead-reconstruction, (b) one chest lead missing", "psnr", 27.23),
            ("lead-reconstruction, (b) one chest lead missing", "pearsonr", 0.8822),
            ("masked codes, random 50 %", "accuracy", 0.2109),
            ("masked codes, whole time 40 %", "accuracy", 0.2109),
            ("rhythm codes, reconstruction", "pearsonr", 0.911),
        ]
        first = ModelCard(card).data.eval_results[0]
        assert first.metric_name == "macro AUROC (95 % interval 0.855 to 0.898)"
        assert (first.dataset_type, first.dataset_split) == ("ptb-xl", "fold 9")


class TestText:
    @pytest.mark.parametrize(
        "line",
        [
            "| backbone parameters | 2,345,678 |",
            "| fine-tuning: lead-reconstruction | at most 3003 | AdamW, beta 0.9 and 0.98, weight decay 0.01,"
            " clipped at 1.0 | 0.002 | cosine, 50 warm-up steps | 16 | 0.2 |",
            "### Missing and noised leads: PTB-XL, fold 9 (139 windows of 138 patients)",
            "| (b) one chest lead missing | least squares | 26.12 [26.10, 26.15] | 0.851 [0.830, 0.873]"
            " | +1.11 [+1.09, +1.13] |",
            "| (b) one chest lead missing | ours | 27.23 [27.21, 27.26] | 0.882 [0.861, 0.904] |  |",
            "| quantizer parameters | 1,234,567 without the codebook, which adds 16,384 values |",
            "| layers | 5 (backbone), 3 (quantizer's encoder), 2 (its decoder) |",
            "| codebook | 512 codes, patches of 0.25 s (75 samples at 300 Hz) |",
            "| trained window | 12 s (48 patches) |",
            "| quantizer | 1501 | AdamW, beta 0.9 and 0.98, weight decay 0.01, clipped at 1.0 | 0.001 |"
            " cosine, 50 warm-up steps | 16 | 0.2 |",
            "Loss weights of the quantizer: morphology 1.0, frequency 0.3.",
            "Hidden for masked codes: random 50 % (weight 0.5), whole time 40 % (weight 0.35).",
            "Masked codes beside fine-tuning: superclass, with the loss weight 0.1: random 50 % (weight 1.0).",
            "Records without any of the classes are kept, as negatives of all: 21 in training, 4 in validation, 3"
            " in the test.",
            "### Diagnostic superclasses (`superclass`): PTB-XL, fold 9 (141 records)",
            "## Rhythm codes, on 141 records of PTB-XL fold 9",
            "| quantizer | ptb-xl folds 1-3, 5 | - | ptb-xl fold 9 | 17 (a copy) | `1501456789abcdef` |",
            "| fine-tuning: superclass | ptb-xl folds 1-3, 5 | ptb-xl fold 8 | ptb-xl fold 9 | 17 (a copy)"
            " | `0504456789abcdef` |",
            "| quantizer | not recorded | CPU |",
            "| fine-tuning: superclass | 10.2 min | CPU |",
            "Energy and emissions: not measured. Training time without validation and preparation, as far as it was"
            " recorded:",
            "| size of the folder | 8.8 MB |",
            "| seed | 5 |",
            "| PTB-XL, a large publicly available electrocardiography dataset | 651 | CC-BY-4.0 | Wagner et al.,"
            " PTB-XL, a large publicly available electrocardiography dataset, Scientific Data 7 (2020) 154 |",
            "| codes in use | 98.7 % of 512 |",
            "| perplexity | 301 |",
            "| reconstruction, Pearson r of a lead | median 0.911, quartiles 0.822 to 0.944 |",
            "| reconstruction, signal to error | 7.65 dB |",
            "| random, 50 % | 3.012 | 5.046 | 0.211 | 0.032 | 0.050 | 0.100 |",
            "| whole time, 40 % | 3.012 | 5.046 | 0.211 | 0.032 | 0.050 | 0.100 |",
            "| fine-tuned | 0.876 [0.855, 0.898] |  | -0.044 [-0.066, -0.023] |",
            "| hand-crafted features | 0.801 [0.780, 0.823] | +0.075 [+0.054, +0.097] | +0.031 [+0.010, +0.053] |",
            "| linear probe, random backbone, 3 seeds | 0.754 [0.733, 0.776] | +0.122 [+0.101, +0.144] |"
            " +0.078 [+0.056, +0.099] |",
        ],
    )
    def test_every_number_is_in_its_place(self, card, line):
        assert line in card.splitlines()

    def test_classes_are_listed_with_their_records(self, card):
        assert "Fine-tuned, AUROC by class: NORM 0.901 (60 records), MI 0.852 (40 records)." in card
        assert "Macro F1 at the thresholds chosen on validation records: 0.700 [0.679, 0.722]." in card

    def test_every_source_is_named_with_its_own_citation(self, card):
        rows = [line for line in card.splitlines() if "| 22 |" in line or "| 16 |" in line]
        assert any("Perez Alday et al." in line for line in rows) and any("Ribeiro et al." in line for line in rows)

    def test_it_says_how_fold_9_was_used(self, card):
        said = " ".join(card.split())
        assert "Fold 9 was read during training to keep its copies out, and scored by the evaluation" in said

    def test_corpora_that_were_not_used_are_not_named(self, card):
        assert "MIT-BIH" not in card

    def test_tables_are_whole(self, card):
        """No blank line inside, and as many cells in every row as in the head."""
        blocks = [block.strip().splitlines() for block in card.split("\n\n") if block.strip().startswith("|")]
        assert len(blocks) == 9
        for rows in blocks:
            assert all(row.startswith("|") and row.count("|") == rows[0].count("|") for row in rows)
            assert set(rows[1]) == {"|", "-", " "}

    def test_it_says_what_it_is_not(self, card):
        assert "**Research software, not a medical device.**" in card
        assert "trained on 839 records" in card
        assert "*anyECG-chat* (arXiv 2506.00942)" in card and "the AnyECG of arXiv 2601.10748" in card

    def test_nothing_of_the_template_is_left(self, card):
        assert "{{" not in card and "{%" not in card and "None" not in card and "nan" not in card.split()


def paths_of(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """Path of every number and word in nested results."""
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    if not isinstance(tree, (dict, list)):
        yield path
    for key, branch in branches:
        yield from paths_of(branch, (*path, key))


def changed(path: tuple, change) -> dict[str, Any]:
    """The results with `change(parent, key)` applied to one place."""
    results = copy.deepcopy(RESULTS)
    parent = results
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return results


PLACES = list(paths_of(RESULTS))
# The card lists what is there.
LEFT_OUT = {"auroc_by_class", "training_records_by_corpus", "loss_weights", "dropped", "folds", "training_s"}
NEEDED = [path for path in PLACES if not LEFT_OUT & set(path)]


class TestMissingNumbers:
    @pytest.mark.parametrize("path", NEEDED, ids=lambda path: ".".join(map(str, path)))
    def test_a_missing_number_is_an_error_that_names_it(self, path):
        lacking = rf"the card states what anyecg-tiny.yaml or the results lack: .*{path[-1]}"
        with pytest.raises(ValueError, match=lacking):
            render_checkpoint_card(FACTS, changed(path, lambda parent, key: parent.pop(key)))

    @pytest.mark.parametrize("nothing", [None, float("nan"), float("inf")])
    def test_what_is_no_number_is_an_error_that_names_it(self, nothing):
        for path in PLACES:
            results = changed(path, lambda parent, key: operator.setitem(parent, key, nothing))
            place = ".".join(map(str, ("results", *path)))
            with pytest.raises(ValueError, match=rf"the card cannot state {place}: expected a number, found {nothing}"):
                render_checkpoint_card(FACTS, results)

    def test_a_missing_part_is_an_error(self):
        for part in RESULTS:
            with pytest.raises(ValueError, match=part):
                render_checkpoint_card(FACTS, changed((part,), lambda parent, key: parent.pop(key)))

    def test_a_corpus_without_a_known_licence_is_an_error(self):
        results = changed(("training_records_by_corpus", "ahadb"), lambda parent, key: parent.update({key: 1}))
        with pytest.raises(
            ValueError, match="training records are of corpora without a licence to train with .*: ahadb"
        ):
            render_checkpoint_card(FACTS, results)
