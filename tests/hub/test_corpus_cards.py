# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The card of a corpus: every number is counted, nothing uncertain is stated as certain, and it opens the dataset."""

import builtins
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard
from matplotlib.image import imread
from tests.corpora.builders.written_corpora import write_ptb_xl
from tests.corpora.builders.written_tables import write_folder
from tests.corpora.parquet.prepared_corpora import cut_short, prepare_georgia, record_file, write_georgia

from anyecg_hf.corpora import CORPORA, corpus_builder
from anyecg_hf.corpora.parquet.sharding import PreparedCorpus, write_corpus
from anyecg_hf.corpora.preparation_report import SKIPPED, PreparationReport, ReportLine
from anyecg_hf.hub.corpus_cards import (
    card_data,
    chosen_records,
    label_rows,
    reason_rows,
    render_corpus_card,
    write_corpus_card,
    write_corpus_gallery,
)
from anyecg_hf.plotting import gallery
from anyecg_hf.records import read_record


def rendered(prepared: PreparedCorpus, **changes) -> str:
    return render_corpus_card(prepared, replace(CORPORA[prepared.plan.corpus].description, **changes))


def prepared_folder(tmp_path: Path, **options) -> PreparedCorpus:
    corpus = write_folder(tmp_path / "records", tmp_path / "labels.csv")
    builder = corpus_builder("folder", corpus.root, cache_dir=tmp_path / "cache", **{**corpus.options, **options})
    return write_corpus(builder, tmp_path / "folder")


@pytest.fixture(scope="module")
def ptb_xl(tmp_path_factory) -> PreparedCorpus:
    """One record in each split."""
    folder = tmp_path_factory.mktemp("ptb-xl")
    corpus = write_ptb_xl(folder / "corpus")
    return write_corpus(corpus_builder("ptb-xl", corpus.root, cache_dir=folder / "cache"), folder / "ptb-xl-ecg")


@pytest.fixture(scope="module")
def six(tmp_path_factory) -> PreparedCorpus:
    """Six records of Georgia in four files, one of them unreadable and one too small to be true."""
    folder = tmp_path_factory.mktemp("georgia")
    root = write_georgia(folder / "corpus")
    cut_short(root, "E00003")
    header = record_file(root, "E00004", ".hea")
    header.write_text(header.read_text().replace("1000/mV", "100000/mV"))
    return prepare_georgia(root, folder / "georgia-ecg")


class TestMetadata:
    def test_it_is_what_the_hub_reads(self, ptb_xl):
        data = DatasetCard(rendered(ptb_xl)).data
        assert (data.license, data.size_categories) == ("cc-by-4.0", ["n<1K"])
        assert data.pretty_name == CORPORA["ptb-xl"].description.title
        assert {"ecg", "ptb-xl"} <= set(data.tags)
        assert data.configs == [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*"} for split in ("train", "validation", "test")
                ],
            }
        ]
        info = data.dataset_info
        assert [(split["name"], split["num_examples"]) for split in info["splits"]] == [
            ("train", 1),
            ("validation", 1),
            ("test", 1),
        ]
        assert info["download_size"] == ptb_xl.n_bytes == sum(path.stat().st_size for path in ptb_xl.parquet_paths)
        assert {"name": "signal", "list": {"list": "float32"}} in info["features"]

    @pytest.mark.parametrize(
        ("licence", "is_certain", "expected"),
        [
            ("ODC-By-1.0", True, ("odc-by", None)),
            ("ODbL-1.0", True, ("odbl", None)),
            ("ODC-By-1.0", False, ("other", "odc-by-1.0-not-confirmed")),
            ("PhysioNet Restricted 1.5", True, ("other", "physionet-restricted-1.5")),
            ("unknown", False, ("unknown", None)),
        ],
    )
    def test_a_licence_is_never_more_certain_than_it_is(self, six, licence, is_certain, expected):
        description = replace(georgia_description(), licence=licence, licence_is_certain=is_certain)
        data = card_data(six, description).to_dict()
        assert (data["license"], data.get("license_name")) == expected
        assert data.get("license_link") == (description.homepage if expected[0] == "other" else None)

    @pytest.mark.parametrize(
        ("n_rows", "expected"), [(999, "n<1K"), (1_000, "1K<n<10K"), (800_035, "100K<n<1M"), (10_000_000, "n>10M")]
    )
    def test_the_size_is_one_of_the_hubs_categories(self, six, monkeypatch, n_rows, expected):
        monkeypatch.setattr(six.counts, "n_rows", n_rows)
        assert card_data(six, georgia_description()).size_categories == [expected]

    def test_splits_without_rows_are_not_offered(self, tmp_path):
        corpus = write_ptb_xl(tmp_path / "corpus")
        (corpus.root / corpus.rows["00002_hr"].files[0]).write_bytes(b"")
        prepared = write_corpus(corpus_builder("ptb-xl", corpus.root, cache_dir=tmp_path / "cache"), tmp_path / "out")
        write_corpus_card(prepared, CORPORA["ptb-xl"].description)
        assert list(load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "hub"))) == ["train", "test"]


