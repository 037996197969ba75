# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import pytest
from tests.cli.conftest import LEADS
from tests.training.written_records import ecg_counts, write_wfdb

pytest.importorskip("matplotlib")


@pytest.fixture
def labelled(own_folder):
    """Two records of 10 s in the manner of the challenge, one of them with a rhythm class."""
    for seed, label in enumerate(("426783006", "59931005")):
        counts = ecg_counts(seed, leads=3, seconds=10)
        write_wfdb(own_folder / "records" / f"E0000{seed}", counts, leads=LEADS, comments=(f"Dx: {label}",))
    return own_folder / "records"


def test_a_page_is_written_and_the_figures_are_told(anyecg, checkpoint, labelled, own_folder):
    outcome = anyecg("codebook", checkpoint, "records")
    assert (outcome.status, outcome.errors) == (0, [])
    assert outcome.out.endswith("in 2 records, 1 of them with a rhythm class, written to codebook.html\n")
    page = (own_folder / "codebook.html").read_text(encoding="utf-8")
    assert "Rhythm codes of anyecg-random" in page and "NSR" in page


def test_a_picture_of_a_corpus_and_json(anyecg, checkpoint, labelled, own_folder):
    pytest.importorskip("datasets")
    arguments = ("--corpus", f"folder={labelled}", "-o", "codes.png", "--most", 4, "--json")
    outcome = anyecg("codebook", checkpoint, *arguments)
    assert (outcome.status, outcome.errors) == (0, [])
    found = json.loads(outcome.out)
    assert (found["output"], found["records"], found["patches"]) == ("codes.png", 2, 2 * 3 * 40)
    assert found["records_with_rhythm_class"] == 1 and found["codebook_size"] == 64
    assert len(found["codes"]) + len(found["unused"]) == 64
    assert (own_folder / "codes.png").read_bytes().startswith(b"\x89PNG")


def test_a_bare_quantizer_will_do(anyecg, checkpoint, labelled):
    assert anyecg("codebook", checkpoint / "quantizer", "records", "-o", "a.html").status == 0


def test_unreadable_records_are_reported_and_the_others_are_drawn(anyecg, checkpoint, record, truncated, own_folder):
    outcome = anyecg("codebook", checkpoint, str(own_folder), "nowhere", "-o", "codes.html")
    assert outcome.status == 1 and " in 1 records, 0 of them with a rhythm class" in outcome.out
    assert outcome.errors[0] == "2 records could not be used:"
    assert any("truncated.dat" in line for line in outcome.errors)
    assert any(line.lstrip().startswith("nowhere") for line in outcome.errors)
    assert "No record says its rhythm class." in (own_folder / "codes.html").read_text(encoding="utf-8")


def test_nothing_is_written_if_no_record_can_be_used(anyecg, checkpoint, truncated, own_folder):
    outcome = anyecg("codebook", checkpoint, "truncated", "-o", "codes.html")
    assert outcome.status == 1 and not (own_folder / "codes.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name records, or a corpus with --corpus NAME=DIR."),
        (("--corpus", "nothing=."), "--corpus nothing=.: expected NAME=DIR, NAME being one of cpsc2018"),
        (("--corpus", "ludb=missing"), "--corpus ludb=missing: expected NAME=DIR"),
        (("rec", "--most", "0"), "--most must be at least 1, got 0."),
    ],
)
def test_wrong_usage_is_told(anyecg, arguments, told):
    outcome = anyecg("codebook", "model", *arguments)
    assert outcome.status == 2 and told in outcome.err


def test_an_output_of_another_kind_is_refused_before_any_work(anyecg):
    outcome = anyecg("codebook", "/no/such/checkpoint", "rec", "-o", "codes.pdf")
    told = "anyecg codebook: the output must end in .png or .html or .safetensors, got codes.pdf."
    assert (outcome.status, outcome.errors) == (1, [told])


def test_a_missing_checkpoint_is_one_error(anyecg, record):
    outcome = anyecg("codebook", "/no/such/checkpoint", "rec")
    assert outcome.errors == ["anyecg codebook: there is no checkpoint folder /no/such/checkpoint."]
