# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What never reaches the Hub; all of it is found before anyone is asked."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.hub.conftest import CARD
from tests.models.tiny import tiny_config, tiny_quantizer_config

from anyecg_hf import TINY, AnyECGForSequenceClassification, AnyECGModel, AnyECGRhythmQuantizer
from anyecg_hf.hub.card_checks import check_card
from anyecg_hf.hub.card_facts import CardFacts
from anyecg_hf.hub.hub_errors import HubError
from anyecg_hf.hub.pushing import push_to_hub
from anyecg_hf.hub.remote_code import add_remote_code
from anyecg_hf.training.adapters import AdaptationConfig, LoraSettings, adapt, save_adapted

STATED = {"licence": "cc-by-4.0", "training_data": "Random numbers."}
FACTS = CardFacts(name="org/name", summary="A small one.", **STATED)


def refused(folder: Path, told: str, **options) -> None:
    with pytest.raises(HubError, match=told):
        push_to_hub(folder, "org/name", dry_run=True, **options)


def edit_json(path: Path, **fields) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def edit_weights(path: Path, **changes: torch.Tensor | None) -> None:
    weights = {**load_file(path), **changes}
    save_file({name: value for name, value in weights.items() if value is not None}, path, {"format": "pt"})


class TestWeights:
    def test_missing_ones(self, shared):
        (name,) = [name for name in load_file(shared / "model.safetensors") if name.endswith("embeddings.mask_token")]
        edit_weights(shared / "model.safetensors", **{name: None})
        refused(
            shared, rf"expected all weights of \w+ and no others, found 1 missing, such as '{name}'\. Whoever loads"
        )

    def test_unexpected_ones(self, shared):
        edit_weights(shared / "model.safetensors", stranger=torch.zeros(2))
        refused(shared, "found 1 unexpected, such as 'stranger'")

    def test_those_of_another_size(self, shared):
        (name,) = [name for name in load_file(shared / "model.safetensors") if name.endswith("embeddings.mask_token")]
        edit_weights(shared / "model.safetensors", **{name: torch.zeros(1, 1, 5)})
        refused(shared, f"found 1 of another shape, such as '{name}'")

    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_those_that_are_not_finite(self, shared, value):
        path = shared / "quantizer" / "model.safetensors"
        name, weight = next((name, each) for name, each in load_file(path).items() if each.is_floating_point())
        weight.view(-1)[-1] = value
        edit_weights(path, **{name: weight})
        refused(shared, rf"shared/quantizer/model.safetensors: expected finite weights, found NaN or .* in '{name}'")

    def test_those_of_the_quantizer(self, shared):
        edit_weights(shared / "quantizer" / "model.safetensors", stranger=torch.zeros(2))
        refused(shared, "shared/quantizer: expected all weights of AnyECGRhythmQuantizer and no others, found 1 unexp")

    def test_none_at_all(self, shared):
        (shared / "model.safetensors").unlink()
        refused(shared, "expected weights in model.safetensors, found no such file")

    def test_a_broken_file(self, shared):
        path = shared / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        refused(shared, "model.safetensors: expected whole safetensors, found a broken file .*Save or fetch it again")

    def test_shards_are_all_there_or_refused(self, tmp_path, shared):
        AnyECGForSequenceClassification.from_pretrained(shared).save_pretrained(tmp_path / "two", max_shard_size="20KB")
        assert len(list((tmp_path / "two").glob("*.safetensors"))) > 1
        push_to_hub(tmp_path / "two", "org/name", dry_run=True, **STATED)
        shard = sorted((tmp_path / "two").glob("*.safetensors"))[0]
        shutil.copyfile(shared / "model.safetensors", tmp_path / "two" / "model.safetensors")
        refused(
            tmp_path / "two", "expected either model.safetensors or model.safetensors.index.json, found both", **STATED
        )
        (tmp_path / "two" / "model.safetensors").unlink()
        shard.unlink()
        refused(tmp_path / "two", f"expected weights in {shard.name}, found no such file", **STATED)

    @pytest.mark.parametrize("name", ["backup.safetensors", "old/model.safetensors", "quantizer/x.safetensors"])
    def test_those_that_nobody_would_load(self, shared, name):
        (shared / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(shared / "model.safetensors", shared / name)
        refused(shared, f"expected the weights of one model and no others, found '{name}'. Move them elsewhere")

    def test_a_model_beside_an_adapter(self, tmp_path, shared):
        model = AnyECGForSequenceClassification.from_pretrained(shared)
        save_adapted(adapt(model, AdaptationConfig(mode="lora", lora=LoraSettings(r=2))), shared)
        (shared / "README.md").write_text(CARD)
        refused(shared, "expected the weights of an adapter and no others, found 'model.saf", base_model="org/base")

    def test_an_index_that_leads_elsewhere(self, shared):
        (shared / "model.safetensors").unlink()
        (shared / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
        refused(shared, r"found '\.\./a\.safetensors'")

    def test_an_adapters(self, tmp_path, checkpoint):
        model = AnyECGForSequenceClassification.from_pretrained(checkpoint)
        save_adapted(adapt(model, AdaptationConfig(mode="lora", lora=LoraSettings(r=2))), tmp_path / "adapter")
        push_to_hub(tmp_path / "adapter", "org/name", base_model="org/base", dry_run=True, **STATED)
        edit_weights(tmp_path / "adapter" / "adapter_model.safetensors", stranger=torch.zeros(2))
        refused(
            tmp_path / "adapter", "the adapter of AnyECGForSeq.* found 1 unexpected", base_model="org/base", **STATED
        )


class TestPickles:
    @pytest.mark.parametrize("name", ["pytorch_model.bin", "training_args.bin", "quantizer/optimizer.PT", "a/b/x.pkl"])
    def test_by_name(self, shared, name):
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        (shared / name).write_bytes(b"")
        refused(shared, rf"expected weights as safetensors only, found '{name}'\. Only safetensors: a pickle runs what")

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_by_content(self, shared, protocol):
        (shared / "notes.txt").write_bytes(pickle.dumps({"a": 1}, protocol))
        refused(shared, "found a pickle in 'notes.txt'")

    @pytest.mark.parametrize("protocol", range(6))
    def test_by_what_it_calls_however_it_begins(self, shared, protocol):
        class Bomb:
            def __reduce__(self):
                return print, ("went off",)

        content = pickle.dumps(Bomb(), protocol)
        (shared / "notes.txt").write_bytes(content[2:] if protocol >= 2 else content)  # without its version
        refused(shared, "found a pickle in 'notes.txt'")

    @pytest.mark.parametrize("text", ["", "No. 1", "0.5,1.5", "I,II,III\n1,2,3\n", "code\nname\n0.5", "N.", "\x89PNG"])
    def test_text_is_no_pickle(self, shared, text):
        (shared / "notes.txt").write_text(text)
        push_to_hub(shared, "org/name", dry_run=True)

    def test_that_torch_wrote(self, shared):
        torch.save({"a": torch.zeros(2)}, shared / "quantizer" / "model.safetensors")
        refused(shared, "found a pickle in 'quantizer/model.safetensors'")
        torch.save({"a": torch.zeros(2)}, shared / "notes.txt")
        refused(shared, "found a pickle in '(notes.txt|quantizer/model.safetensors)'")

    def test_what_else_is_no_part_of_a_checkpoint(self, shared):
        (shared / "record.dat").write_bytes(b"")
        refused(shared, r"expected files of a checkpoint \(.safetensors, .* found 'record.dat'\. Move it elsewhere")
        (shared / "record.dat").rename(shared / "setup.py")
        refused(shared, "found 'setup.py'")


class TestConfigs:
    def test_of_another_model(self, shared):
        edit_json(shared / "config.json", model_type="bert")
        refused(shared, "config.json: expected `model_type` anyecg or anyecg_quantizer, found 'bert'")

    def test_without_an_architecture(self, shared):
        edit_json(shared / "config.json", architectures=["BertModel"])
        refused(shared, r"expected `architectures` with one of .*AnyECGModel.*, found \['BertModel'\]")

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"a": NaN'])
    def test_that_cannot_be_read(self, shared, text):
        (shared / "config.json").write_text(text)
        refused(shared, "config.json: expected (JSON|a JSON object), found")

    def test_that_is_not_there(self, shared):
        (shared / "config.json").unlink()
        refused(shared, "expected a checkpoint with config.json, found no such file")

    def test_of_more_layers_than_weights(self, shared):
        edit_json(shared / "config.json", num_hidden_layers=10**6)
        refused(shared, "(expected weights of 1000000 layers|num_hidden_layers)")

    def test_a_tokenizer_of_another_model(self, shared, tmp_path):
        edit_json(shared / "preprocessor_config.json", patch_size=60)
        refused(shared, r"expected `patch_size` of the model and its tokenizer to agree, found \d+ and 60")

    def test_a_quantizer_of_another_model(self, shared):
        size = json.loads((shared / "config.json").read_text())["patch_size"]
        quantizer = AnyECGRhythmQuantizer(tiny_quantizer_config(patch_size=size, codebook_size=32))
        quantizer.quantizer.started.fill_(True)
        quantizer.save_pretrained(shared / "quantizer")
        refused(shared, r"expected `codebook_size` of the model and its quantizer to agree, found \d+ and 32")

    def test_a_tokenizer_of_another_rate(self, shared):
        edit_json(shared / "preprocessor_config.json", sampling_rate=500)
        edit_json(shared / "quantizer" / "config.json", sampling_rate=500)
        refused(shared, r"expected `sampling_rate` of the model and its tokenizer to agree, found 300 and 500")

    def test_a_tokenizer_that_cannot_be_read(self, shared):
        (shared / "preprocessor_config.json").write_text("{")
        refused(shared, "preprocessor_config.json: expected what this package can read, found .* not a valid JSON")

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("{", "is not JSON"),
            ("[]", "holds a list"),
            ('{"peft_type": "IA3"}', "of a 'IA3' adapter"),
            ('{"peft_type": "LORA", "r": 2, "target_modules": "(a+)+$"}', "must be a list of names of modules"),
        ],
    )
    @pytest.mark.parametrize("base", [None, "org/base"])
    def test_an_adapter_that_this_package_would_not_load(self, tmp_path, checkpoint, text, told, base):
        model = AnyECGForSequenceClassification.from_pretrained(checkpoint)
        save_adapted(adapt(model, AdaptationConfig(mode="lora", lora=LoraSettings(r=2))), tmp_path / "adapter")
        (tmp_path / "adapter" / "adapter_config.json").write_text(text)
        told = f"adapter_config.json: expected an adapter that this package loads, found .*{told}"
        refused(tmp_path / "adapter", told, base_model=base, card=CARD)


