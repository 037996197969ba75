# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import csv
import hashlib
import importlib.resources
import re
import sys
from collections import defaultdict
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from anyecg_hf.corpora.label_tables import (
    LABEL_SYSTEMS,
    LABEL_TABLES_VERSION,
    SUPERCLASSES,
    SNOMEDLabels,
    challenge_classes,
    challenge_counts,
    challenge_labels,
    label_table,
    normalised_label,
    read_label_csv,
    scp_statements,
    snomed_concepts,
    subclasses,
    superclasses,
    to_snomed,
)

FOLDER = importlib.resources.files("anyecg_hf.corpora") / "labels"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")
NATIVE_SYSTEMS = [system for system in LABEL_SYSTEMS if system != "snomed"]

# SHA-256 of all tables by version: whoever changes a row raises the version and adds a line.
TABLES_SHA256 = {"1": "891e3b578f0d881db89eca80f3f45095d8fb3069d90f68c7046b1cd348f528b8"}

# Labels that share their codes, by the codes' abbreviations; every other label has its codes for itself.
SHARED = {
    "scp": {
        "TAb": {"NDT", "LOWT", "NT_", "TAB_"},
        "NSSTTA": {"DIG", "ANEUR", "EL"},
        "MI": {
            *("IMI", "ASMI", "ILMI", "ALMI", "LMI", "IPLMI", "IPMI", "PMI"),
            *("INJAS", "INJAL", "INJIN", "INJLA", "INJIL"),
        },
        "MIs": {"ISC_", "ISCAL", "ISCIL", "ISCAS"},
        "abQRS": {"ABQRS", "HVOLT"},
    },
    "aha": {
        "PAC": {"30", "30+308", "30+310", "30+340", "30+341", "30+349"},
        "AF": {"50", "50+346", "50+347"},
        "PVC": {"60", "60+308", "60+310", "60+340", "60+341", "60+342", "60+350"},
        "AVB": {"86", "87"},
        "AnMI": {"160", "160+330"},
        "MI": {"161", "161+331", "165", "165+331"},
        "AMI": {"161+330", "165+330"},
        "OldMI": {"160+332", "161+332", "165+332", "166+332"},
    },
    "cpsc2018": {
        **{"NSR": {"Normal", "1"}, "AF": {"AF", "2"}, "IAVB": {"I-AVB", "3"}, "LBBB": {"LBBB", "4"}},
        **{"RBBB": {"RBBB", "5"}, "PAC": {"PAC", "6"}, "VEB": {"PVC", "7"}, "STD": {"STD", "8"}, "STE": {"STE", "9"}},
    },
    "cinc2017": {},
    "code15": {},
    "ptb": {"HF": {"Heart failure (NYHA 2)", "Heart failure (NYHA 3)", "Heart failure (NYHA 4)"}},
    "wfdb": {"PAC": {"A", "a"}, "PVC": {"V", "r"}, "PR": {"/", "(P"}, "VFL": {"!", "(VFL"}},
    "chapman": {
        "NSIVCB": {"IDC", "IVB"},
        "LBBB": {"LBBB", "LBBBB", "LFBBB"},
        "MI": {"MI", "MIBW", "MIFW", "MILW", "MISW"},
        "WAP": {"WAVN", "SAAWR"},
    },
}
# The texts that share their codes, where there are too many to name.
N_SHARED = {
    "ludb": {"PAC": 8, "PVC": 9, "VPP": 2, "MIs": 3, "AMI": 5, "NSSTTA": 6},
    "mimic": {
        **{"102594003": 2, "NSR": 3, "SB": 2, "STach": 2, "NSR PAC": 3, "NSR PVC": 2, "AF": 4, "AFL": 6, "VPP": 4},
        **{"AP": 3, "PR": 5, "PAC": 4, "PVC": 7, "VPVC": 2, "IAVB": 2, "IIAVB": 2, "CHB": 3, "AVD": 2},
        **{"RBBB LAnFB": 2, "IRBBB": 2, "ILBBB": 2, "NSIVCB": 2, "LAD": 4, "RAD": 2, "LVQRSLL": 2, "LVQRSCL": 2},
        **{
            "LQRSV": 2,
            "LVH": 2,
            "RVH": 2,
            "LQT": 2,
            "NSSTTA": 8,
            "STC": 8,
            "TAb": 18,
            "MI": 14,
            "OldMI": 14,
            "PRWP": 2,
        },
    },
}
# Labels with several codes: two findings in one statement.
SEVERAL_CODES = {"aha": {"146"}}


