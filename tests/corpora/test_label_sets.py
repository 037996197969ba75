# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from anyecg_hf.corpora.label_sets import (
    ARRHYTHMIA_CLASSES,
    CORPUS_LABEL_SYSTEMS,
    LABEL_SETS,
    anomaly,
    arrhythmia_labels,
    classes_used,
    corpus_to_snomed,
    label_vocabulary,
)
from anyecg_hf.corpora.label_tables import LABEL_SYSTEMS, SNOMEDLabels, snomed_concepts

NSR, SB, STACH, SA = "426783006", "426177001", "427084000", "427393009"
AF, BRADY = "164889003", "426627000"
CODE_LISTS = ("cpsc-extra", "georgia", "chapman-shaoxing", "ningbo", "incart")


def answers(corpus: str, labels: list[str]) -> tuple[bool | None, ...]:
    """By default, with sinus rates called normal, and with sinus rates called abnormal."""
    return tuple(anomaly(corpus, labels, choice) for choice in (None, False, True))


class TestAnomalyOfCodeLists:
    @pytest.mark.parametrize("corpus", CODE_LISTS)
    def test_sinus_rhythm_alone_is_normal_and_any_other_code_is_not(self, corpus: str):
        assert answers(corpus, [NSR]) == (False, False, False)
        assert answers(corpus, [NSR, AF]) == (True, True, True)
        assert answers(corpus, [AF]) == (True, True, True)
        assert answers(corpus, [NSR, "251238007"]) == (True, True, True)
        assert answers(corpus, []) == answers(corpus, [""]) == (None, None, None)

    @pytest.mark.parametrize("corpus", CODE_LISTS)
    def test_sinus_rates_are_abnormal_unless_switched_off(self, corpus: str):
        for labels in ([SB], [NSR, STACH], [SA, SB]):
            assert answers(corpus, labels) == (True, False, True)
        assert answers(corpus, [SB, AF]) == (True, True, True)
        assert answers(corpus, [BRADY]) == (True, True, True)

    @pytest.mark.parametrize("label", ["Normal", "1", NSR])
    def test_cpsc2018_normal_in_words_numbers_or_codes(self, label: str):
        assert answers("cpsc2018", [label]) == (False, False, False)
        assert answers("cpsc2018", [label, "PVC"]) == (True, True, True)
        assert anomaly("cpsc2018", ["something"]) is True

    def test_acronyms_of_chapman_are_understood(self):
        assert anomaly("chapman-shaoxing", ["SR"]) is False
        assert answers("ningbo", ["ST"]) == (True, False, True)  # sinus tachycardia there


class TestAnomalyOfPTBXL:
    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (["NORM", "SR"], (False, False, False)),
            (["NORM"], (False, False, False)),
            (["NORM", "SBRAD"], (False, False, True)),
            (["NORM", "SARRH", "STACH"], (False, False, True)),
            (["NORM", "AFIB"], (True, True, True)),
            (["NORM", "BIGU"], (True, True, True)),  # a rhythm without a code
            (["NORM", "IRBBB", "SR"], (True, True, True)),
            (["IMI"], (True, True, True)),
            (["NORM", "PVC", "SR"], (False, False, False)),  # form statements do not count
            (["SR"], (None, None, None)),
            (["PVC"], (None, None, None)),
            (["STACH"], (None, None, True)),
            (["AFIB"], (True, True, True)),
        ],
    )
    def test_by_superclass_and_rhythm(self, labels: list[str], expected: tuple):
        assert answers("ptb-xl", labels) == expected

    def test_codes_of_challenge_headers_are_left_out(self):
        assert answers("ptb-xl", [NSR]) == answers("ptb-xl", [AF, NSR]) == (None, None, None)

    def test_statements_that_ptbxl_does_not_have_are_refused(self):
        with pytest.raises(ValueError, match="expected SCP codes of PTB-XL, such as NORM or IMI, got 'AFIBB'"):
            anomaly("ptb-xl", ["NORM", "AFIBB"])


