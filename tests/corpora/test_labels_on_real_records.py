# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The tables against the corpora's own, and against every label of the real records."""

import ast
import csv
from collections import Counter
from pathlib import Path

import pytest
from examples.count_labels import BEGIN, DOCUMENT, END, CountedCorpus, read_corpora, render_counts, replace_counts

from anyecg_hf.corpora.label_sets import anomaly, corpus_to_snomed
from anyecg_hf.corpora.label_tables import (
    challenge_classes,
    challenge_counts,
    label_table,
    normalised_label,
    snomed_concepts,
    subclasses,
    superclasses,
    to_snomed,
)
from anyecg_hf.records.header_comments import parse_comments

SINUS_RHYTHM, NORMAL_ECG = "426783006", "164854000"
COLUMNS = {
    **{"CPSC": "cpsc2018", "CPSC_Extra": "cpsc-extra", "StPetersburg": "incart", "PTB": "ptb", "PTB_XL": "ptb-xl"},
    **{"Georgia": "georgia", "Chapman_Shaoxing": "chapman-shaoxing", "Ningbo": "ningbo"},
}
# What the challenge wrote for statements that have no code here, because it says more, or other, than they do.
CHALLENGE_WROTE = {
    **{"NORM": SINUS_RHYTHM, "VCLVH": "164873001", "SVARR": "63593006", "PRC(S)": "164884008"},
    **{"BIGU": "11157007", "TRIGU": "251180001"},
}
# The axis comes from another column of PTB-XL, and two headers have a code that release 1.0.3 does not.
AXIS = {"39732003", "47665007", "251200008"}
ONLY_IN_HEADERS = {3: {"270492004"}, 10: {"427393009"}}

# Every label of the real records that no code stands for.
UNMAPPED = {
    "ptb-xl": {"VCLVH", "SVARR", "BIGU", "TRIGU", "PRC(S)"},
    "sph": {"81", "152", "153"},
    "cinc2017": {"O", "~"},
    "mit-bih": {"N", "+", "~", "|", "[", "]"},
    "ludb": {
        *(f"Electric axis of the heart: {name}" for name in ("normal", "vertical", "horizontal")),
        *(f"{name} overload" for name in ("Left atrial", "Right atrial", "Left ventricular")),
        *("Irregular sinus rhythm", "Aberrant conduction", "Pacemaker presence, undefined", "P-synchrony"),
        *(
            f"{finding}: {wall}"
            for finding in ("Scar formation", "Undefined ischemia/scar/supp.nstemi")
            for wall in ("anterior wall", "apical", "inferior wall", "lateral wall", "posterior wall", "septal")
        ),
    },
}


@pytest.fixture(scope="module")
def corpora(records_dir: Path) -> dict[str, CountedCorpus]:
    return {corpus.name: corpus for corpus in read_corpora(records_dir)}


def published(records_dir: Path, *names: str) -> list[dict[str, str]]:
    rows = []
    for name in names:
        with open(records_dir / "labels" / name, newline="", encoding="utf-8-sig") as table:
            rows += csv.DictReader(table)
    return rows


class TestAgainstThePublishedTables:
    def test_every_challenge_code_has_its_abbreviation_and_counts(self, records_dir: Path):
        rows = published(records_dir, "dx_mapping_scored.csv", "dx_mapping_unscored.csv")
        assert len(rows) == 133
        for row in rows:
            code = row["SNOMEDCTCode"]
            assert snomed_concepts()[code].abbreviation == row["Abbreviation"]
            counts = {column: challenge_counts(corpus)[code] for column, corpus in COLUMNS.items()}
            assert counts == {column: int(row[column]) for column in COLUMNS}
            assert sum(counts.values()) == int(row["Total"])

    def test_the_scored_classes_are_those_of_the_reward_matrix(self, records_dir: Path):
        for name, words in (("weights_abbreviations.csv", "name"), ("weights.csv", "codes")):
            header = (records_dir / "labels" / name).read_text(encoding="utf-8").splitlines()[0].split(",")[1:]
            ours = [item.name if words == "name" else "|".join(item.codes) for item in challenge_classes(2021)]
            assert ours == header

    def test_acronyms_of_chapman_and_ningbo_have_the_published_codes(self, records_dir: Path):
        rows = published(records_dir, "ConditionNames_SNOMED-CT.csv")
        ours = {label.label: label.codes for label in label_table("chapman").values()}
        assert ours == {row["AcronymName"].strip(): (row["Snomed_CT"].strip(),) for row in rows} and len(rows) == 63

    def test_aha_statements_have_the_published_codes_where_there_are_any(self, records_dir: Path):
        rows = published(records_dir, "AHA_SNOMED_mapping.csv")
        assert len(rows) == 23
        for row in rows:
            assert to_snomed("aha", [row["AHA_Code"]]).codes == (row["SNOMEDCTCode"],)

    def test_scp_statements_are_those_of_ptbxl(self, records_dir: Path):
        with open(records_dir / "ptb-xl" / "scp_statements.csv", newline="", encoding="utf-8") as table:
            rows = {row[""]: row for row in csv.DictReader(table)}
        assert set(rows) == set(label_table("scp"))
        for code, row in rows.items():
            ours = label_table("scp")[code]
            assert ours.name == row["description"]
            assert (ours.superclass or "", ours.subclass or "") == (row["diagnostic_class"], row["diagnostic_subclass"])
            assert [ours.diagnostic, ours.form, ours.rhythm] == [
                bool(row[kind]) for kind in ("diagnostic", "form", "rhythm")
            ]