def shared_labels(system: str) -> dict[str, set[str]]:
    """Labels of a system by their codes, where several have the same."""
    labels = defaultdict(set)
    concepts = snomed_concepts()
    for label in label_table(system).values():
        if label.codes:
            labels[" ".join(concepts[code].abbreviation or code for code in label.codes)].add(label.label)
    return {codes: members for codes, members in labels.items() if len(members) > 1}


def has_valid_check_digit(code: str) -> bool:
    """Whether the last digit of a SNOMED CT code is the Verhoeff check digit of the others."""
    permutation = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    check = 0
    for place, digit in enumerate(map(int, reversed(code))):
        for _ in range(place % 8):
            digit = permutation[digit]
        # The product in the symmetries of a pentagon: 0-4 are its rotations, 5-9 its reflections.
        turned = check - digit if check >= 5 else check + digit
        check = turned % 5 + 5 * ((check >= 5) != (digit >= 5))
    return check == 0


class TestTheTables:
    def test_a_changed_row_raises_the_version(self):
        digest = hashlib.sha256()
        for path in sorted(FOLDER.iterdir(), key=lambda path: path.name):
            digest.update(path.name.encode() + path.read_text(encoding="utf-8").encode())
        assert TABLES_SHA256[LABEL_TABLES_VERSION] == digest.hexdigest(), (
            "rows changed: raise LABEL_TABLES_VERSION and add its sum to TABLES_SHA256; old lines stay"
        )

    @pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
    def test_rows_are_complete_and_without_stray_blanks(self, path: Path):
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        assert {len(row) for row in rows} == {len(rows[0])}
        assert [cell for row in rows for cell in row if cell != " ".join(cell.split())] == []
        assert [row for row in rows if not row[0] or not row[1]] == []

    def test_every_table_belongs_to_a_system(self):
        files = {path.name for path in FOLDER.iterdir()}
        assert files == {f"{system}.csv" for system in LABEL_SYSTEMS} | {"challenge_counts.csv"}

    @pytest.mark.parametrize("system", LABEL_SYSTEMS)
    def test_no_label_stands_twice_in_any_spelling(self, system: str):
        column = "code" if system == "snomed" else "label"
        labels = [normalised_label(system, row[column]) for row in read_label_csv(f"{system}.csv")]
        assert sorted(labels) == sorted(set(labels)) and set(labels) == set(label_table(system))

    @pytest.mark.parametrize("system", NATIVE_SYSTEMS)
    def test_every_target_is_a_known_code(self, system: str):
        targets = {code for label in label_table(system).values() for code in label.codes}
        assert targets - set(snomed_concepts()) == set()

    def test_every_code_is_a_valid_snomed_identifier_and_once_in_the_table(self):
        assert [code for code in snomed_concepts() if not has_valid_check_digit(code)] == []
        assert not has_valid_check_digit("426783007")  # one digit off
        assert len(read_label_csv("snomed.csv")) == len(snomed_concepts()) == 139

    def test_names_and_abbreviations_of_codes_are_unique(self):
        concepts = snomed_concepts().values()
        abbreviations = [concept.abbreviation for concept in concepts if concept.abbreviation]
        assert len(set(abbreviations)) == len(abbreviations)
        names = defaultdict(set)
        for concept in concepts:
            names[concept.name].add(concept.code)
        # The challenge's code and that of `ecg-arrhythmia`.
        reentrant = {"atrioventricular node reentrant tachycardia": {"251166008", "233896004"}}
        assert {name: codes for name, codes in names.items() if len(codes) > 1} == reentrant

    @pytest.mark.parametrize("system", NATIVE_SYSTEMS)
    def test_labels_share_codes_only_where_listed(self, system: str):
        shared = shared_labels(system)
        if system in SHARED:
            assert shared == SHARED[system]
        else:
            assert {codes: len(labels) for codes, labels in shared.items()} == N_SHARED[system]

    @pytest.mark.parametrize("system", NATIVE_SYSTEMS)
    def test_labels_have_several_codes_only_where_listed(self, system: str):
        several = {label.label for label in label_table(system).values() if len(label.codes) > 1}
        if system == "mimic":
            assert len(several) == 21 and all(re.search(r" with | and |RBBB|Biventricular", label) for label in several)
        else:
            assert several == SEVERAL_CODES.get(system, set())

    def test_every_source_is_explained_and_every_explanation_used(self):
        table = DOCUMENT.partition("| key | source |\n")[2].partition("\n\n")[0]
        explained = {key for row in table.splitlines() for key in re.findall(r"`([^`]+)`", row.split("|")[1])}
        sources = [label.source for system in LABEL_SYSTEMS for label in label_table(system).values()]
        assert "" not in sources and {key for source in sources for key in source.split()} == explained

    @pytest.mark.parametrize("system", NATIVE_SYSTEMS)
    def test_a_label_without_code_says_why(self, system: str):
        for label in label_table(system).values():
            assert label.note.startswith("unmapped: ") == (not label.codes), label