class TestAnomalyOfPTB:
    def test_a_healthy_control_is_normal_and_any_other_reason_is_not(self):
        assert answers("ptb", ["Healthy control"]) == (False, False, False)
        assert answers("ptb", ["Myocardial infarction"]) == (True, True, True)
        assert anomaly("ptb", ["Something never seen"]) is True

    def test_no_reason_and_challenge_codes_are_left_out(self):
        assert anomaly("ptb", ["n/a"]) is None
        assert anomaly("ptb", [NSR]) is None


class TestAnomalyOfOtherCorpora:
    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (["1"], (False, False, False)),
            (["1", "1"], (False, False, False)),
            (["22"], (True, False, True)),
            (["1", "23"], (True, False, True)),
            (["22", "23"], (True, False, True)),
            (["22", "147"], (True, True, True)),
            (["152"], (True, True, True)),
            (["777"], (True, True, True)),
        ],
    )
    def test_sph(self, labels: list[str], expected: tuple):
        assert answers("sph", labels) == expected

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (["normal_ecg"], (False, False, False)),
            (["SB"], (True, None, True)),
            (["AF", "ST"], (True, True, True)),
            (["normal_ecg", "SB"], (None, False, True)),
            (["normal_ecg", "AF"], (None, None, None)),
            (["normal_ecg", "AF", "ST"], (None, None, None)),
            ([], (None, None, None)),
        ],
    )
    def test_code15(self, labels: list[str], expected: tuple):
        assert answers("code-15", labels) == expected

    def test_flags_that_code15_does_not_have_are_refused(self):
        with pytest.raises(
            ValueError, match="expected labels among 1dAVb, RBBB, LBBB, SB, ST, AF, normal_ecg, got 'IAVB'"
        ):
            anomaly("code-15", ["IAVB"])

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (["Sinus rhythm", "Normal ECG"], (False, False, False)),
            (["SINUS RHYTHM.", "- NORMAL ECG -"], (False, False, False)),
            (["Sinus bradycardia", "Normal ECG"], (False, False, True)),
            (["Sinus bradycardia", "Normal ECG except for rate"], (None, False, True)),
            (["Sinus rhythm", "Abnormal ECG"], (True, True, True)),
            (["Sinus tachycardia", "Abnormal ECG"], (True, True, True)),
            (["Summary: Abnormal"], (True, True, True)),
            (["Sinus rhythm", "Borderline ECG"], (None, None, None)),
            (["Otherwise normal ECG"], (None, None, None)),
            (["Normal ECG", "Lateral T wave abnormality is borderline"], (None, None, None)),
            (["Normal ECG based on available leads"], (None, None, None)),
            (["Sinus rhythm"], (None, None, None)),
        ],
    )
    def test_mimic(self, labels: list[str], expected: tuple):
        assert answers("mimic-iv-ecg", labels) == expected

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (["Sinus rhythm", "Electric axis of the heart: vertical"], (False, False, False)),
            (["Rhythm: Sinus rhythm.", "Electric axis of the heart: left axis deviation"], (False, False, False)),
            (["Sinus bradycardia"], (True, False, True)),
            (["Irregular sinus rhythm"], (True, True, True)),
            (["Sinus rhythm", "Early repolarization syndrome"], (True, True, True)),
            (["Sinus rhythm", "a text never seen"], (True, True, True)),
            (["Electric axis of the heart: normal"], (None, None, None)),
        ],
    )
    def test_ludb(self, labels: list[str], expected: tuple):
        assert answers("ludb", labels) == expected

    @pytest.mark.parametrize("corpus", ["mit-bih", "incart"])
    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (["N"], (False, False, False)),
            (["+", "N", "(N\0", "|"], (False, False, False)),
            (["N", "V"], (True, True, True)),
            (["N", "V", "~"], (True, True, True)),
            (["N", "~"], (None, None, None)),
            (["N", "Q"], (None, None, None)),
            (["N", "(AFIB"], (True, True, True)),
            (["N", "(SBR"], (True, False, True)),
            (["N", "(NEVER"], (True, True, True)),
            (["N", "MISSB"], (None, None, None)),
            (["L", "(N"], (True, True, True)),
            (["["], (True, True, True)),
            (["+", "(N"], (None, None, None)),
        ],
    )
    def test_beats(self, corpus: str, labels: list[str], expected: tuple):
        assert answers(corpus, labels) == expected

    @pytest.mark.parametrize(("label", "expected"), [("N", False), ("A", True), ("O", True), ("~", None)])
    def test_cinc2017(self, label: str, expected: bool | None):
        assert answers("cinc2017", [label]) == (expected,) * 3

    def test_classes_that_cinc2017_does_not_have_are_refused(self):
        with pytest.raises(ValueError, match="expected labels among N, A, O, ~, got 'AF'"):
            anomaly("cinc2017", ["AF"])

    @pytest.mark.parametrize("corpus", ["cinc2011", "folder"])
    def test_corpora_without_diagnoses_are_left_out(self, corpus: str):
        assert answers(corpus, ["acceptable"]) == answers(corpus, [NSR]) == (None, None, None)

    @pytest.mark.parametrize("corpus", CORPUS_LABEL_SYSTEMS)
    def test_no_label_is_left_out_everywhere(self, corpus: str):
        assert answers(corpus, []) == (None, None, None)

    def test_an_unknown_corpus_is_refused_with_the_choices(self):
        with pytest.raises(
            ValueError, match="corpus 'ptbxl' is unknown; choose one of cpsc2018, cpsc-extra, incart, ptb"
        ):
            anomaly("ptbxl", ["NORM"])

    def test_one_string_is_refused(self):
        with pytest.raises(TypeError, match="expected several labels, got the string 'NORM'"):
            anomaly("ptb-xl", "NORM")


