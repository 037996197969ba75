# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Label sets of this project: normal or abnormal, and rhythm classes. Both are our own definitions (`docs/labels.md`), so
figures compare with others only where these used the same rule.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from .label_tables import (
    NativeLabel,
    SNOMEDLabels,
    WFDBLabel,
    challenge_classes,
    challenge_counts,
    checked_labels,
    is_snomed_code,
    label_table,
    normalised_label,
    scp_statements,
    superclasses,
    to_snomed,
)

# The systems in which a corpus may write its labels; the first that knows a label says what it means.
CORPUS_LABEL_SYSTEMS = {
    "cpsc2018": ("cpsc2018", "snomed"),
    "cpsc-extra": ("snomed",),
    "incart": ("wfdb", "snomed"),
    "ptb": ("ptb", "snomed"),
    "ptb-xl": ("scp", "snomed"),
    "georgia": ("snomed",),
    "chapman-shaoxing": ("snomed", "chapman"),
    "ningbo": ("snomed", "chapman"),
    "mimic-iv-ecg": ("mimic",),
    "code-15": ("code15",),
    "sph": ("aha",),
    "mit-bih": ("wfdb",),
    "ludb": ("ludb",),
    "cinc2017": ("cinc2017",),
    "cinc2011": (),
    "folder": ("snomed",),
}

LABEL_SETS = ("arrhythmia", "challenge-2020", "challenge-2021")

_SINUS_RHYTHM = "426783006"
# Bradycardia, tachycardia and arrhythmia of the sinus node, in every system that has words for them.
_SINUS_RATE_CODES = {"426177001", "427084000", "427393009"}
_AXIS_TEXT = "electric axis of the heart"
_NORMAL_ECG, _NORMAL_BUT_FOR_RATE = "normal ecg", "normal ecg except for rate"
_MACHINE_RIDERS = ("abnormal", "borderline", "otherwise")


@dataclass(frozen=True)
class ArrhythmiaClass:
    """
    A rhythm class of this project.

    Attributes:
        name (`str`): Short form.
        title (`str`): In words.
        codes (`tuple[str, ...]`): The SNOMED CT codes that count for it; no code counts for two classes.
    """

    name: str
    title: str
    codes: tuple[str, ...]


ARRHYTHMIA_CLASSES = (
    ArrhythmiaClass("NSR", "sinus rhythm", (_SINUS_RHYTHM,)),
    ArrhythmiaClass("SB", "sinus bradycardia", ("426177001",)),
    ArrhythmiaClass("STach", "sinus tachycardia", ("427084000",)),
    ArrhythmiaClass("SA", "sinus arrhythmia", ("427393009",)),
    ArrhythmiaClass(
        "SND",
        "sinus arrest, sinoatrial block or other dysfunction of the sinus node",
        ("5609005", "65778007", "60423000", "74615001"),
    ),
    ArrhythmiaClass("AF", "atrial fibrillation", ("164889003", "282825002", "426749004", "314208002")),
    ArrhythmiaClass("AFL", "atrial flutter", ("164890007",)),
    ArrhythmiaClass(
        "SVT",
        "other supraventricular tachycardia",
        ("426761007", "67198005", "713422000", "251166008", "233896004", "233897008", "426648003"),
    ),
    ArrhythmiaClass(
        "SVR",
        "other atrial or junctional rhythm, escape beats included",
        ("106068003", "195101003", "17366009", "233892002", "29320008", "426664006", "251187003", "426995002"),
    ),
    ArrhythmiaClass(
        "PAC",
        "supraventricular premature beats",
        ("284470004", "63593006", "251173003", "251168009", "251170000", "251164006"),
    ),
    ArrhythmiaClass(
        "PVC",
        "ventricular premature beats",
        ("427172004", "17338001", "164884008", "11157007", "251180001", "251182009"),
    ),
    ArrhythmiaClass("VT", "ventricular tachycardia", ("164895002", "425856008")),
    ArrhythmiaClass("VF", "ventricular fibrillation or flutter", ("164896001", "111288001")),
    ArrhythmiaClass(
        "VER",
        "ventricular escape or idioventricular rhythm, escape beats included",
        ("49260003", "61277005", "81898007", "75532003"),
    ),
    ArrhythmiaClass("AVB1", "1st degree AV block or prolonged PR interval", ("270492004", "164947007")),
    ArrhythmiaClass("AVB2", "2nd degree AV block", ("195042002", "54016002", "426183003", "28189009")),
    ArrhythmiaClass("AVB3", "complete AV block", ("27885002",)),
    ArrhythmiaClass("PACE", "artificial pacing", ("10370003", "251268003", "251266004")),
)