def georgia_description():
    return CORPORA["georgia"].description


class TestText:
    @pytest.mark.parametrize(
        "line",
        [
            "# Georgia 12-Lead ECG Challenge Database",
            "| records | 5 (of 10,344 that were published) |",
            "| patients | not named |",
            "| ECG | 0.002 hours; every record lasts 1.2 s |",
            "| sampling rate | 500 Hz |",
            "| train | 5 | not named | 0.002 | 4 |",
            "| I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6 | 5 |",
            "| `426783006` | sinus rhythm | 3 |",
            "| `164889003` | atrial fibrillation | 2 |",
            "| `59118001` | right bundle branch block | 1 |",
            "1 record was left out; `report.jsonl` lists it.",
            "- Some ages are missing.",
        ],
    )
    def test_every_fact_is_in_its_place(self, six, line):
        assert line in rendered(six).splitlines()

    def test_what_was_left_out_and_what_is_odd_has_its_reason(self, six):
        card = rendered(six)
        assert re.search(r"^\| expected \d+ .*\| 1 \| `E00003` \|$", card, flags=re.MULTILINE)
        assert re.search(r"^\| the leads' median range is 0.018 mV, .* \| 1 \| `E00004` \|$", card, flags=re.MULTILINE)

    def test_splits_and_patients_are_counted(self, ptb_xl):
        card = rendered(ptb_xl)
        assert "| patients | 3 |" in card and "No patient that is named is in more than one split." in card
        for split in ("train", "validation", "test"):
            assert f"| {split} | 1 | 1 | 0.001 | 1 |" in card
        assert "Diagnostic superclasses: CD 1, MI 1, NORM 1." in card
        assert "`sampling_rate=500`" in card
        assert "| `LVOLT` | low QRS voltages in the frontal and horizontal leads | 1 |" in card

    def test_patients_in_several_splits_are_told(self, ptb_xl):
        shards = [replace(shard, counts=replace(shard.counts, patients=["p1"])) for shard in ptb_xl.shards]
        assert "**Patients in more than one split: 1.**" in rendered(replace(ptb_xl, shards=tuple(shards)))

    def test_an_uncertain_licence_is_told_plainly(self, six, ptb_xl):
        uncertain = "**CC-BY-4.0 to our knowledge, which we have not confirmed in the corpus itself.** Check https://"
        assert uncertain in rendered(six) and uncertain not in rendered(ptb_xl)
        assert "CC-BY-4.0, as stated with the corpus itself." in rendered(ptb_xl)
        assert "**The licence of these records is not known." in rendered(six, licence="unknown")

    def test_it_says_what_it_is_not_and_what_to_cite(self, six):
        card = rendered(six)
        assert "**For research only. Nothing here may guide a decision about a patient.**" in card
        assert f"> {georgia_description().citation}" in card
        assert "docs/labels.md" in card and "anomaly(" in card

    def test_access_is_told_where_it_is_not_open(self, six):
        assert "Access:" not in rendered(six)
        assert "Access: with an account" in rendered(six, access="with an account")

    def test_long_tables_are_cut_and_say_so(self, six):
        labels = {f"{number}": 1000 - number for number in range(1, 26)}
        shards = (replace(six.shards[0], counts=replace(six.shards[0].counts, native_labels=labels)),)
        card = rendered(replace(six, shards=shards))
        assert "| `20` |  | 980 |" in card and "| `21` |" not in card
        assert "5 rarer ones are not shown." in card

    def test_words_of_the_records_cannot_break_the_card(self, tmp_path):
        lines = (ReportLine("a|b", "a|b", SKIPPED, "a | b\n<script>"),)
        prepared = replace(prepared_folder(tmp_path), report=PreparationReport(lines))
        assert "| a \\| b &lt;script> | 1 | `a\\|b` |" in rendered(prepared).splitlines()

    @pytest.mark.parametrize("name", ["six", "ptb_xl"])
    def test_tables_are_whole_and_nothing_of_the_template_is_left(self, request, name):
        card = rendered(request.getfixturevalue(name))
        assert not re.search(r"\{\{|\{%|\bNone\b|\bnan\b|\n\n\n", card)
        for rows in (block.strip().splitlines() for block in card.split("\n\n") if block.strip().startswith("|")):
            cells = [row.replace("\\|", "").count("|") for row in rows]
            assert set(cells) == {cells[0]} and all(row.startswith("|") for row in rows)
            assert set(rows[1]) <= set("|-:")

    def test_a_fact_that_nobody_knows_is_an_error(self, six, tmp_path):
        (tmp_path / "card.jinja").write_text("{{ description.altitude }}")
        with pytest.raises(ValueError, match="the card states what is not known of georgia: .*altitude"):
            render_corpus_card(six, georgia_description(), tmp_path / "card.jinja")