class TestArrhythmia:
    def test_no_code_counts_for_two_classes_and_all_are_known(self):
        codes = [code for item in ARRHYTHMIA_CLASSES for code in item.codes]
        assert len(ARRHYTHMIA_CLASSES) == len({item.name for item in ARRHYTHMIA_CLASSES}) == 18
        assert len(codes) == len(set(codes)) and set(codes) <= set(snomed_concepts())

    def test_the_three_codes_of_ventricular_premature_beats_are_one_class(self):
        for code in ("427172004", "17338001", "164884008"):
            assert arrhythmia_labels([code]) == ("PVC",)

    def test_labels_come_once_and_in_the_order_of_the_classes(self):
        codes = ["270492004", "63593006", "284470004", NSR, "59118001", "164947007"]
        assert arrhythmia_labels(codes) == ("NSR", "PAC", "AVB1")

    @pytest.mark.parametrize(
        "code",
        [
            *("195080001", "233917008", BRADY, "698247007", "50799005"),  # unspecific
            *("59118001", "164909002", "74390002", "195060002", "13640000"),  # conduction, fusion
            *("164854000", "102594003", "251238007"),
        ],
    )
    def test_codes_of_no_class(self, code: str):
        assert arrhythmia_labels([code]) == ()


class TestClassesUsed:
    def test_ningbo_has_no_fibrillation_and_sph_no_sinus_rhythm(self):
        assert "AF" not in classes_used("ningbo", "arrhythmia") and "AFL" in classes_used("ningbo", "arrhythmia")
        assert "NSR" not in classes_used("sph", "arrhythmia") and "SB" in classes_used("sph", "arrhythmia")

    def test_small_systems_have_their_few_classes_in_the_order_of_the_set(self):
        assert classes_used("code-15", "arrhythmia") == ("SB", "STach", "AF", "AVB1")
        assert classes_used("cinc2017", "challenge-2020") == ("AF", "NSR")
        assert classes_used("cpsc2018", "arrhythmia") == ("NSR", "AF", "PAC", "PVC", "AVB1")
        assert classes_used("ptb", "arrhythmia") == ()

    def test_poor_r_wave_progression_exists_in_ningbo_only(self):
        challenge = ("cpsc2018", "cpsc-extra", "georgia", "chapman-shaoxing", "ningbo")
        assert [name for name in challenge if "PRWP" in classes_used(name, "challenge-2021")] == ["ningbo"]
        assert "PRWP" not in classes_used("ningbo", "challenge-2020")

    def test_headers_of_the_challenge_and_the_corpus_itself_differ(self):
        assert "LAD" not in classes_used("ptb-xl", "challenge-2021")
        assert "LAD" in classes_used("ptb-xl", "challenge-2021", challenge_layout=True)
        assert classes_used("incart", "arrhythmia") == ("SVR", "PAC", "PVC")
        assert "VT" in classes_used("incart", "arrhythmia", challenge_layout=True)

    def test_beats_count_for_the_corpora_that_use_them(self):
        assert "PACE" in classes_used("mit-bih", "arrhythmia")

    def test_nothing_is_known_of_folders(self):
        assert classes_used("folder", "arrhythmia") == classes_used("cinc2011", "challenge-2021") == ()

    def test_wrong_names_are_refused(self):
        with pytest.raises(ValueError, match="label set 'rhythm' is unknown; choose one of arrhythmia, challenge-2020"):
            classes_used("sph", "rhythm")
        with pytest.raises(ValueError, match="corpus 'sph2' is unknown"):
            classes_used("sph2", "arrhythmia")
        with pytest.raises(ValueError, match="corpus 'sph' is not part of Challenge 2021"):
            classes_used("sph", "arrhythmia", challenge_layout=True)

    @pytest.mark.parametrize("corpus", CORPUS_LABEL_SYSTEMS)
    def test_every_corpus_and_set_has_an_answer(self, corpus: str):
        assert set(CORPUS_LABEL_SYSTEMS[corpus]) <= set(LABEL_SYSTEMS)
        for label_set in LABEL_SETS:
            assert isinstance(classes_used(corpus, label_set), tuple)


