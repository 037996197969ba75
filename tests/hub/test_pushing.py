# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What arrives on the Hub, by the real client on a Hub of this machine."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from tests.hub.conftest import CARD
from tests.hub.hub_state import LocalHub
from tests.models.tiny import tiny_config

from anyecg_hf import AnyECGForSequenceClassification, AnyECGModel, AnyECGRhythmQuantizer, AnyECGTokenizer
from anyecg_hf.hub import push_to_hub
from anyecg_hf.hub.remote_code import code_files
from anyecg_hf.training.adapters import AdaptationConfig, LoraSettings, adapt, load_adapted

REPO = "org/anyecg-small"
STATED = {"licence": "cc-by-4.0", "training_data": "Random numbers."}
CODE = {path.name for path in code_files()}


def without_code(files: dict[str, bytes]) -> set[str]:
    return set(files) - CODE


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestCheckpoint:
    def test_a_folder_arrives_whole_in_one_commit_with_its_code(self, local_hub, shared):
        (shared / ".secret").write_text("mine")
        before = contents(shared)
        pushed = push_to_hub(shared, REPO, commit_message="First")
        found = local_hub.files(REPO)
        expected = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", "provenance.json"}
        assert without_code(found) == expected | {"quantizer/config.json", "quantizer/model.safetensors"}
        assert CODE <= set(found) and local_hub.titles(REPO) == ["First"]
        assert found["model.safetensors"] == before["model.safetensors"]
        head = local_hub.repositories["model", REPO].at("main")
        assert head.files["model.safetensors"].is_lfs and not head.files["README.md"].is_lfs
        assert pushed.commit == head.oid and pushed.commit_url.endswith(f"/{REPO}/commit/{head.oid}")
        assert {file.path: file.n_bytes for file in pushed.files} == {path: len(data) for path, data in found.items()}
        assert pushed.n_bytes == sum(map(len, found.values()))
        assert "auto_map" in json.loads(found["config.json"]) and contents(shared) == before

    def test_a_model_and_its_tokenizer_arrive_with_a_rendered_card(self, local_hub, checkpoint):
        model = AnyECGForSequenceClassification.from_pretrained(checkpoint)
        model.push_to_hub(REPO, tokenizer=AnyECGTokenizer.from_pretrained(checkpoint), **STATED)
        found = local_hub.files(REPO)
        assert {"config.json", "model.safetensors", "quantizer/model.safetensors", "README.md"} <= set(found)
        card = ModelCard(found["README.md"].decode())
        assert card.data.license == "cc-by-4.0" and card.data.library_name == "anyecg_hf"
        assert f"# {REPO}\n" in card.text and "AnyECGForSequenceClassification" in card.text
        assert "not a medical device" in card.text and "## Training data\n\nRandom numbers." in card.text
        assert "| backbone parameters |" in card.text and "## Training\n\nNot recorded." in card.text
        assert len(local_hub.titles(REPO)) == 1

    @pytest.mark.parametrize("form", ["text", "card", "file"])
    def test_a_card_of_ones_own_goes_along(self, local_hub, checkpoint, tmp_path, form):
        (tmp_path / "CARD.md").write_text(CARD)
        card = {"text": CARD, "card": ModelCard(CARD), "file": tmp_path / "CARD.md"}[form]
        push_to_hub(checkpoint, REPO, card=card, remote_code=False)
        assert local_hub.files(REPO)["README.md"].decode() == str(card if form == "card" else CARD)
        assert not CODE & set(local_hub.files(REPO))

    def test_a_tokenizer_alone_arrives_with_its_quantizer(self, local_hub, checkpoint):
        AnyECGTokenizer.from_pretrained(checkpoint).push_to_hub(REPO, **STATED)
        expected = {"README.md", "preprocessor_config.json", "quantizer/config.json", "quantizer/model.safetensors"}
        assert without_code(local_hub.files(REPO)) == expected
        assert "AutoFeatureExtractor" in json.loads(local_hub.files(REPO)["preprocessor_config.json"])["auto_map"]

    def test_a_quantizer_alone_arrives(self, local_hub, checkpoint):
        AnyECGRhythmQuantizer.from_pretrained(checkpoint, subfolder="quantizer").push_to_hub(REPO, **STATED)
        assert without_code(local_hub.files(REPO)) == {"README.md", "config.json", "model.safetensors"}

    def test_what_transformers_pushes_after_saving_is_checked_too(self, local_hub, checkpoint, tmp_path):
        model = AnyECGModel.from_pretrained(checkpoint)
        options = {"push_to_hub": True, "repo_id": REPO, "commit_message": "Saved"}
        with pytest.raises(ValueError, match="expected a card .*, found no `licence` and no `training_data`"):
            model.save_pretrained(tmp_path / "saved", **options)
        assert local_hub.titles(REPO) == []
        with pytest.raises(ValueError, match="expected a push without further wishes, found `create_pr`"):
            model.save_pretrained(tmp_path / "saved", create_pr=True, **options)
        local_hub.add(REPO, {"README.md": CARD.encode()})  # transformers keeps the card that is there
        model.save_pretrained(tmp_path / "saved", **options)
        assert local_hub.titles(REPO) == ["by hand", "Saved"] and "entry_anyecg.py" in local_hub.files(REPO)

    def test_a_tokenizer_that_transformers_pushes_after_saving_too(self, local_hub, checkpoint, tmp_path):
        local_hub.add(REPO, {"README.md": CARD.encode()})
        tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
        (tmp_path / "saved").mkdir()
        (tmp_path / "saved" / "README.md").write_text(CARD)
        tokenizer.save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id=REPO)
        expected = {"README.md", "preprocessor_config.json", "quantizer/config.json", "quantizer/model.safetensors"}
        assert without_code(local_hub.files(REPO)) == expected

    def test_what_an_earlier_push_left_is_removed_and_the_rest_stays(self, local_hub, shared, checkpoint):
        stale = {"adapter_config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"}
        kept = {"LICENSE", "figures/codes.png", "other/config.json", "other/model.safetensors"}
        local_hub.add(REPO, {path: b"{}" for path in stale | kept})
        push_to_hub(shared, REPO)
        assert kept <= set(local_hub.files(REPO)) and not stale & set(local_hub.files(REPO))
        assert len(local_hub.titles(REPO)) == 2

    def test_a_tokenizer_that_is_there_stays_and_so_does_a_model(self, local_hub, checkpoint):
        model, tokenizer = AnyECGModel.from_pretrained(checkpoint), AnyECGTokenizer.from_pretrained(checkpoint)
        model.push_to_hub(REPO, card=CARD)
        tokenizer.push_to_hub(REPO, card=CARD)
        both = set(local_hub.files(REPO))
        assert {"config.json", "model.safetensors", "preprocessor_config.json", "quantizer/model.safetensors"} <= both
        model.push_to_hub(REPO, card=CARD, remote_code=False)
        assert set(local_hub.files(REPO)) == both
        push_to_hub(model, REPO, tokenizer, card=CARD, remote_code=False)
        assert set(local_hub.files(REPO)) == both - CODE

    def test_they_stay_only_if_they_fit(self, local_hub, checkpoint):
        AnyECGTokenizer.from_pretrained(checkpoint).push_to_hub(REPO, card=CARD)
        before = local_hub.files(REPO)
        with pytest.raises(
            ValueError, match=r"anyecg-small: expected `patch_size` of the model and its tokenizer to agree"
        ):
            AnyECGModel(tiny_config(patch_size=60)).push_to_hub(REPO, card=CARD)
        size = AnyECGModel.from_pretrained(checkpoint).config.patch_size
        with pytest.raises(
            ValueError, match="expected `codebook_size` of the model and its quantizer to agree, found 99"
        ):
            AnyECGModel(tiny_config(patch_size=size, codebook_size=99)).push_to_hub(REPO, card=CARD)
        assert local_hub.files(REPO) == before

    def test_a_second_push_of_the_same_makes_no_commit_and_sends_nothing(self, local_hub, shared):
        first = push_to_hub(shared, REPO)
        local_hub.asked.clear()
        assert push_to_hub(shared, REPO).commit == first.commit
        assert len(local_hub.titles(REPO)) == 1 and local_hub.requests("PUT", "/lfs/") == []