class TestUse:
    @pytest.mark.parametrize("form", ["public", "stored"])
    def test_the_code_of_the_card_runs(self, tmp_path, monkeypatch, form):
        root = write_georgia(tmp_path / "corpus", 2)
        prepared = prepare_georgia(root, tmp_path / "georgia-ecg", form=form)
        card = write_corpus_card(prepared, georgia_description()).read_text()
        blocks = re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)
        (tmp_path / "card.py").write_text("\n".join(blocks))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub")
        found = runpy.run_path(str(tmp_path / "card.py"))
        assert found["signal_mv"].shape == (12, 600) and found["signal_mv"].dtype == "float32"
        assert found["dataset"].num_rows == 2

    def test_a_folder_of_ones_own_needs_no_licence_and_no_site(self, tmp_path):
        prepared = prepared_folder(tmp_path, title="ECGs of our ward")
        description = corpus_builder("folder", tmp_path / "records", title="ECGs of our ward").description
        card = render_corpus_card(prepared, description)
        assert card.splitlines()[1] == "license: unknown" and "# ECGs of our ward" in card
        assert "official site" not in card and "`labels_csv=labels.csv`" in card


class TestGallery:
    def test_it_shows_records_that_differ_and_odd_ones_last(self, six):
        assert [chosen.record_id for chosen in chosen_records(six)] == ["E00001", "E00002", "E00006"]
        # E00004 is odd, E00003 was left out.
        everything = [chosen.record_id for chosen in chosen_records(six, 9)]
        assert everything == ["E00001", "E00002", "E00006", "E00005", "E00004"]
        (first,) = chosen_records(six, 1)
        assert read_record(first.address).record_id == "E00001" and first.labels == ("426783006",)

    def test_records_without_labels_are_shown_too(self, six):
        shards = [replace(shard, counts=replace(shard.counts, native_labels={})) for shard in six.shards]
        unlabelled = replace(six, shards=tuple(shards))
        found = [chosen.record_id for chosen in chosen_records(unlabelled)]
        assert found == ["E00001", "E00002", "E00005"]

    def test_captions_say_what_the_labels_mean(self, tmp_path, monkeypatch):
        drawn = []
        monkeypatch.setattr(gallery, "save_gallery", lambda entries, path: drawn.extend(entries))
        corpus = write_ptb_xl(tmp_path / "corpus")
        prepared = write_corpus(corpus_builder("ptb-xl", corpus.root, cache_dir=tmp_path / "cache"), tmp_path / "out")
        description = replace(CORPORA["ptb-xl"].description, title="PTB-XL")
        write_corpus_gallery(prepared, description)
        assert [(entry.title, entry.subtitle) for entry in drawn] == [
            ("00002_hr", "PTB-XL. 500 Hz. inferior myocardial infarction, atrial fibrillation"),
            ("00003_hr", "PTB-XL. 500 Hz. complete left bundle branch block"),
            (
                "00001_hr",
                "PTB-XL. 500 Hz. normal ECG, low QRS voltages in the frontal and horizontal leads, sinus rhythm",
            ),
        ]

    def test_the_picture_is_drawn_and_shown(self, six):
        assert "gallery.png" not in rendered(six)
        path = write_corpus_gallery(six, georgia_description())
        assert path == six.folder / "gallery.png" and imread(path).shape[1] > 1000
        assert "](gallery.png)" in rendered(six)
        path.unlink()

    def test_without_matplotlib_the_error_says_what_to_install(self, six, monkeypatch):
        known = builtins.__import__

        def without_gallery(name, *arguments, **more):
            if name.endswith("plotting.gallery"):
                raise ImportError('Plotting an ECG needs matplotlib: pip install "anyecg-hf[plot]"')
            return known(name, *arguments, **more)

        monkeypatch.setattr(builtins, "__import__", without_gallery)
        with pytest.raises(ImportError, match="needs matplotlib"):
            write_corpus_gallery(six, georgia_description())


def test_labels_are_named_by_the_first_system_that_knows_them():
    rows = label_rows({"NORM": 1, "426783006": 3, "XYZ": 2}, ("scp", "snomed"))
    assert [(row.label, row.name, row.n_records) for row in rows] == [
        ("426783006", "sinus rhythm", 3),
        ("XYZ", "", 2),
        ("NORM", "normal ECG", 1),
    ]


def test_reasons_that_differ_in_names_and_numbers_only_count_as_one():
    lines = [
        ReportLine("a", "x/a", SKIPPED, "x/a.dat: expected 100 bytes, found 50."),
        ReportLine("b", "x/b", SKIPPED, "x/b.dat: expected 1,000 bytes, found 7."),
        ReportLine("", "table.csv", SKIPPED, "3 of its rows have no record here"),
    ]
    assert [(row.reason, row.n_records, row.example) for row in reason_rows(lines)] == [
        ("expected 100 bytes, found 50.", 2, "a"),
        ("3 of its rows have no record here", 1, "table.csv"),
    ]