class TestVocabulary:
    def test_it_has_codes_and_native_labels(self):
        assert {"1AVB", "270492004", "NORM"} <= label_vocabulary("ptb-xl")
        assert label_vocabulary("georgia") == label_vocabulary("georgia", challenge_layout=True)
        assert {AF, NSR} <= label_vocabulary("georgia")

    def test_beats_are_those_of_the_corpora_that_use_them(self):
        assert "(AFIB" in label_vocabulary("mit-bih") and "(AFIB" not in label_vocabulary("incart")

    def test_nothing_can_be_said_in_one_corpus_and_nobody_knows_of_folders(self):
        assert label_vocabulary("cinc2011") == frozenset() and label_vocabulary("folder") is None

    def test_unknown_corpora_and_layouts_are_refused(self):
        with pytest.raises(ValueError, match="corpus 'sph2' is unknown"):
            label_vocabulary("sph2")
        with pytest.raises(ValueError, match="'sph' is not part of Challenge 2021"):
            label_vocabulary("sph", challenge_layout=True)


class TestCorpusToSNOMED:
    def test_each_label_is_read_in_the_system_that_knows_it(self):
        assert corpus_to_snomed("cpsc2018", ["AF", "59118001", "AF", "XY"]) == SNOMEDLabels((AF, "59118001"), ("XY",))
        assert corpus_to_snomed("ptb-xl", ["NORM", NSR]).codes == ("164854000", NSR)
        assert corpus_to_snomed("chapman-shaoxing", ["AF"]).codes == ("164890007",)
        assert corpus_to_snomed("georgia", ["AF"]) == SNOMEDLabels((), ("AF",))
        assert corpus_to_snomed("ningbo", ["6180003"]) == SNOMEDLabels(("6180003",), ("6180003",))
        assert corpus_to_snomed("cinc2011", ["acceptable"]) == SNOMEDLabels((), ("acceptable",))
