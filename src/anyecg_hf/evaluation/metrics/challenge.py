# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
The score of the PhysioNet/Computing in Cardiology Challenges 2020 and 2021: mistakes between like diagnoses cost less.

Definition: Perez Alday et al., Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology Challenge 2020,
Physiol. Meas. 41 (2020) 124003; Reyna et al., Will two do? Varying dimensions in electrocardiography, CinC 2021.
Rewards: `weights.csv` of github.com/physionetchallenges/evaluation-2021: at commit e024f4e the 24 classes of 2020,
later the 26 of 2021.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks import check_labels
from .intervals import whole_rows

# Off the diagonal the published rewards are .5 less the distance of two classes on this line, in units of 1/80, from Q
# wave abnormality to sinus rhythm, but for the two pairs below it. A test compares them with the published table.
_UNIT = 1 / 80
_POSITIONS = {
    **{"AF": 8, "AFL": 8, "BBB": 10, "Brady": 24, "CLBBB|LBBB": 10, "CRBBB|RBBB": 16, "IAVB": 24, "IRBBB": 24},
    **{"LAD": 20, "LAnFB": 20, "LPR": 24, "LQRSV": 14, "LQT": 12, "NSIVCB": 20, "NSR": 28, "PAC|SVPB": 21, "PR": 18},
    **{"PRWP": 14, "PVC|VPB": 18, "QAb": 0, "RAD": 20, "SA": 24, "SB": 24, "STach": 18, "TAb": 8, "TInv": 8},
}
_EXCEPTIONS = {("BBB", "CLBBB|LBBB"): 0.475, ("LQRSV", "PRWP"): 0.475}
_NAMES_IN_2020 = {"BBB": None, "CLBBB|LBBB": "LBBB", "PRWP": None}


@dataclass(frozen=True, eq=False)
class ChallengeRewards:
    """
    What a decision for one class earns where another one is right.

    Attributes:
        classes (`tuple[str, ...]`): Names, in the order of the columns of labels and decisions.
        rewards (`np.ndarray` of shape `(classes, classes)`): Row: what is right; column: what was decided. 1 on the
            diagonal.
        normal_class (`str`): What a system without knowledge decides for every record, which scores 0.
    """

    classes: tuple[str, ...]
    rewards: np.ndarray
    normal_class: str

    def __post_init__(self) -> None:
        if np.shape(self.rewards) != (len(self.classes), len(self.classes)):
            raise ValueError(
                f"`rewards` must have a row and a column for each of the {len(self.classes)} classes, got shape"
                f" {np.shape(self.rewards)}."
            )
        if not np.isfinite(self.rewards).all():
            raise ValueError("`rewards` must be finite: a pair of classes has no reward.")
        if self.normal_class not in self.classes:
            raise ValueError(f"`normal_class` {self.normal_class!r} is not among the classes {self.classes}.")


def challenge_rewards(year: int) -> ChallengeRewards:
    """
    The published rewards of a challenge.

    Args:
        year (`int`): 2020 (24 classes) or 2021 (26). Classes that both have earn the same in both.

    Returns:
        [`ChallengeRewards`]: classes in the order of `corpora.label_tables.challenge_classes(year)`.

    Raises:
        `ValueError`: for another year.
    """
    if year not in (2020, 2021):
        raise ValueError(f"challenge year {year!r} is unknown; choose 2020 or 2021.")
    renamed = _NAMES_IN_2020 if year == 2020 else {}
    names = {name: renamed.get(name, name) for name in _POSITIONS}
    kept = sorted((name for name in names if names[name] is not None), key=lambda name: names[name].casefold())
    # To four decimals, which all of the published numbers have: as floats, .5 - .05 is not .45.
    rewards = np.array([[round(_reward(right, decided), 4) for decided in kept] for right in kept])
    return ChallengeRewards(tuple(names[name] for name in kept), rewards, "NSR")