class TestOptions:
    def test_a_dry_run_lists_files_and_sizes_and_asks_nobody(self, local_hub, shared):
        planned = push_to_hub(shared, REPO, dry_run=True)
        assert local_hub.asked == [] and planned.commit is None and planned.commit_url is None
        pushed = push_to_hub(shared, REPO)
        assert planned.files == pushed.files and planned.files[0].path == "README.md"

    def test_a_dry_run_checks(self, local_hub, shared):
        (shared / "README.md").unlink()
        with pytest.raises(ValueError, match="expected a card"):
            push_to_hub(shared, REPO, dry_run=True)
        with pytest.raises(ValueError, match="such as org/name"):
            push_to_hub(shared, "not/a/name", dry_run=True, **STATED)

    def test_a_revision_is_a_branch_of_its_own(self, local_hub, shared):
        pushed = push_to_hub(shared, REPO, revision="v2")
        assert local_hub.files(REPO) == {} and "config.json" in local_hub.files(REPO, "v2")
        assert pushed.revision == "v2" and pushed.commit == local_hub.repositories["model", REPO].at("v2").oid
        (shared / "README.md").write_text(CARD + "\nMore.\n")
        push_to_hub(shared, REPO, revision="v2", commit_message="Second")
        assert local_hub.titles(REPO, "v2")[-1] == "Second" and local_hub.titles(REPO) == []

    def test_private_is_made_private_and_never_uses_what_is_public(self, local_hub, shared):
        push_to_hub(shared, REPO, private=True)
        assert local_hub.repositories["model", REPO].is_private
        local_hub.create("org/public")
        with pytest.raises(ValueError, match="org/public: expected a private repository, found a public one"):
            push_to_hub(shared, "org/public", private=True)
        assert local_hub.files("org/public") == {}