class TestToSnomed:
    def test_codes_come_in_order_and_once_and_the_rest_is_unmapped(self):
        assert to_snomed("aha", ["152", "22", "30+308", "30", "9999", "152"]) == SNOMEDLabels(
            codes=("426177001", "284470004"), unmapped=("152", "9999")
        )

    @pytest.mark.parametrize(
        ("system", "label", "codes"),
        [
            ("scp", "PVC", ("164884008",)),
            ("scp", "NORM", ("164854000",)),
            ("aha", "1", ("164854000",)),
            ("aha", "60", ("427172004",)),
            ("aha", "147", ("164934002",)),
            ("aha", "147+367", ("59931005",)),
            ("aha", "145", ("55930002",)),
            ("aha", "146", ("55930002", "164934002")),
            ("cpsc2018", "Normal", ("426783006",)),
            ("cpsc2018", "7", ("164884008",)),
            ("cinc2017", "A", ("164889003",)),
            ("code15", "ST", ("427084000",)),
            ("chapman", "AF", ("164890007",)),
            ("chapman", "AFIB", ("164889003",)),
            ("chapman", "ST", ("427084000",)),
            ("ptb", "Myocardial infarction", ("164865005",)),
            ("wfdb", "V", ("427172004",)),
            ("wfdb", "T", ()),
            ("wfdb", "(T", ("251180001",)),
            ("wfdb", "(AFIB\0", ("164889003",)),
            ("ludb", "Rhythm: Atrial fibrillation. ", ("164889003",)),
            ("ludb", "UNIpolar ventricular pacing", ("251266004",)),
            ("mimic", "SINUS  RHYTHM.", ("426783006",)),
            ("mimic", "- first degree A-V block", ("270492004",)),
            ("mimic", "Summary: Abnormal ECG", ("102594003",)),
            ("mimic", "Sinus rhythm with PAC(s)", ("426783006", "284470004")),
            ("mimic", "Possible left ventricular hypertrophy", ()),
            ("snomed", "67741000119109", ("67741000119109",)),
        ],
    )
    def test_known_labels(self, system: str, label: str, codes: tuple[str, ...]):
        mapped = to_snomed(system, [label])
        assert mapped.codes == codes
        assert mapped.unmapped == (() if codes else (label,))

    def test_a_code_that_no_table_knows_is_kept_and_reported(self):
        assert to_snomed("snomed", ["251238007", "426783006"]) == SNOMEDLabels(
            codes=("251238007", "426783006"), unmapped=("251238007",)
        )

    @pytest.mark.parametrize("word", ["AF", "426783006.0", "4.26783006e8"])
    def test_what_is_no_code_is_unmapped_only(self, word: str):
        assert to_snomed("snomed", [word]) == SNOMEDLabels((), (word,))

    def test_codes_are_compared_with_case_and_texts_without(self):
        assert to_snomed("scp", ["norm"]).unmapped == ("norm",)
        assert to_snomed("wfdb", ["a"]) != to_snomed("wfdb", ["E"])
        assert to_snomed("ptb", ["BUNDLE BRANCH BLOCK"]).codes == ("6374002",)

    def test_blank_labels_are_skipped(self):
        assert to_snomed("snomed", ["", " ", "\0"]) == SNOMEDLabels((), ())

    def test_an_unknown_system_is_refused_with_the_choices(self):
        with pytest.raises(ValueError, match=r"label system 'icd10' is unknown; choose one of snomed, scp, aha"):
            to_snomed("icd10", [])

    def test_one_string_is_refused(self):
        with pytest.raises(TypeError, match="expected several labels, got the string 'AF'; put it into a list"):
            to_snomed("cpsc2018", "AF")

    @pytest.mark.parametrize("number", [426783006, 67741000119109.0])
    def test_numbers_are_refused(self, number: float):
        with pytest.raises(TypeError, match="expected labels as strings, got .*read codes as text"):
            to_snomed("snomed", [number])


