# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What comes back from the Hub, and what does not, by the real client on a Hub of this machine."""

import pickle
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, snapshot_download

from anyecg_hf import AnyECGModel, AnyECGTokenizer
from anyecg_hf.hub import pull_from_hub, push_to_hub
from anyecg_hf.hub.hub_errors import HubError

REPO = "org/anyecg-small"


def refused(told: str, repo: str = REPO, **options) -> None:
    with pytest.raises(HubError, match=told):
        pull_from_hub(repo, **options)


def cached_bytes() -> list[bytes]:
    return [path.read_bytes() for path in Path(constants.HF_HUB_CACHE).rglob("*") if path.is_file()]


@pytest.fixture
def pushed(local_hub, shared):
    return push_to_hub(shared, REPO, remote_code=False)


class TestWhole:
    def test_all_files_come_as_they_were_pushed(self, local_hub, pushed, shared):
        pulled = pull_from_hub(REPO)
        assert pulled.commit == pushed.commit and pulled.repo_id == REPO
        assert set(pulled.files) == {*local_hub.files(REPO), ".gitattributes"}
        for path, content in local_hub.files(REPO).items():
            assert (pulled.folder / path).read_bytes() == content
        expected, found = AnyECGModel.from_pretrained(shared), AnyECGModel.from_pretrained(pulled.folder)
        assert all(torch.equal(found.state_dict()[name], value) for name, value in expected.state_dict().items())

    def test_into_a_folder_without_links(self, pushed, tmp_path):
        pulled = pull_from_hub(REPO, tmp_path / "new" / "here")
        assert pulled.folder == tmp_path / "new" / "here" and pulled.commit == pushed.commit
        assert not any(path.is_symlink() for path in pulled.folder.rglob("*"))
        assert AnyECGTokenizer.from_pretrained(pulled.folder).quantizer.config.codebook_size > 0

    def test_never_over_files_of_somebody(self, local_hub, pushed, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes").write_text("mine")
        local_hub.asked.clear()
        with pytest.raises(FileExistsError, match="expected a folder that is empty or not there, found .*mine"):
            pull_from_hub(REPO, tmp_path / "mine")
        assert local_hub.asked == []

    def test_a_commit_stays_what_it_was(self, local_hub, pushed, shared):
        (shared / "README.md").write_text((shared / "README.md").read_text() + "\nMore.\n")
        later = push_to_hub(shared, REPO, remote_code=False)
        first = pull_from_hub(REPO, revision=pushed.commit)
        assert first.commit == pushed.commit != later.commit
        assert b"More." not in (first.folder / "README.md").read_bytes()
        assert b"More." in (pull_from_hub(REPO).folder / "README.md").read_bytes()

    def test_a_branch_by_its_name(self, local_hub, shared):
        pushed = push_to_hub(shared, REPO, revision="v2")
        assert pull_from_hub(REPO, revision="v2").commit == pushed.commit

    def test_all_files_are_of_one_commit_even_if_another_comes_meanwhile(self, local_hub, pushed):
        local_hub.first("GET", "/resolve/", lambda: local_hub.add(REPO, {"README.md": b"later"}))
        assert b"later" not in (pull_from_hub(REPO).folder / "README.md").read_bytes()
        assert local_hub.files(REPO)["README.md"] == b"later"

    def test_so_they_are_if_it_comes_between_the_hashes_and_the_files(self, local_hub, pushed, monkeypatch):
        def fetch_later(*arguments, **options) -> str:
            local_hub.add(REPO, {"README.md": b"later"})
            return snapshot_download(*arguments, **options)

        monkeypatch.setattr("anyecg_hf.hub.pulling.snapshot_download", fetch_later)
        pulled = pull_from_hub(REPO)
        assert pulled.commit == pushed.commit and (pulled.folder / "README.md").read_bytes() != b"later"

    def test_the_cache_is_used_again(self, local_hub, pushed):
        pull_from_hub(REPO)
        local_hub.asked.clear()
        pull_from_hub(REPO)
        assert local_hub.requests("GET", "/resolve/") == []

    def test_what_lies_in_the_cache_can_be_pushed_again(self, local_hub, pushed):
        folder = pull_from_hub(REPO).folder
        assert (folder / "model.safetensors").is_symlink()
        push_to_hub(folder, "org/again", remote_code=False)
        assert local_hub.files("org/again") == local_hub.files(REPO)


class TestOffline:
    def test_the_cache_suffices(self, local_hub, pushed, monkeypatch):
        online = pull_from_hub(REPO)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        local_hub.asked.clear()
        assert pull_from_hub(REPO) == online and local_hub.asked == []

    def test_without_it_there_is_nothing(self, local_hub, pushed, monkeypatch):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        refused("expected a complete copy of main in the cache, or the Hub, found neither.* unset HF_HUB_OFFLINE")
        with pytest.raises(HubError, match="found neither: offline"):
            push_to_hub(pull_folder(local_hub, monkeypatch), REPO)

    def test_transformers_finds_it_too(self, pushed, shared, monkeypatch):
        pull_from_hub(REPO)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        cache = constants.HF_HUB_CACHE
        assert AnyECGModel.from_pretrained(REPO, cache_dir=cache).config.hidden_size > 0
        assert AnyECGTokenizer.from_pretrained(REPO, cache_dir=cache).quantizer.config.codebook_size > 0

    def test_what_was_changed_in_the_cache_is_found(self, pushed, monkeypatch):
        weights = pull_from_hub(REPO).folder / "model.safetensors"
        weights.resolve().write_bytes(weights.read_bytes()[:-1] + b"x")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        refused("'model.safetensors' with the hash .* found other content")


def pull_folder(local_hub, monkeypatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    folder = pull_from_hub(REPO).folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


class TestRefusal:
    @pytest.mark.parametrize(
        "name", ["pytorch_model.bin", "training_args.bin", "deep/er/weights.pkl", "x.ckpt", "a.pt"]
    )
    def test_of_a_pickle_by_name_before_anything_is_fetched(self, local_hub, pushed, name):
        local_hub.add(REPO, {name: pickle.dumps({})})
        refused(
            rf"expected weights as safetensors only, found '{name}'\. Only safetensors: a pickle runs whatever code"
        )
        assert local_hub.requests("GET", "/resolve/") == []

    def test_of_a_pickle_by_content(self, local_hub, pushed):
        local_hub.add(REPO, {"config.json": pickle.dumps({})})
        refused("found a pickle in 'config.json'")

    @pytest.mark.parametrize(
        "name", ["../evil.json", "a/../../evil.json", "/etc/evil", "a//b", "C:\\evil", "a/./b", "a\nb", "\x1b[2J"]
    )
    def test_of_names_that_lead_elsewhere_before_anything_is_fetched(self, local_hub, pushed, name):
        local_hub.add(REPO, {name: b"{}"})
        refused("expected names of files inside the repository, found .*Such a name may write elsewhere on your disk")
        assert local_hub.requests("GET", "/resolve/") == []

    @pytest.mark.parametrize("name", ["model.safetensors", "README.md", "quantizer/config.json"])
    def test_of_what_is_not_what_was_pushed(self, local_hub, pushed, name):
        true = local_hub.files(REPO)[name]
        local_hub.tampered[name] = true[:-1] + b"x"
        refused(f"expected '{name}' with the hash .* that it was pushed with, found other content. It was removed")
        assert true[:-1] + b"x" not in cached_bytes()
        assert pushed.commit.encode() not in cached_bytes()  # offline, nobody finds it by the branch's name
        local_hub.tampered.clear()
        assert (pull_from_hub(REPO).folder / name).read_bytes() == true

    def test_of_a_revision_that_leads_elsewhere(self, local_hub, pushed):
        local_hub.repositories["model", REPO].branches["../../up"] = local_hub.repositories["model", REPO].branches[
            "main"
        ]
        refused("org/anyecg-small, revision: expected names .*found '../../up'", revision="../../up")

    def test_of_a_file_of_another_size(self, local_hub, pushed):
        local_hub.tampered["model.safetensors"] = local_hub.files(REPO)["model.safetensors"] + b"more"
        refused("expected files of the size that the Hub tells, found one of another size")
        local_hub.tampered.clear()
        assert len((pull_from_hub(REPO).folder / "model.safetensors").read_bytes()) == len(
            local_hub.files(REPO)["model.safetensors"]
        )

    def test_the_plain_client_would_have_taken_it(self, local_hub, pushed):
        local_hub.tampered["README.md"] = local_hub.files(REPO)["README.md"][:-1] + b"x"
        assert (Path(snapshot_download(REPO)) / "README.md").read_bytes().endswith(b"x")
        refused("'README.md' with the hash")


class TestAccess:
    def test_a_name_that_is_none(self, local_hub):
        for name in ("not/a/name", "a b", "../up", ""):
            refused("expected the name of a repository, such as org/name, found something else", name)
        assert local_hub.asked == []

    def test_nothing_of_this_name(self, local_hub):
        refused(
            r"org/none: expected a repository that this account may read, found none of this name \(HTTP 404\)",
            "org/none",
        )

    def test_a_private_one_without_login(self, local_hub, pushed, monkeypatch):
        local_hub.repositories["model", REPO].is_private = True
        monkeypatch.setenv("HF_TOKEN", "hf_somebodyelse")
        refused(r"found none of this name \(HTTP 401\)\. Check the spelling; if it is private, log in with `hf auth")

    def test_a_gated_one(self, local_hub, pushed):
        local_hub.repositories["model", REPO].is_gated = True
        refused(r"found a gated one \(HTTP 403\)\. Ask for access on its page")

    def test_no_such_revision(self, local_hub, pushed):
        refused("expected the revision 'v9', found no such branch, tag or commit", revision="v9")

    def test_a_file_that_is_gone(self, local_hub, pushed):
        local_hub.fail("GET", r"/resolve/.*/config\.json", 404)
        local_hub.fail("HEAD", r"/resolve/.*/config\.json", 404)
        with pytest.raises(HubError, match="expected"):
            pull_from_hub(REPO)

    def test_without_any_token(self, local_hub, pushed):
        assert pull_from_hub(REPO, token=False).commit == pushed.commit
        local_hub.repositories["model", REPO].is_private = True
        assert pull_from_hub(REPO, token=True).commit == pushed.commit
        refused(r"found none of this name \(HTTP 401\)", token=False)


class TestConnection:
    def test_trouble_that_passes(self, local_hub, pushed, monkeypatch):
        monkeypatch.setattr("anyecg_hf.hub.uploading._FIRST_WAIT_S", 0)
        local_hub.fail("GET", "/api/models/", 503)
        local_hub.cut("GET", "/api/models/")
        assert pull_from_hub(REPO).commit == pushed.commit

    def test_trouble_that_stays(self, local_hub, pushed, monkeypatch):
        monkeypatch.setattr("anyecg_hf.hub.uploading._FIRST_WAIT_S", 0)
        local_hub.fail("GET", "/api/models/", 500, times=100)
        refused(r"expected an answer of the Hub, found HTTP 500\. Try again later")
        local_hub.troubles.clear()
        local_hub.cut("GET", "/api/models/", times=100)
        refused(r"expected an answer of the Hub, found a broken connection \(\w+\)")

    def test_a_file_that_breaks_off_is_continued(self, local_hub, pushed):
        local_hub.cut("GET", r"/resolve/.*/model\.safetensors", after=2000)
        folder = pull_from_hub(REPO).folder
        for path, content in local_hub.files(REPO).items():
            assert (folder / path).read_bytes() == content