class TestAdapter:
    @pytest.fixture
    def adapter(self, checkpoint: Path):
        model = AnyECGForSequenceClassification.from_pretrained(checkpoint)
        return adapt(model, AdaptationConfig(mode="lora", lora=LoraSettings(r=2)))

    def test_an_adapter_arrives_with_the_config_of_its_model_and_loads_again(self, local_hub, adapter, tmp_path):
        push_to_hub(adapter, REPO, base_model="org/base", **STATED)
        found = local_hub.files(REPO)
        expected = {"README.md", "adapter_config.json", "adapter_model.safetensors", "model_config.json"}
        assert set(found) == expected and len(local_hub.titles(REPO)) == 1
        assert json.loads(found["adapter_config.json"])["base_model_name_or_path"] == "org/base"
        card = ModelCard(found["README.md"].decode())
        assert card.data.base_model == "org/base" and "adapter of AnyECGForSequenceClassification" in card.text
        assert "| rank, alpha, dropout | 2, " in card.text and "| base model | `org/base` |" in card.text

    def test_a_folder_of_this_machine_is_no_base_for_others(self, local_hub, adapter):
        with pytest.raises(ValueError, match="by its name on the Hub, found a folder of this machine"):
            push_to_hub(adapter, REPO, **STATED)
        assert local_hub.asked == []

    def test_a_model_is_no_adapter(self, shared):
        with pytest.raises(ValueError, match="expected an adapter, because of `base_model`, found none"):
            push_to_hub(shared, REPO, base_model="org/base", dry_run=True)

    def test_a_pushed_adapter_loads_on_a_pushed_base(self, local_hub, adapter, shared):
        from anyecg_hf.hub import pull_from_hub

        push_to_hub(shared, "org/base")
        push_to_hub(adapter, REPO, base_model="org/base", **STATED)
        loaded = load_adapted(pull_from_hub(REPO).folder)
        weights = loaded.state_dict()
        assert all((weights[name] == value).all() for name, value in adapter.state_dict().items())


def test_weights_that_nobody_trained_are_refused_until_they_are(local_hub: LocalHub, checkpoint, tmp_path):
    import torch

    AnyECGModel(tiny_config()).save_pretrained(tmp_path / "backbone")
    model = AnyECGForSequenceClassification.from_pretrained(tmp_path / "backbone", num_labels=3)
    with pytest.raises(ValueError, match=r"2 that the checkpoint lacked and nobody trained since, such as 'classifier"):
        model.push_to_hub(REPO, **STATED)
    assert local_hub.asked == []
    with torch.no_grad():
        model.classifier.weight += 0.1
    model.push_to_hub(REPO, dry_run=True, **STATED)
