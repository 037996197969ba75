# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A prepared corpus goes to the Hub whole, once, and only where it may go."""

import inspect
import os
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from tests.corpora.builders.written_corpora import write_record
from tests.corpora.builders.written_tables import write_mimic, write_table
from tests.corpora.parquet.prepared_corpora import prepare_georgia, write_georgia

from anyecg_hf.corpora import CORPORA, CorpusError, corpus_builder
from anyecg_hf.corpora.parquet.sharding import PreparedCorpus, write_corpus
from anyecg_hf.hub import corpus_publishing
from anyecg_hf.hub.corpus_cards import write_corpus_card, write_corpus_gallery
from anyecg_hf.hub.corpus_publishing import publish_corpus
from anyecg_hf.hub.hub_errors import HubError


@dataclass
class WrittenHub:
    """Stands in for `HfApi`: `files` and `is_private` are those of the one dataset, `calls` what it was asked."""

    files: tuple[str, ...] = (".gitattributes",)
    is_private: bool = False
    calls: list[tuple] = field(default_factory=list)

    def __call__(self, **arguments):
        self.calls.append(("HfApi", arguments))
        return self

    def create_repo(self, *arguments, **options):
        self.calls.append(("create_repo", arguments, options))

    def dataset_info(self, *arguments, **options):
        self.calls.append(("dataset_info", arguments, options))
        siblings = [SimpleNamespace(rfilename=name) for name in self.files]
        return SimpleNamespace(private=self.is_private, sha="5ha", siblings=siblings)

    def create_commit(self, *arguments, **options):
        self.calls.append(("create_commit", arguments, options))
        return SimpleNamespace(commit_url="https://hub/commit/1", oid="5ha2")


@pytest.fixture
def hub(monkeypatch) -> WrittenHub:
    hub = WrittenHub()
    monkeypatch.setattr(corpus_publishing, "HfApi", hub)
    return hub


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> PreparedCorpus:
    """Six records of Georgia with card and picture."""
    folder = tmp_path_factory.mktemp("georgia")
    prepared = prepare_georgia(write_georgia(folder / "corpus"), folder / "georgia-ecg")
    write_corpus_gallery(prepared, CORPORA["georgia"].description)
    write_corpus_card(prepared, CORPORA["georgia"].description)
    return prepared


