# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The recipes of every size can be loaded, fit each other, and keep PTB-XL's folds apart."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch

from anyecg_hf import (
    AnyECGConfig,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
)
from anyecg_hf.corpora import CORPORA
from anyecg_hf.models.anyecg.configuration_anyecg import PRESETS
from anyecg_hf.training.adapters import adapt
from anyecg_hf.training.classification import classifier_settings
from anyecg_hf.training.config_files import load_config
from anyecg_hf.training.configs import (
    FinetuningConfig,
    PretrainingConfig,
    QuantizerTrainingConfig,
    SourceConfig,
    TrainingConfig,
)
from anyecg_hf.training.cost_estimates import TrainingSetup, estimate_memory
from anyecg_hf.training.label_tasks import label_task
from anyecg_hf.training.masking import check_masking
from anyecg_hf.training.model_configs import new_config, shared_with_tokenizer, tokenizer_for
from anyecg_hf.training.scaling import BatchShape
from anyecg_hf.training.sources import check_sources, window_patches
from anyecg_hf.training.windows import record_time_positions

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
STAGES = {
    "quantizer": QuantizerTrainingConfig,
    "pretraining": PretrainingConfig,
    "superclass": FinetuningConfig,
    "superclass_lora": FinetuningConfig,
}
FILES = sorted(RECIPES.glob("*/*.yaml"))
OF_A_SIZE = [path for path in FILES if path.stem in STAGES]
SIZES = ("tiny", "small", "base", "large", "xl")
# Parameters of the backbones; those of base, large and xl are the presets' and the paper's. tiny's may change with
# every retraining, between 1 and 3 million.
# Of the presets, which the paper's sizes are; the recipes add the embeddings of the recording scale.
BACKBONES = {"small": 14_506_368, "base": 253_814_016, "large": 494_258_432, "xl": 1_715_802_368}
# One quantizer serves the paper's three sizes.
QUANTIZER_OF = {"tiny": "tiny", "small": "small", "base": "base", "large": "base", "xl": "base"}
# What the comments of the recipes say: processes, and windows a step.
PROCESSES = {
    **{("base", stage): 8 for stage in ("quantizer", "pretraining")},
    **{("large", stage): 8 for stage in ("pretraining", "superclass")},
    **{("xl", "pretraining"): 32, ("xl", "superclass"): 8},
}
WINDOWS_A_STEP = {
    **{("small", stage): 128 for stage in STAGES},
    **{(size, "pretraining"): 1024 for size in ("base", "large", "xl")},
    **{(size, stage): 128 for size in ("base", "large", "xl") for stage in ("superclass", "superclass_lora")},
    ("base", "quantizer"): 512,
}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@cache
def load(path: Path) -> TrainingConfig:
    return load_config(STAGES[path.stem], path)


@dataclass(frozen=True)
class Chain:
    """The recipes of a size, and the models they describe, without memory."""

    size: str

    def config(self, stage: str) -> TrainingConfig:
        owner = QUANTIZER_OF[self.size] if stage == "quantizer" else self.size
        return load(RECIPES / owner / f"{stage}.yaml")

    @property
    def quantizer_config(self) -> AnyECGQuantizerConfig:
        return new_config(AnyECGQuantizerConfig, self.config("quantizer").model)

    @property
    def backbone_config(self) -> AnyECGConfig:
        """As stage 2 makes it."""
        stage_1 = self.quantizer_config
        fixed = {
            **shared_with_tokenizer(tokenizer_for(stage_1, self.config("quantizer").tokenizer)),
            "codebook_size": stage_1.codebook_size,
            "num_quantizers": stage_1.num_quantizers,
        }
        return new_config(AnyECGConfig, self.config("pretraining").model, fixed)

    @property
    def backbone(self) -> AnyECGForMaskedCodeModeling:
        with torch.device("meta"):
            return AnyECGForMaskedCodeModeling(self.backbone_config)

    def classifier(self, stage: str) -> AnyECGForSequenceClassification:
        config = self.config(stage)
        settings = {**self.backbone_config.to_dict(), **config.model, **classifier_settings(label_task(config.task))}
        with torch.device("meta"):
            return AnyECGForSequenceClassification(AnyECGConfig(**settings))