def _reward(right: str, decided: str) -> float:
    if right == decided:
        return 1.0
    exception = _EXCEPTIONS.get((min(right, decided), max(right, decided)))
    return exception or 0.5 - _UNIT * abs(_POSITIONS[right] - _POSITIONS[decided])


def read_rewards(path: str | Path, normal_class: str) -> ChallengeRewards:
    """
    Reads rewards from a table in the form of the challenge's `weights.csv`.

    Args:
        path (`str` or `Path`): CSV with the classes in its first row and, in the same order, its first column.
        normal_class (`str`): The class that a system without knowledge decides, as the table calls it.

    Returns:
        [`ChallengeRewards`]

    Raises:
        `ValueError`: if rows and columns do not name the same classes, or a reward is missing or no number.
    """
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row] or [[""]]
    classes = header[1:]
    if [row[0] for row in rows] != classes or {len(row) for row in rows} != {len(header)}:
        raise ValueError(
            f"{path}: expected a square table with the same {len(classes)} classes in its first row and first column,"
            f" found {len(rows)} rows, first {[row[0] for row in rows[:3]]}."
        )
    try:
        rewards = np.array([[float(cell) for cell in row[1:]] for row in rows])
    except ValueError as error:
        raise ValueError(f"{path}: a reward is no number: {error}.") from None
    return ChallengeRewards(tuple(classes), rewards, normal_class)


@whole_rows
def challenge_score(
    labels: np.ndarray,
    decisions: np.ndarray,
    rewards: ChallengeRewards,
    class_names: Sequence[str] | None = None,
) -> float:
    """
    Challenge score: 1 for the right decisions, 0 for "normal" on every record, negative for worse.

    Every class that is right and every class that was decided for the same record earn their reward, divided by the
    number of classes that are right or decided. The sum over the records is scaled linearly between that of deciding
    the normal class always (0) and that of the right classes (1); it is 0 if these two are equal, as the challenge's
    own program has it.

    Choose thresholds on validation data; bind the rewards with `functools.partial` for [`bootstrap_interval`].

    Args:
        labels (`np.ndarray` of shape `(records, classes)`): Zeros and ones, in the order of `rewards.classes`. Classes
            that no record has are no error. Records without a scored class earn nothing, whatever is decided.
        decisions (`np.ndarray` of shape `(records, classes)`): Zeros and ones.
        rewards ([`ChallengeRewards`]): From [`challenge_rewards`] or [`read_rewards`].
        class_names (`Sequence[str]`, *optional*):
            Names of the columns; if given, they must be `rewards.classes` in the same order.

    Returns:
        `float`

    Raises:
        `ValueError`: if shapes differ, a value is not 0 or 1, or the columns are not those of `rewards`.

    Example:

    ```python
    >>> score = partial(challenge_score, rewards=challenge_rewards(2021))
    >>> interval = bootstrap_interval(score, labels, scores >= thresholds, groups=patient_ids)
    ```
    """
    if class_names is not None and tuple(class_names) != rewards.classes:
        raise ValueError(f"`class_names` {tuple(class_names)} must be the classes of `rewards`, {rewards.classes}.")
    labels = check_labels(labels, rewards.classes, every_class=False)
    decisions = check_labels(decisions, rewards.classes, "`decisions`", every_class=False)
    if decisions.shape != labels.shape:
        raise ValueError(f"`decisions` must have the shape of `labels`, {labels.shape}, got {decisions.shape}.")
    always_normal = np.zeros_like(labels)
    always_normal[:, rewards.classes.index(rewards.normal_class)] = True
    earned, best, idle = (_earned(labels, decided, rewards.rewards) for decided in (decisions, labels, always_normal))
    return (earned - idle) / (best - idle) if best != idle else 0.0


def _earned(labels: np.ndarray, decisions: np.ndarray, rewards: np.ndarray) -> float:
    shares = 1 / np.maximum((labels | decisions).sum(axis=1), 1)
    return float(((labels @ rewards) * decisions).sum(axis=1) @ shares)


__all__ = ["ChallengeRewards", "challenge_rewards", "challenge_score", "read_rewards"]