def arrhythmia_labels(codes: Iterable[str]) -> tuple[str, ...]:
    """
    Names of the rhythm classes that SNOMED CT codes belong to.

    Args:
        codes (`Iterable[str]`): Codes; those of no class count for nothing.

    Returns:
        `tuple[str, ...]`: in the order of `ARRHYTHMIA_CLASSES`. A class that is missing is a negative only where the
        corpus uses it at all: see [`classes_used`].
    """
    present = set(checked_labels(codes))
    return tuple(item.name for item in ARRHYTHMIA_CLASSES if present.intersection(item.codes))


def corpus_to_snomed(corpus: str, native_labels: Iterable[str]) -> SNOMEDLabels:
    """
    Maps the labels of a record of a corpus, in whichever of its systems each is written.

    Args:
        corpus (`str`): Name of the corpus.
        native_labels (`Iterable[str]`): Its labels.

    Returns:
        [`SNOMEDLabels`]: as from [`to_snomed`].

    Raises:
        ValueError: If there is no such corpus.
        TypeError: If a label is no string, or all of them are one string.
    """
    systems = CORPUS_LABEL_SYSTEMS[_checked_corpus(corpus)]
    codes: dict[str, None] = {}
    unmapped: dict[str, None] = {}
    for label in checked_labels(native_labels):
        found = [mapped for system in systems if (mapped := to_snomed(system, [label])).codes]
        codes.update(dict.fromkeys(found[0].codes if found else ()))
        unmapped.update(dict.fromkeys(found[0].unmapped if found else (label,)))
    return SNOMEDLabels(tuple(codes), tuple(unmapped))


def classes_used(corpus: str, label_set: str, challenge_layout: bool = False) -> tuple[str, ...]:
    """
    The classes that a corpus can show at all. Elsewhere a missing label is no negative: mask the others in training on
    several corpora, and report per corpus.

    Args:
        corpus (`str`): Name of the corpus.
        label_set (`str`): One of `LABEL_SETS`.
        challenge_layout (`bool`, *optional*, defaults to `False`): Whether the labels of `incart`, `ptb` or `ptb-xl`
            are the codes of the challenge headers instead of the corpus's own. The other parts of the challenge have
            codes anyway, and then the published counts of Challenge 2021 decide.

    Returns:
        `tuple[str, ...]`: in the order of the classes; none for `cinc2011` and `folder`, of which nothing is known.

    Raises:
        ValueError: If there is no such corpus or label set, or the challenge does not include the corpus.
    """
    if label_set == "arrhythmia":
        classes = ARRHYTHMIA_CLASSES
    elif label_set in LABEL_SETS:
        classes = challenge_classes(int(label_set.removeprefix("challenge-")))
    else:
        raise ValueError(f"label set {label_set!r} is unknown; choose one of {', '.join(LABEL_SETS)}.")
    vocabulary = label_vocabulary(corpus, challenge_layout) or frozenset()
    return tuple(item.name for item in classes if not vocabulary.isdisjoint(item.codes))


@cache
def label_vocabulary(corpus: str, challenge_layout: bool = False) -> frozenset[str] | None:
    """
    All that the records of a corpus can be labelled with.

    Args:
        corpus (`str`), challenge_layout (`bool`, *optional*, defaults to `False`): As in [`classes_used`].

    Returns:
        `frozenset[str]` or `None`: SNOMED CT codes and native labels; none for `cinc2011`, which has words for the
        quality of a record only. `None` for `folder`: nobody knows.

    Raises:
        ValueError: If there is no such corpus, or the challenge does not include it.
    """
    systems = CORPUS_LABEL_SYSTEMS[_checked_corpus(corpus)]
    if corpus == "folder":
        return None
    if not systems:
        return frozenset()
    if challenge_layout or systems[0] == "snomed":
        return frozenset(code for code, n_records in challenge_counts(corpus).items() if n_records)
    table = label_table(systems[0]).items()
    used = {key: item for key, item in table if not isinstance(item, WFDBLabel) or corpus in item.used_by}
    return frozenset([*used, *(code for item in used.values() for code in item.codes)])


