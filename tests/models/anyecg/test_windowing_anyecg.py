# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from anyecg_hf.models.anyecg.windowing_anyecg import window_spans


@pytest.mark.parametrize("length", [1, 3, 40])
@pytest.mark.parametrize("patches", [1, 2, 39, 40, 41, 79, 80, 81, 100, 997])
def test_the_fewest_windows_cover_the_record_evenly(patches, length):
    spans = window_spans(patches, length)
    assert [patch for span in spans for patch in range(patches)[span]] == list(range(patches))
    sizes = [span.stop - span.start for span in spans]
    assert len(sizes) == -(-patches // length)
    assert max(sizes) <= length and max(sizes) - min(sizes) <= 1


def test_a_record_just_over_a_window_leaves_no_scrap():
    assert window_spans(41, 40) == [slice(0, 20), slice(20, 41)]


def test_what_fits_is_not_split_and_multiples_are_whole_windows():
    assert window_spans(40, 40) == [slice(0, 40)]
    assert window_spans(12, 40) == [slice(0, 12)]
    assert window_spans(120, 40) == [slice(0, 40), slice(40, 80), slice(80, 120)]


def test_a_record_without_patches_has_no_window():
    assert window_spans(0, 40) == []


@pytest.mark.parametrize("length", [0, -1])
def test_an_empty_window_is_refused(length):
    with pytest.raises(ValueError, match=f"at least one patch, got `length` {length}"):
        window_spans(10, length)