def as_list(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def count(model: torch.nn.Module, only_trained: bool = False) -> int:
    return sum(item.numel() for item in model.parameters() if item.requires_grad or not only_trained)


def test_every_size_has_its_recipes():
    found = {name_of(path) for path in OF_A_SIZE}
    with_own_quantizer = {f"{size}/quantizer" for size in set(QUANTIZER_OF.values())}
    further = {f"{size}/{stage}" for size in SIZES for stage in ("pretraining", "superclass")}
    with_adapters = {f"{size}/superclass_lora" for size in SIZES if size != "tiny"}
    assert found == with_own_quantizer | further | with_adapters


def test_the_backbone_of_tiny_is_tiny():
    assert 1e6 < count(Chain("tiny").backbone.anyecg) < 3e6


@pytest.mark.parametrize("size", BACKBONES)
def test_the_backbone_has_the_parameters_of_its_size(size):
    backbone = Chain(size).backbone.anyecg
    scale_table = 15 * backbone.config.hidden_size
    assert count(backbone) == BACKBONES[size] + scale_table
    if size in ("base", "large", "xl"):
        with torch.device("meta"):
            preset = AnyECGForMaskedCodeModeling(AnyECGConfig.from_preset(size))
        assert count(backbone) == count(preset.anyecg) + scale_table


@pytest.mark.parametrize("size", sorted(set(QUANTIZER_OF.values())))
def test_the_quantizer_can_be_built(size):
    with torch.device("meta"):
        assert 1e5 < count(AnyECGRhythmQuantizer(Chain(size).quantizer_config)) < 2e7


@pytest.mark.parametrize("size", SIZES)
def test_stage_1_and_2_agree_on_patches_codes_and_leads(size):
    chain = Chain(size)
    stage_1, stage_2 = chain.quantizer_config, chain.backbone_config
    for name in ("patch_size", "sampling_rate", "lead_names", "codebook_size", "num_quantizers"):
        assert as_list(getattr(stage_1, name)) == as_list(getattr(stage_2, name)), name
    assert chain.config("quantizer").data.window_s == chain.config("pretraining").data.window_s


@pytest.mark.parametrize("size", SIZES)
def test_every_stage_starts_from_what_the_one_before_leaves(size):
    chain = Chain(size)
    assert chain.config("pretraining").tokenizer == f"{chain.config('quantizer').output_dir}/final"
    for path in (RECIPES / size).glob("superclass*.yaml"):
        assert load(path).checkpoint == f"{chain.config('pretraining').output_dir}/final"


def test_no_two_recipes_write_into_one_folder():
    folders = [load(path).output_dir for path in OF_A_SIZE]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize("path", OF_A_SIZE, ids=name_of)
def test_windows_are_whole_patches_and_fit_the_time_table(path):
    config, chain = load(path), Chain(path.parent.name)
    tokenizer = tokenizer_for(chain.quantizer_config, {})
    model_config = chain.quantizer_config if path.stem == "quantizer" else chain.backbone_config
    patches = window_patches(config.data, tokenizer)
    record_time_positions(model_config, patches)
    assert patches * tokenizer.patch_seconds == config.data.window_s == 10


def trains_on(source: SourceConfig) -> set[int]:
    """PTB-XL's folds that a source takes; the corpus's own splits are 1-8, 9 and 10."""
    if source.corpus != "ptb-xl":
        return set()
    splits = {"all": range(1, 11), "train": range(1, 9), "validation": [9], "test": [10]}
    folds = set(splits[source.split])
    return folds if source.folds is None else folds & set(source.folds)


def folds(sources: list[SourceConfig]) -> set[int]:
    return set().union(*map(trains_on, sources))


@pytest.mark.parametrize("path", OF_A_SIZE, ids=name_of)
def test_no_recipe_trains_on_what_is_evaluated(path):
    data = load(path).data
    train, selection, test = folds(data.train), folds(data.validation), folds(data.held_out)
    assert train and train <= set(range(1, 9))
    assert 10 not in selection
    assert train.isdisjoint(selection) and train.isdisjoint(test) and selection.isdisjoint(test)
    # Whatever else is read, copies of these in other corpora are kept out by the sources of the run.
    assert 9 in selection | test
    assert 10 in test or path.parent.name == "tiny"  # tiny's fold 10 has no signals to keep apart


@pytest.mark.parametrize("path", OF_A_SIZE, ids=name_of)
def test_sources_are_corpora_that_there_are(path):
    data = load(path).data
    check_sources(data)
    assert {source.corpus for source in [*data.train, *data.validation, *data.held_out]} <= set(CORPORA)


@pytest.mark.parametrize("size", SIZES)
def test_masking_is_possible(size):
    check_masking(Chain(size).config("pretraining").masking)


@pytest.mark.parametrize(("size", "stage"), list(WINDOWS_A_STEP), ids="/".join)
def test_steps_have_as_many_windows_as_the_comment_says(size, stage):
    path = RECIPES / size / f"{stage}.yaml"
    config, processes = load(path), PROCESSES.get((size, stage), 1)
    windows = config.data.batch_size * config.run.gradient_accumulation * processes
    comment = path.read_text().partition("output_dir:")[0]
    assert windows == WINDOWS_A_STEP[size, stage]
    assert processes == 1 or f"{windows} windows a step" in comment
    assert ("torchrun" in comment) == (processes > 1)
    assert "Never run" in comment


@pytest.mark.parametrize("path", [path for path in OF_A_SIZE if path.parent.name in ("large", "xl")], ids=name_of)
def test_the_large_sizes_compute_activations_again_and_are_sharded_where_there_are_several_processes(path):
    run = load(path).run
    has_several = PROCESSES.get((path.parent.name, path.stem), 1) > 1
    assert run.activation_checkpointing and run.precision == "bf16"
    assert run.sharding == ("fsdp2" if has_several else "none")


@pytest.mark.parametrize("size", ("base", "large", "xl"))
def test_pretraining_fits_on_gpus_of_80_gb_as_far_as_estimates_go(size):
    chain = Chain(size)
    config = chain.config("pretraining")
    setup = TrainingSetup(
        devices=PROCESSES[size, "pretraining"],
        sharding=config.run.sharding,
        activation_checkpointing=config.run.activation_checkpointing,
    )
    shape = BatchShape(records=config.data.batch_size, leads=12, patches=10)
    assert estimate_memory(chain.backbone_config, shape, setup).total < 72e9


@pytest.mark.parametrize("size", BACKBONES)
def test_adapters_train_a_small_part_of_the_model(size):
    chain = Chain(size)
    model = adapt(chain.classifier("superclass_lora"), chain.config("superclass_lora").adaptation)
    assert 0 < count(model, only_trained=True) < 0.02 * BACKBONES[size]


@pytest.mark.parametrize("size", SIZES)
def test_the_classifier_has_the_five_superclasses(size):
    model = Chain(size).classifier("superclass")
    assert list(model.config.id2label.values()) == ["NORM", "MI", "STTC", "CD", "HYP"]
    assert count(model.anyecg) == count(Chain(size).backbone.anyecg)


def test_the_sizes_are_the_presets():
    assert set(SIZES) == set(PRESETS)