def anomaly(corpus: str, native_labels: Iterable[str], sinus_rate_is_abnormal: bool | None = None) -> bool | None:
    """
    Whether a record is abnormal by this project's definition.

    Args:
        corpus (`str`): Name of the corpus; each has its own rule.
        native_labels (`Iterable[str]`): Labels in the corpus's own system: the codes or words of `#Dx` for parts of the
            challenge, the reason for admission for PTB, SCP codes for PTB-XL, statements such as `147+367` for SPH, the
            true flags of CODE-15%, the machine's statements for MIMIC-IV-ECG, the texts of LUDB, the beat symbols and
            rhythm notes of a record or window for MIT-BIH and INCART, the class of CinC 2017. Challenge codes of PTB
            and PTB-XL are left out: they do not tell normal from sinus rhythm.
        sinus_rate_is_abnormal (`bool`, *optional*):
            Whether bradycardia, tachycardia and arrhythmia of the sinus node alone make a record abnormal. By default
            they do, except in PTB-XL, which states rhythm apart from the diagnosis, and in MIMIC-IV-ECG, where the
            machine's summary decides.

    Returns:
        `bool` or `None`: abnormal, normal, or left out (nothing stated, undecided, noise, a corpus without diagnoses).

    Raises:
        ValueError: If there is no such corpus, or a label is not of its system where that is closed.
        TypeError: If a label is no string, or all of them are one string.
    """
    rule = _RULES.get(_checked_corpus(corpus))
    labels = checked_labels(native_labels)
    return rule(labels, sinus_rate_is_abnormal) if rule and labels else None


def _checked_corpus(corpus: str) -> str:
    if corpus not in CORPUS_LABEL_SYSTEMS:
        raise ValueError(f"corpus {corpus!r} is unknown; choose one of {', '.join(CORPUS_LABEL_SYSTEMS)}.")
    return corpus


def _code_list_rule(corpus: str) -> "Rule":
    """Normal is sinus rhythm and nothing else."""

    def rule(labels: tuple[str, ...], sinus_rate_is_abnormal: bool | None) -> bool:
        found = corpus_to_snomed(corpus, labels)
        allowed = {_SINUS_RHYTHM} | (_SINUS_RATE_CODES if sinus_rate_is_abnormal is False else set())
        return bool(found.unmapped) or not allowed.issuperset(found.codes)

    return rule


def _ptbxl_rule(labels: tuple[str, ...], sinus_rate_is_abnormal: bool | None) -> bool | None:
    if all(map(is_snomed_code, labels)):
        return None
    found = superclasses(labels)
    rhythms = {code for item in scp_statements(labels) if item.rhythm for code in item.codes or (item.label,)}
    allowed = {_SINUS_RHYTHM} | (set() if sinus_rate_is_abnormal else _SINUS_RATE_CODES)
    if rhythms - allowed or set(found) - {"NORM"}:
        return True
    return False if found else None


def _ptb_rule(labels: tuple[str, ...], _: bool | None) -> bool | None:
    reasons = {normalised_label("ptb", label) for label in labels} - {"n/a"}
    if not reasons or all(map(is_snomed_code, labels)):
        return None
    return reasons != {"healthy control"}


def _sph_rule(labels: tuple[str, ...], sinus_rate_is_abnormal: bool | None) -> bool:
    statements = {normalised_label("aha", label) for label in labels}
    if sinus_rate_is_abnormal is False:
        table = label_table("aha")
        statements = {item for item in statements if item not in table or not _is_sinus_rate(table[item].codes)}
    return not statements <= {"1"}