@pytest.fixture
def prepared(whole, tmp_path) -> PreparedCorpus:
    """A copy of it that a test may harm."""
    for path in whole.folder.rglob("*"):
        if path.is_file():
            target = tmp_path / "georgia-ecg" / path.relative_to(whole.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return PreparedCorpus.read(tmp_path / "georgia-ecg")


def expected_paths(prepared: PreparedCorpus) -> list[str]:
    names = [shard.name for shard in prepared.shards]
    return [
        *("README.md", "gallery.png", "report.jsonl", "preparation/plan.json"),
        *(f"preparation/{name}.json" for name in names),
        *(f"data/{name}.parquet" for name in names),
    ]


class TestPush:
    def test_all_files_go_in_one_commit_and_nothing_else_does(self, prepared, hub):
        (prepared.folder / "notes.txt").write_text("mine")
        published = publish_corpus(prepared.folder, "org/georgia-ecg", token="t0k3n")
        (made, created, asked, committed) = hub.calls
        assert made == ("HfApi", {"token": "t0k3n"})
        assert created == (
            "create_repo",
            ("org/georgia-ecg",),
            {"repo_type": "dataset", "private": None, "exist_ok": True},
        )
        assert asked == ("dataset_info", ("org/georgia-ecg",), {})
        name, arguments, options = committed
        operations = options.pop("operations")
        assert (name, arguments) == ("create_commit", ("org/georgia-ecg",))
        assert options == {
            "repo_type": "dataset",
            "commit_message": f"georgia by anyecg_hf, plan {prepared.plan.fingerprint[:16]}",
            "parent_commit": "5ha",
        }
        assert all(isinstance(operation, CommitOperationAdd) for operation in operations)
        assert [operation.path_in_repo for operation in operations] == expected_paths(prepared)
        for operation in operations:
            assert operation.path_or_fileobj == str(prepared.folder / operation.path_in_repo)
        assert (published.commit_url, published.commit) == ("https://hub/commit/1", "5ha2")

    def test_shards_of_another_plan_are_removed_in_the_same_commit(self, prepared, hub):
        kept = prepared.shards[0].name
        hub.files = (
            *(".gitattributes", "README.md", "LICENSE", "data/notes.txt", f"data/{kept}.parquet"),
            *("data/train-00000-of-00009.parquet", "data/test-00000-of-00001.parquet", "preparation/train-x.json"),
        )
        publish_corpus(prepared.folder, "org/georgia-ecg")
        operations = hub.calls[-1][2]["operations"]
        removed = [item.path_in_repo for item in operations if isinstance(item, CommitOperationDelete)]
        assert removed == [
            *("data/test-00000-of-00001.parquet", "data/train-00000-of-00009.parquet", "preparation/train-x.json")
        ]

    def test_a_private_dataset_is_made_private(self, prepared, hub):
        hub.is_private = True
        publish_corpus(prepared.folder, "org/georgia-ecg", private=True)
        assert hub.calls[1][2]["private"] is True and hub.calls[-1][0] == "create_commit"

    def test_a_public_dataset_is_not_used_where_a_private_one_is_wanted(self, prepared, hub):
        with pytest.raises(CorpusError, match="org/georgia-ecg: expected a private dataset, found a public one"):
            publish_corpus(prepared.folder, "org/georgia-ecg", private=True)
        assert "create_commit" not in [call[0] for call in hub.calls]

    def test_the_arguments_are_those_of_the_library(self, prepared, hub):
        publish_corpus(prepared.folder, "org/georgia-ecg")
        for name, arguments, options in hub.calls[1:]:
            inspect.signature(getattr(HfApi, name)).bind(None, *arguments, **options)

    def test_a_dry_run_lists_files_and_asks_nobody(self, prepared, hub):
        published = publish_corpus(prepared.folder, "org/georgia-ecg", dry_run=True)
        assert hub.calls == [] and published.commit_url is None
        assert [file.path for file in published.files] == expected_paths(prepared)
        assert published.n_bytes == sum(os.path.getsize(prepared.folder / file.path) for file in published.files)

    def test_without_a_picture_there_is_none_to_upload(self, prepared, hub):
        (prepared.folder / "gallery.png").unlink()
        hub.files = ("gallery.png",)
        publish_corpus(prepared.folder, "org/georgia-ecg")
        operations = hub.calls[-1][2]["operations"]
        assert isinstance(operations[0], CommitOperationDelete) and operations[0].path_in_repo == "gallery.png"


class TestRefusal:
    def refused(self, prepared: PreparedCorpus, hub: WrittenHub, told: str, **options) -> None:
        for dry_run in (True, False):
            with pytest.raises(CorpusError, match=told):
                publish_corpus(prepared.folder, "org/name", dry_run=dry_run, **options)
        assert hub.calls == []

    def test_without_a_card(self, prepared, hub):
        (prepared.folder / "README.md").unlink()
        self.refused(prepared, hub, "README.md: expected the card of the dataset, found no file. Write it with")

    def test_with_the_card_of_other_files(self, prepared, hub):
        other = replace(prepared, plan=replace(prepared.plan, shard_mb=1))
        write_corpus_card(other, CORPORA["georgia"].description)
        told = rf"expected the card of these files \(plan {prepared.plan.fingerprint[:16]}\), found that of others"
        self.refused(prepared, hub, told)

    def test_when_a_shard_is_missing(self, prepared, hub):
        prepared.parquet_paths[0].unlink()
        self.refused(prepared, hub, "expected all 3 shards of its plan and report.jsonl, found 2 shards")

    def test_when_the_report_is_missing(self, prepared, hub):
        (prepared.folder / "report.jsonl").unlink()
        self.refused(prepared, hub, "found no report.jsonl")

    def test_with_the_token_in_a_file(self, prepared, hub):
        with (prepared.folder / "README.md").open("a") as file:
            file.write("hf_somebodys")
        for dry_run in (True, False):
            with pytest.raises(
                HubError, match=r"README.md: expected no token, found one in .*it is not shown"
            ) as caught:
                publish_corpus(prepared.folder, "org/name", dry_run=dry_run, token="hf_somebodys")
            assert "hf_somebodys" not in str(caught.value)
        assert hub.calls == []

    def test_for_everyone_when_the_licence_is_unknown(self, tmp_path, hub):
        write_record(tmp_path / "mine", "one")
        builder = corpus_builder("folder", tmp_path / "mine", cache_dir=tmp_path / "cache")
        prepared = write_corpus(builder, tmp_path / "parquet")
        write_corpus_card(prepared, builder.description)
        self.refused(prepared, hub, "expected a licence that allows others to have these records, found an unknown one")

        hub.is_private = True
        publish_corpus(prepared.folder, "org/mine", private=True)
        assert hub.calls[-1][0] == "create_commit"

    def test_for_everyone_when_it_holds_what_is_for_credentialed_users(self, tmp_path, hub):
        corpus = write_mimic(tmp_path / "corpus")
        patients = tmp_path / "patients.csv"
        write_table(patients, [{"subject_id": "1", "gender": "F", "anchor_age": "40", "anchor_year": "2150"}])
        builder = corpus_builder("mimic-iv-ecg", corpus.root, cache_dir=tmp_path / "cache", patients_csv=str(patients))
        prepared = write_corpus(builder, tmp_path / "parquet")
        write_corpus_card(prepared, builder.description)
        self.refused(prepared, hub, "found facts from `patients_csv`, which its terms forbid to share")
        assert len(publish_corpus(prepared.folder, "org/mimic", private=True, dry_run=True).files) == 5