class TestCards:
    def test_without_a_licence(self, shared):
        for line in ("", "license: unknown\n", "license: other\n"):
            (shared / "README.md").write_text(CARD.replace("license: cc-by-4.0\n", line))
            refused(shared, r"README.md: expected a licence \(`license` in the card's metadata")
        (shared / "README.md").write_text(CARD.replace("cc-by-4.0\n", "other\nlicense_name: mine\n"))
        push_to_hub(shared, "org/name", dry_run=True)

    @pytest.mark.parametrize("section", ["", "## Training data\n", "## Training data\n\n[More Information Needed]\n"])
    def test_without_a_statement_of_the_data(self, shared, section):
        text = CARD.replace("## Training data\n\nRandom numbers.\n", section)
        with pytest.raises(HubError, match="expected a statement of the training data"):
            check_card(text, "README.md")
        (shared / "README.md").write_text(text.replace("[More Information Needed]", ""))
        refused(shared, "expected a statement of the training data .*Say which records the weights have seen")
        check_card(text.replace("tags: [ecg]", "datasets: [org/ptb-xl]"), "README.md")

    def test_sub_sections_say_it_too(self):
        text = CARD.replace("Random numbers.", "### PTB-XL\n\nFolds 1 to 8.")
        check_card(text, "README.md")
        with pytest.raises(HubError, match="expected a statement"):
            check_card(text.replace("Folds 1 to 8.", "## Limits\n\nMany."), "README.md")

    def test_in_other_bytes_than_utf_8(self, shared, tmp_path):
        (tmp_path / "CARD.md").write_bytes((CARD + "Größe").encode("latin-1"))
        refused(shared, "CARD.md: expected a card in UTF-8, found other bytes", card=tmp_path / "CARD.md")
        shutil.copyfile(tmp_path / "CARD.md", shared / "README.md")
        refused(shared, "README.md: expected a card in UTF-8, found other bytes")

    def test_broken_metadata(self, shared):
        (shared / "README.md").write_text("---\nlicense: [\n---\n\n## Data\n\nSome.\n")
        refused(shared, "README.md: expected a metadata block in YAML")

    def test_a_form_that_nobody_filled_is_no_card(self, shared):
        (shared / "README.md").write_text("---\ntags: [ecg]\n---\n\n## Training data\n\n[More Information Needed]\n")
        refused(shared, "expected a card .* found no `licence` and no `training_data`")
        push_to_hub(shared, "org/name", dry_run=True, **STATED)

    def test_half_of_a_short_one(self, checkpoint):
        refused(checkpoint, "found no `training_data`. Pass `licence`", licence="cc-by-4.0")
        refused(checkpoint, "found no `licence`. Pass", training_data="Random numbers.", licence=" ")

    def test_both_a_card_and_what_one_is_written_from(self, shared, tmp_path):
        refused(shared, "found a card and `licence`. State it there alone", licence="cc-by-4.0")
        refused(shared, "found a card and `results`", results=[tmp_path / "results.json"])
        refused(shared, "found facts and `licence`. State it there alone", card=FACTS, licence="cc-by-4.0")

    def test_facts_that_no_card_can_be_written_from(self, checkpoint, tmp_path):
        (tmp_path / "facts.yaml").write_text("name: org/name\nlicense: mit\n")
        refused(checkpoint, "unknown fact 'license'; did you mean `licence`", card=tmp_path / "facts.yaml")
        refused(checkpoint, "there is no run folder: state it in words", licence="mit", training_data="recorded")
        refused(checkpoint, "`licence` is 'other': nobody could use", licence="other", training_data="Random.")
        (tmp_path / "results.json").write_text("{}")
        refused(checkpoint, "cannot be read as results", **STATED, results=[tmp_path / "results.json"])


