# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Gain and arrangement, without drawing."""

import numpy as np
import pytest

from anyecg_hf.plotting.layout import arrange, choose_gain, clipped_leads
from anyecg_hf.plotting.view import ECGView, Traces


def view_of(values_mv: np.ndarray, lead_names: list[str], **changes) -> ECGView:
    """Ten seconds at 100 Hz."""
    record = Traces(np.asarray(values_mv, dtype=np.float32), 100.0, 0)
    return ECGView(record, tuple(lead_names), 0.0, 10.0, 10.0, 1.0, **changes)


@pytest.mark.parametrize(
    ("reaches_mv", "gain"),
    [
        ([4.0], 10.0),
        ([4.1], 5.0),
        ([1.0, 4.1], 5.0),
        ([1.0, 1.0, 30.0], 10.0),
        ([1.0, 8.1, 30.0], 2.5),
        ([50.0, 50.0, 50.0], 2.5),
    ],
)
def test_the_gain_lets_the_leads_fit_but_one_odd_lead_of_three_does_not_count(reaches_mv, gain):
    values = np.array(reaches_mv)[:, None] * np.tile([1.0, -1.0], 500)
    assert choose_gain(view_of(values, [f"lead {index}" for index in range(len(reaches_mv))])) == gain


def test_unusable_leads_neither_lower_the_gain_nor_count_as_clipped():
    view = view_of(np.full((2, 1000), 30.0) * [[1], [0]], ["II", "V5"], unusable={0: "saturated"})
    assert choose_gain(view) == 10.0
    assert clipped_leads(view, arrange(view), 10.0) == []


def test_only_what_the_columns_show_counts_as_clipped():
    names = "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6".split()
    values = np.zeros((12, 1000))
    values[0, 600] = values[1, 600] = values[6, 600] = 9.0
    view = view_of(values, names)
    assert [names[lead] for lead in clipped_leads(view, arrange(view), 10.0)] == ["II", "V1"]


def test_the_standard_layout_is_found_whatever_the_case_and_order_of_the_names():
    names = "v6 v5 v4 v3 v2 v1 AVF AVL AVR iii ii i".split()
    arrangement = arrange(view_of(np.zeros((12, 1000)), names))
    assert arrangement.standard
    assert [names[segment.lead] for segment in arrangement.rows[0]] == ["i", "AVR", "v1", "v4"]
    assert not arrange(view_of(np.zeros((12, 1000)), [*names[:-1], "V7"])).standard