def _code15_rule(labels: tuple[str, ...], sinus_rate_is_abnormal: bool | None) -> bool | None:
    table = _closed_table("code15", labels)
    flags = {label.strip() for label in labels}
    findings = flags - {"normal_ecg"}
    rates = {flag for flag in findings if _is_sinus_rate(table[flag].codes)}
    if sinus_rate_is_abnormal is False:
        findings -= rates
    if "normal_ecg" not in flags:
        return True if findings else None
    if not findings:
        return False
    # A normal ECG with a finding contradicts itself, unless the finding is a rate that the caller calls abnormal.
    return True if sinus_rate_is_abnormal and findings == rates else None


def _mimic_rule(labels: tuple[str, ...], sinus_rate_is_abnormal: bool | None) -> bool | None:
    statements = {normalised_label("mimic", label) for label in labels}
    if statements & {"abnormal ecg", "abnormal"}:
        return True
    normal = {_NORMAL_ECG} if sinus_rate_is_abnormal is None else {_NORMAL_ECG, _NORMAL_BUT_FOR_RATE}
    if not statements & normal or any(rider in text for text in statements for rider in _MACHINE_RIDERS):
        return None
    rates = _SINUS_RATE_CODES.intersection(to_snomed("mimic", labels).codes)
    return bool(sinus_rate_is_abnormal and (rates or _NORMAL_BUT_FOR_RATE in statements))


def _ludb_rule(labels: tuple[str, ...], sinus_rate_is_abnormal: bool | None) -> bool | None:
    texts = {text for label in labels if not (text := normalised_label("ludb", label)).startswith(_AXIS_TEXT)}
    if not texts:
        return None
    table = label_table("ludb")
    codes = {code for text in texts for code in (table[text].codes if text in table else ()) or (text,)}
    return not codes <= {_SINUS_RHYTHM} | (_SINUS_RATE_CODES if sinus_rate_is_abnormal is False else set())


def _beats_rule(labels: tuple[str, ...], sinus_rate_is_abnormal: bool | None) -> bool | None:
    if all(map(is_snomed_code, labels)):
        return _code_list_rule("incart")(labels, sinus_rate_is_abnormal)
    table = label_table("wfdb")
    present = {normalised_label("wfdb", label) for label in labels}
    # Notes that begin otherwise, such as "MISSB", are no rhythms.
    strange = {label for label in present if label not in table}
    known = {label: table[label] for label in present - strange}
    findings = {
        label
        for label, item in known.items()
        if item.kind in ("beat", "rhythm") and label not in ("N", "(N")
        if not (sinus_rate_is_abnormal is False and _is_sinus_rate(item.codes))
    }
    if findings or any(label.startswith("(") for label in strange):
        return True
    unclear = any(item.kind == "unclear" for item in known.values())
    return None if unclear or strange or "N" not in present else False


def _cinc2017_rule(labels: tuple[str, ...], _: bool | None) -> bool | None:
    _closed_table("cinc2017", labels)
    classes = {label.strip() for label in labels}
    return None if "~" in classes else classes != {"N"}


def _closed_table(system: str, labels: tuple[str, ...]) -> Mapping[str, NativeLabel]:
    table = label_table(system)
    unknown = [label for label in labels if normalised_label(system, label) not in table]
    if unknown:
        raise ValueError(f"expected labels among {', '.join(table)}, got {', '.join(map(repr, unknown))}.")
    return table


def _is_sinus_rate(codes: tuple[str, ...]) -> bool:
    return bool(codes) and _SINUS_RATE_CODES.issuperset(codes)


Rule = Callable[[tuple[str, ...], bool | None], bool | None]

_RULES: dict[str, Rule] = {
    **{name: _code_list_rule(name) for name in ("cpsc2018", "cpsc-extra", "georgia", "chapman-shaoxing", "ningbo")},
    "incart": _beats_rule,
    "mit-bih": _beats_rule,
    "ptb": _ptb_rule,
    "ptb-xl": _ptbxl_rule,
    "sph": _sph_rule,
    "code-15": _code15_rule,
    "mimic-iv-ecg": _mimic_rule,
    "ludb": _ludb_rule,
    "cinc2017": _cinc2017_rule,
}


__all__ = [
    "ARRHYTHMIA_CLASSES",
    "CORPUS_LABEL_SYSTEMS",
    "LABEL_SETS",
    "ArrhythmiaClass",
    "anomaly",
    "arrhythmia_labels",
    "classes_used",
    "corpus_to_snomed",
    "label_vocabulary",
]