class TestPlaces:
    @pytest.mark.parametrize("config", [tiny_config(), tiny_quantizer_config()], ids=["model", "quantizer"])
    def test_a_configuration_alone(self, config, tmp_path):
        with pytest.raises(HubError, match="expected a model, with its configuration, found a configuration alone"):
            config.push_to_hub("org/name")
        with pytest.raises(HubError, match="found a configuration alone"):
            config._upload_modified_files(str(tmp_path), "org/name", {}, commit_message=None, token=None)

    @pytest.mark.parametrize("name", ["auto_map", "custom_pipelines"])
    def test_code_of_other_repositories(self, shared, name):
        edit_json(shared / "config.json", **{name: {"AutoTokenizer": ["evil/repository--module.Class", None]}})
        for options in ({}, {"remote_code": False}):
            refused(
                shared, f"config.json: expected code of the repository itself in `{name}`, found code of", **options
            )

    @pytest.mark.parametrize("revision", ["", "../up", "a//b", "a\nb"])
    def test_a_revision_that_is_none(self, shared, revision):
        refused(shared, "org/name, revision: expected names of files", revision=revision)

    def test_code_that_nobody_looked_at(self, shared):
        add_remote_code(shared)
        (shared / "layers_anyecg.py").write_text((shared / "layers_anyecg.py").read_text() + "more = 1\n")
        refused(shared, "expected no code, because of `remote_code=False`, found 'adapter_files", remote_code=False)
        (size,) = [
            file.n_bytes for file in push_to_hub(shared, "org/name", dry_run=True).files if "layers" in file.path
        ]
        assert size == len((shared / "layers_anyecg.py").read_bytes()) - len("more = 1\n")

    def test_a_gallery_of_codes_goes_along(self, shared):
        shutil.copyfile(Path(TINY) / "code_gallery.safetensors", shared / "code_gallery.safetensors")
        push_to_hub(shared, "org/name", dry_run=True)

    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no checkpoint folder"):
            push_to_hub(tmp_path / "nowhere", "org/name", dry_run=True)
        refused("org/other", "org/other: expected a model, or the folder of a saved one, found no such folder")

    def test_links_that_lead_out_of_the_folder_or_to_folders(self, shared, tmp_path):
        (tmp_path / "private").write_text("mine")
        (shared / "notes.txt").symlink_to(tmp_path / "private")
        refused(shared, "expected files that lie in the folder, found a link, 'notes.txt'. Put what it leads to there")
        (shared / "notes.txt").unlink()
        (shared / "notes.txt").symlink_to(tmp_path / "nothing")
        refused(shared, "found a link, 'notes.txt'")
        (shared / "notes.txt").unlink()
        (shared / ".hidden").symlink_to(tmp_path / "private")
        (shared / "notes.txt").symlink_to(shared / "README.md")
        push_to_hub(shared, "org/name", dry_run=True)
        shutil.move(shared / "quantizer", tmp_path / "quantizer")
        (shared / "quantizer").symlink_to(tmp_path / "quantizer")
        refused(shared, "found a link, 'quantizer'")

    def test_what_is_no_model(self):
        refused({}, "`model`: expected a model, a tokenizer, or the folder of a saved one, found a dict")

    def test_a_backbone_in_memory_is_fine(self):
        pushed = AnyECGModel(tiny_config()).push_to_hub("org/name", dry_run=True, remote_code=False, **STATED)
        assert [file.path for file in pushed.files] == ["README.md", "config.json", "model.safetensors"]