class TestPTBXLMapping:
    def test_as_many_records_have_a_code_as_in_the_challenge(self, corpora: dict[str, CountedCorpus]):
        counts = Counter()
        for labels in corpora["ptb-xl"].records:
            wrote = {CHALLENGE_WROTE[label] for label in labels if label in CHALLENGE_WROTE}
            counts.update(wrote.union(to_snomed("scp", labels).codes) - {NORMAL_ECG})
        theirs = {code: n for code, n in challenge_counts("ptb-xl").items() if n and code not in AXIS}
        assert set(counts) == set(theirs)
        # The challenge has the 38 records that release 1.0.3 removed.
        assert {code: theirs[code] - n for code, n in counts.items() if not 0 <= theirs[code] - n <= 38} == {}

    def test_mapped_codes_are_those_of_the_challenge_headers(self, records_dir: Path):
        with open(records_dir / "ptb-xl" / "ptbxl_database.csv", newline="", encoding="utf-8") as table:
            statements = {int(row["ecg_id"]): ast.literal_eval(row["scp_codes"]) for row in csv.DictReader(table)}
        headers = sorted((records_dir / "challenge-2021" / "training" / "ptb-xl").rglob("HR*.hea"))
        assert len(headers) > 30
        for header in headers:
            number = int(header.stem.removeprefix("HR"))
            comments = [line[1:] for line in header.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
            # The challenge wrote sinus rhythm for NORM.
            codes = to_snomed("scp", statements[number]).codes
            ours = {SINUS_RHYTHM if code == NORMAL_ECG else code for code in codes}
            theirs = set(parse_comments(comments).labels) - AXIS - ONLY_IN_HEADERS.get(number, set())
            assert ours == theirs, header.stem


class TestAgainstTheRecords:
    def test_every_label_is_mapped_or_listed_here(self, corpora: dict[str, CountedCorpus]):
        for name, corpus in corpora.items():
            labels = {label for labels in corpus.records for label in labels}
            assert set(corpus_to_snomed(name, sorted(labels)).unmapped) == UNMAPPED.get(name, set()), name

    def test_every_aha_statement_of_sph_has_a_name(self, corpora: dict[str, CountedCorpus]):
        assert {label for labels in corpora["sph"].records for label in labels} == set(label_table("aha"))

    def test_every_text_of_ludb_and_its_headers_is_in_the_table(self, records_dir: Path, corpora):
        table = set(label_table("ludb"))
        assert {normalised_label("ludb", label) for labels in corpora["ludb"].records for label in labels} == table
        for header in sorted((records_dir / "ludb" / "data").glob("*.hea")):
            lines = [line[1:] for line in header.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
            texts = {normalised_label("ludb", line) for line in lines if line.strip() and not line.startswith("<")}
            assert texts - table == set(), header.name

    def test_normal_and_abnormal_records(self, corpora: dict[str, CountedCorpus]):
        def counts(name: str) -> tuple[int, int, int]:
            answers = Counter(anomaly(name, labels) for labels in corpora[name].records)
            return answers[False], answers[True], answers[None]

        assert counts("ptb-xl") == (8978, 12813, 8)
        # 13,903 records have the field "1", two more "1;1".
        assert counts("sph") == (13905, 11865, 0)
        assert Counter(corpora["sph"].records)[("1",)] == 13903
        assert counts("ludb") == (23, 177, 0)
        assert sum(counts("cinc2017")) == 8528
        assert counts("incart") == (0, 0, 10)
        assert counts("mit-bih") == (0, 5, 0)

    def test_superclasses_and_subclasses_of_ptbxl(self, corpora: dict[str, CountedCorpus]):
        found = [superclasses(labels) for labels in corpora["ptb-xl"].records]
        counts = Counter(name for names in found for name in names)
        assert counts == {"NORM": 9514, "MI": 5469, "STTC": 5235, "CD": 4898, "HYP": 2649}
        assert Counter(min(len(names), 2) for names in found) == {1: 16244, 2: 5144, 0: 411}
        assert len({name for labels in corpora["ptb-xl"].records for name in subclasses(labels)}) == 23


class TestTheDocument:
    def test_it_has_the_counts_that_the_script_writes(self, records_dir: Path):
        text = DOCUMENT.read_text(encoding="utf-8")
        assert replace_counts(text, render_counts(records_dir)) == text

    def test_counts_replace_what_stood_between_the_marks(self):
        text = f"before\n{BEGIN}old\n{END}after\n"
        new = replace_counts(text, "new")
        assert new == f"before\n{BEGIN}\nnew\n{END}after\n" and replace_counts(new, "new") == new
        with pytest.raises(ValueError, match="expected the marks <!-- counts: written by"):
            replace_counts("no marks", "new")