class TestChallengeClasses:
    def test_2021_has_26_classes_on_30_codes_and_2020_24_on_27(self):
        for year, n_classes, n_codes in ((2021, 26, 30), (2020, 24, 27)):
            classes = challenge_classes(year)
            assert len(classes) == len({item.name for item in classes}) == n_classes
            codes = [code for item in classes for code in item.codes]
            assert len(codes) == len(set(codes)) == n_codes

    def test_the_pairs_scored_as_one(self):
        pairs = {item.name: item.codes for item in challenge_classes(2021) if len(item.codes) > 1}
        assert pairs == {
            "CLBBB|LBBB": ("733534002", "164909002"),
            "CRBBB|RBBB": ("713427006", "59118001"),
            "PAC|SVPB": ("284470004", "63593006"),
            "PVC|VPB": ("427172004", "17338001"),
        }

    def test_what_2020_did_not_score(self):
        names = {year: {item.name for item in challenge_classes(year)} for year in (2020, 2021)}
        assert names[2021] - names[2020] == {"BBB", "CLBBB|LBBB", "PRWP"}
        assert names[2020] - names[2021] == {"LBBB"}

    def test_labels_come_in_the_order_of_the_classes(self):
        codes = ["59931005", "164884008", "17338001", "427172004", "164889003", "733534002"]
        assert challenge_labels(codes, 2021) == ("AF", "CLBBB|LBBB", "PVC|VPB", "TInv")
        assert challenge_labels(codes, 2020) == ("AF", "PVC|VPB", "TInv")
        assert challenge_labels(["164884008"], 2021) == ()

    def test_another_year_is_refused(self):
        with pytest.raises(ValueError, match="challenge year 2017 is unknown; choose one of 2020, 2021"):
            challenge_labels(["164889003"], 2017)

    def test_counts_are_those_published(self):
        assert challenge_counts("ningbo")["164890007"] == 7615
        assert challenge_counts("ptb-xl")["426783006"] == 18092
        assert sum(challenge_counts(name)["426783006"] for name in ("cpsc2018", "cpsc-extra", "incart", "ptb")) == 1002
        with pytest.raises(ValueError, match="corpus 'sph' is not part of Challenge 2021, which has cpsc2018,"):
            challenge_counts("sph")


class TestPTBXLStatements:
    def test_71_statements_44_diagnostic_19_form_12_rhythm(self):
        statements = label_table("scp").values()
        assert len(statements) == 71
        kinds = [sum(getattr(item, kind) for item in statements) for kind in ("diagnostic", "form", "rhythm")]
        assert kinds == [44, 19, 12]
        both = {item.label for item in statements if item.diagnostic and item.form}
        assert both == {"NDT", "NST_", "DIG", "LNGQT"}

    def test_diagnostic_statements_have_a_superclass_and_a_subclass_and_the_others_none(self):
        for item in label_table("scp").values():
            assert item.diagnostic == (item.superclass in SUPERCLASSES) == (item.subclass is not None), item
        assert len({item.subclass for item in label_table("scp").values()} - {None}) == 23

    def test_superclasses_come_in_their_order_and_form_and_rhythm_have_none(self):
        assert superclasses({"LVH": 0.0, "IMI": 15.0, "ABQRS": 0.0, "SR": 0.0, "NORM": 100.0}) == ("NORM", "MI", "HYP")
        assert superclasses(["SR", "PVC"]) == ()

    def test_subclasses(self):
        assert subclasses(["1AVB", "IPLMI", "ILMI", "LAFB"]) == ("IMI", "LAFB/LPFB", "_AVB")
        assert subclasses(["AFIB"]) == ()

    def test_statements_come_in_the_order_asked_for(self):
        assert [item.label for item in scp_statements(["SR", "NORM"])] == ["SR", "NORM"]

    @pytest.mark.parametrize("function", [superclasses, subclasses])
    def test_an_unknown_code_is_refused(self, function):
        with pytest.raises(
            ValueError, match="expected SCP codes of PTB-XL, such as NORM or IMI, got '426783006', 'XYZ'"
        ):
            function(["NORM", "426783006", "XYZ"])


def test_results_are_cached_and_cannot_be_changed():
    assert snomed_concepts() is snomed_concepts() and label_table("scp") is label_table("scp")
    with pytest.raises(TypeError):
        snomed_concepts()["1"] = None
    with pytest.raises(TypeError):
        challenge_counts("ptb")["426783006"] = 0
    with pytest.raises(FrozenInstanceError):
        label_table("scp")["NORM"].label = "other"


def test_the_tables_need_neither_datasets_nor_pandas():
    module = sys.modules["anyecg_hf.corpora.label_tables"]
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert re.findall(r"^(?:import|from) (\S+)", source, flags=re.MULTILINE) == [
        *("csv", "importlib.resources", "re", "collections.abc", "dataclasses", "functools", "types", "typing"),
    ]
