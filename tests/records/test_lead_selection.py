# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which signals are ECG leads, by unit, name and rate, and what is said of the others."""

import warnings
from pathlib import Path

import pytest

from anyecg_hf.records import RecordError
from anyecg_hf.records.lead_selection import StatedSignal, select_leads

PATH = Path("a.edf")


def select(*signals: tuple, lead_names: list[str] | None = None) -> list[int]:
    """Signals as `(name, unit, rate)`; unit and rate may be left out."""
    stated = [StatedSignal(*signal, *("mV", 250.0)[len(signal) - 1 :]) for signal in signals]
    return select_leads(PATH, stated, lead_names)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "names", [["I", "II"], ["ECG"], ["EKG1", "EKG2"], ["CH1", "CH2"], ["C1", "C2", "C3"], ["X", "Y"]]
)
def test_voltages_are_leads_without_a_warning(names):
    assert select(*[(name,) for name in names]) == list(range(len(names)))


@pytest.mark.parametrize(
    "name",
    [
        *["EEG", "EEG Fpz-Cz", "EEG(sec)", "EEG2", "eog left", "EOG(L)", "EMG chin", "EMG1", "EP 3", "Resp nasal"],
        *["Fp1", "Cz", "C3-A2", "C4:M1", "O2-AVG", "F3/REF", "T3", "RESP", "PLETH", "ABP"],
    ],
)
def test_voltages_named_as_something_else_are_left_out_with_a_warning(name):
    with pytest.warns(
        UserWarning, match="a.edf: signals left out, named as something other than an ECG lead: "
    ) as warned:
        assert select((name,), ("ECG",)) == [1]
    assert repr(name) in str(warned[0].message)


def test_a_chest_lead_is_an_electrode_on_the_scalp_only_among_such():
    assert select(("C3",), ("C4",), ("ECG",)) == [0, 1, 2]
    for other in ("O1", "EEG Cz", "Fp1-A2"):
        with pytest.warns(UserWarning, match=f"'C3', 'C4', '{other}'"):
            assert select(("C3",), ("C4",), ("ECG",), (other,)) == [2]


def test_a_file_of_other_signals_is_no_ecg():
    with pytest.raises(RecordError, match=r"an ECG lead among its voltages, found 'Fp1' \(mV\), 'Temp' \(C\)"):
        select(("Fp1",), ("Temp", "C"))
    with pytest.raises(RecordError, match=r"at least one signal in a unit of voltage, found 'Temp' \(C\), 'aux' \(no"):
        select(("Temp", "C"), ("aux", None))
    with pytest.raises(RecordError, match="at least one signal in a unit of voltage, found no signal"):
        select()


def test_a_signal_without_a_unit_is_a_lead_if_its_name_says_so():
    with pytest.warns(UserWarning, match=r"not in a unit of voltage: 'Status' \(no unit\)"):
        assert select(("ECG", None), ("V1", None), ("Status", None)) == [0, 1]


def test_a_named_lead_in_another_unit_is_an_error():
    with pytest.raises(RecordError, match="lead V1 in a unit of voltage: .*, found 'mmHg'"):
        select(("I",), ("V1", "mmHg"))


def test_another_rate_is_left_out_with_a_warning_where_leads_are_named():
    with pytest.warns(UserWarning, match=r"than the ECG leads \(250 Hz\): 'CH1' \(100 Hz\), 'CH3' \(500 Hz\)"):
        assert select(("CH1", "mV", 100.0), ("II",), ("CH3", "mV", 500.0), ("CH4",)) == [1, 3]


@pytest.mark.parametrize("names", [("I", "II"), ("ECG 1", "ECG 2"), ("CH1", "CH2")])
def test_leads_of_several_rates_are_an_error(names):
    with pytest.raises(RecordError, match=f"found {names[0]} at 250 Hz, {names[1]} at 500 Hz. Resample the leads"):
        select((names[0],), (names[1], "mV", 500.0))


def test_rates_that_nobody_states_are_alike():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert select(("I", "mV", None), ("II", "mV", None)) == [0, 1]


@pytest.mark.filterwarnings("error")
def test_names_from_the_caller_make_leads_of_as_many_voltages_or_signals_without_a_unit():
    assert select(("F1",), ("F2",), lead_names=["I", "II"]) == [0, 1]
    assert select(("Ch1", None), ("Ch2", None), lead_names=["I", "II"]) == [0, 1]
    with pytest.warns(UserWarning, match="not in a unit of voltage: 'Status' \\(no unit\\)"):
        assert select(("Ch1",), ("Status", None), ("Ch2",), lead_names=["I", "II"]) == [0, 2]
    with pytest.warns(UserWarning, match="named as something other than an ECG lead: 'EEG'"):
        assert select(("EEG",), ("ECG",), lead_names=["I"]) == [1]
