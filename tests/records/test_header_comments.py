# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Header comments: every spelling of age, sex, size and diagnosis that the public corpora use."""

import pytest

from anyecg_hf.records.header_comments import HeaderFacts, parse_age, parse_comments


@pytest.mark.parametrize(
    ("text", "years"),
    [
        *[("57", 57.0), ("57 years", 57.0), ("57Y", 57.0), ("0.5", 0.5), (" 89 ", 89.0)],
        *[("999", None), ("126", None), ("125", 90.0)],
        *[("300", 90.0), (">89", 90.0), ("90", 90.0), ("> 89", 90.0)],
        *[("NaN", None), ("", None), ("Unknown", None), ("n/a", None), ("-1", None), ("6 months", None), (">50", None)],
    ],
)
def test_ages_are_years_with_90_for_all_that_are_hidden(text, years):
    assert parse_age(text) == years


@pytest.mark.parametrize(
    ("text", "sex"),
    [
        *[("Male", 0), ("M", 0), ("male", 0), ("0", 0), ("m", 0)],
        *[("Female", 1), ("F", 1), ("female", 1), ("1", 1), ("1.0", 1)],
        *[("Unknown", None), ("NaN", None), ("", None), ("2", None)],
    ],
)
def test_sex_is_0_for_male_and_1_for_female(text, sex):
    assert parse_comments([f"Sex: {text}"]).sex == sex


@pytest.mark.parametrize(
    ("comment", "labels"),
    [
        ("Dx: 164889003,59118001,164934002", ("164889003", "59118001", "164934002")),
        ("Dx: 426783006,", ("426783006",)),
        ("Dx: 164889003,,59118001, 164889003", ("164889003", "59118001")),
        ("Dx: 67741000119109", ("67741000119109",)),
        ("Dx: AF", ("AF",)),
        ("Dx:", ()),
        ("Dx: Unknown", ()),
        ("Labels: STTC, CD", ("STTC", "CD")),
    ],
)
def test_diagnoses_are_split_without_empty_and_repeated_ones(comment, labels):
    assert parse_comments([comment]).labels == labels


@pytest.mark.parametrize(
    ("comments", "facts"),
    [
        (["Age: 69", "Sex: Female", "Height: 167", "Weight: 65"], HeaderFacts(None, 69.0, 1, 65.0, 167.0)),
        (["Height: 1.75 m", "Weight: 70 kg"], HeaderFacts(weight_kg=70.0, height_cm=175.0)),
        (["Height: 0", "Weight: 150 lb"], HeaderFacts()),
        (["Exam ID: 1111", "Patient ID: 48705"], HeaderFacts(patient_id="48705")),
        (["<age>: 51", "<sex>: F", "<diagnoses>:", "Rhythm: Sinus bradycardia."], HeaderFacts(None, 51.0, 1)),
        (["<age>: 65 <sex>: M <diagnoses>: Coronary artery disease"], HeaderFacts(None, 65.0, 0)),
        (["69 M 1085 1629 x1", "Aldomet, Inderal"], HeaderFacts(None, 69.0, 0)),
        (["-1 F 1331 654 x1"], HeaderFacts(None, None, 1)),
        (["paroxysmal atrial fibrillation"], HeaderFacts()),
        ([], HeaderFacts()),
    ],
)
def test_facts_are_found_in_every_form_of_comment(comments, facts):
    assert parse_comments(comments) == facts
