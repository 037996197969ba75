# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`AnyECGTokenizer.stream`."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from tests.models.ecg_signals import heartbeats
from tests.models.long_records import pieces
from tests.models.tiny import tiny_config

from anyecg_hf import AnyECGModel, AnyECGTokenizer
from anyecg_hf.models.anyecg.streaming_anyecg import ECGWindow, ECGWindowStream
from anyecg_hf.records import ECGRecord
from anyecg_hf.records.source import ArraySource

LEADS = ("II", "V1")
RATE = 100


class PlainSource:
    """Samples, rate, lead names and a way to read: all that a source needs. `reads` keeps what was asked for."""

    def __init__(self, signal_mv: np.ndarray, lead_names: tuple[str, ...] = LEADS):
        self.signal_mv = signal_mv
        self.sampling_rate = RATE
        self.lead_names = lead_names
        self.n_samples = signal_mv.shape[1]
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> np.ndarray:
        self.reads.append((start, stop))
        return self.signal_mv[:, start:stop]


def beats(seconds: float, leads: int = 2) -> np.ndarray:
    return heartbeats(leads, seconds, RATE, wander_mv=0.2, noise_mv=0.02)


@pytest.fixture(scope="module")
def tokenizer() -> AnyECGTokenizer:
    """Patches of a quarter of a second."""
    return AnyECGTokenizer(patch_size=75)


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    """130.6 s of three leads: the second one flat, the last one with a gap of 3 s."""
    signal_mv = beats(130.6, leads=3)
    signal_mv[1] = 0.2
    signal_mv[2, 6000:6300] = np.nan
    return ECGRecord(signal_mv, RATE, ("II", "V1", "unknown"))


@pytest.fixture(scope="module")
def cleaned(tokenizer: AnyECGTokenizer, record: ECGRecord):
    with pytest.warns(UserWarning, match="unusable leads are masked"):
        return tokenizer.clean(record)


def assert_window(found: ECGWindow, cleaned, first: int, patches: int) -> None:
    """The window holds these patches of the record cleaned whole."""
    span = slice(first, first + patches)
    assert (found.start_s, found.duration_s) == (first * 0.25, patches * 0.25)
    np.testing.assert_array_equal(found.patch_mask, cleaned.patch_mask[:, span])
    np.testing.assert_allclose(found.patches, cleaned.patches[:, span], rtol=0, atol=1e-3)


# A source, in two passes


@pytest.mark.filterwarnings("ignore:unusable leads are masked")
@pytest.mark.parametrize("kind", ["of a record", "of any other class"])
def test_windows_of_a_source_are_those_of_the_record_cleaned_whole(tokenizer, record, cleaned, kind: str):
    source = ArraySource.from_record(record)
    if kind == "of any other class":
        source = PlainSource(record.signal_mv, record.lead_names)
    stream = tokenizer.stream(source, window_s=10, stride_s=2.5)
    assert isinstance(stream, ECGWindowStream) and iter(stream) is stream
    assert stream.statistics.basis_s == pytest.approx(130.6)
    assert stream.statistics.scale == pytest.approx(cleaned.scale, rel=1e-4)
    assert (stream.statistics.unusable, stream.statistics.notes) == (cleaned.unusable, cleaned.notes)
    windows = list(stream)
    assert cleaned.patch_mask.shape == (3, 522) and len(windows) == 50
    for number, window in enumerate(windows):
        assert_window(window, cleaned, 10 * number, 40 if number < 49 else 32)
        assert window.lead_names == ("II", "V1", "unknown")
        assert window.scale == stream.statistics.scale


@pytest.mark.filterwarnings("ignore:unusable leads are masked")
def test_windows_lie_end_to_end_where_no_stride_is_given(tokenizer, record, cleaned):
    windows = list(tokenizer.stream(ArraySource.from_record(record), window_s=40))
    assert len(windows) == 4
    for number, window in enumerate(windows):
        assert_window(window, cleaned, 160 * number, min(160, 522 - 160 * number))


def test_a_window_longer_than_the_record_is_the_record(tokenizer):
    source = PlainSource(beats(7.5))
    (window,) = tokenizer.stream(source, window_s=60, stride_s=30)
    assert_window(window, tokenizer.clean(source.signal_mv, RATE, LEADS), 0, 30)


def test_a_source_is_measured_at_once_and_cleaned_as_windows_are_asked_for(tokenizer):
    source = PlainSource(beats(600))
    stream = tokenizer.stream(source, window_s=10)
    assert max(stop for _, stop in source.reads) == source.n_samples
    assert max(stop - start for start, stop in source.reads) < 200 * RATE
    source.reads.clear()
    next(stream)
    assert 0 < max(stop for _, stop in source.reads) < 200 * RATE


def test_a_window_becomes_model_input(tokenizer, record, cleaned):
    torch.manual_seed(0)
    model = AnyECGModel(tiny_config(time_encoding="rotary")).eval()
    with pytest.warns(UserWarning, match="unusable leads are masked"):
        windows = tokenizer.stream(ArraySource.from_record(record), window_s=10)
        embeddings = list(model.encode_windows(map(tokenizer.feature, windows)))
    whole = tokenizer.pad([tokenizer.feature(cleaned)], return_tensors="pt")
    assert len(embeddings) == 14
    for number, embedding in enumerate(embeddings):
        span = slice(40 * number, 40 * number + 40)
        with torch.no_grad():
            expected = model(
                whole["input_values"][:, :, span], whole["attention_mask"][:, :, span], whole["lead_ids"]
            ).pooler_output[0]
        torch.testing.assert_close(embedding, expected, rtol=0, atol=1e-3)


# A live stream, in one pass


def test_arrays_are_taken_as_they_come(tokenizer):
    taken = []

    def live() -> Iterator[np.ndarray]:
        for piece in pieces(signal_mv, [100, 37, 0]):
            taken.append(piece.shape[1])
            yield piece

    signal_mv = beats(340)
    stream = tokenizer.stream(live(), window_s=10, stride_s=5, sampling_rate=RATE, lead_names=["dii", "ECG V1"])
    assert (taken, stream.statistics) == ([], None)
    with pytest.warns(UserWarning, match=r"^scale, noise and unusable leads are those of the first 300 s\.$"):
        first = next(stream)
    assert 300 * RATE <= sum(taken) < 301 * RATE
    assert (first.start_s, first.duration_s, first.lead_names) == (0.0, 10.0, ("II", "V1"))
    assert stream.statistics.basis_s == 300

    # As the record cleaned whole with what its first five minutes show.
    start = tokenizer.clean(signal_mv[:, : 300 * RATE], RATE, LEADS)
    expected = tokenizer.clean(signal_mv, RATE, LEADS, scale=start.scale, noise_level=start.noise_level)
    windows = [first, *stream]
    assert len(windows) == 67
    for number, window in enumerate(windows[6:-6], start=6):
        assert_window(window, expected, 20 * number, 40)


def test_a_source_may_be_read_only_once(tokenizer):
    source = PlainSource(beats(45))
    with pytest.warns(UserWarning, match="those of the first 45 s"):
        found = list(tokenizer.stream(source, window_s=10, one_pass=True))
    assert [start for start, _ in source.reads] == [0, *(stop for _, stop in source.reads[:-1])]
    assert source.reads[-1][1] == source.n_samples
    with pytest.warns(UserWarning, match="those of the first 45 s"):
        live = list(tokenizer.stream([source.signal_mv], 10, sampling_rate=RATE, lead_names=LEADS))
    assert len(found) == len(live) == 5
    for one, other in zip(found, live, strict=True):
        assert (one.start_s, one.duration_s, one.scale) == (other.start_s, other.duration_s, other.scale)
        np.testing.assert_array_equal(one.patches, other.patches)


@pytest.mark.filterwarnings("ignore:.*those of the first")
def test_a_stream_of_one_lead_may_name_it_without_a_list(tokenizer):
    (window,) = tokenizer.stream([beats(8, leads=1)], 10, sampling_rate=RATE, lead_names="II")
    assert window.lead_names == ("II",) and window.patch_mask.shape == (1, 32)


# Warnings


def test_what_was_found_wanting_is_said_once_with_the_first_window(tokenizer, record):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stream = tokenizer.stream(ArraySource.from_record(record), window_s=10)
        assert caught == []
        next(stream)
        assert len(caught) == 1 and caught[0].filename == __file__
        list(stream)
    assert [str(warning.message) for warning in caught] == [
        "unusable leads are masked: V1 (flat); 300 missing samples are interpolated and 12 patches masked."
    ]


@pytest.mark.filterwarnings("error")
def test_a_faultless_source_is_cleaned_in_silence(tokenizer):
    assert len(list(tokenizer.stream(PlainSource(beats(30)), window_s=10))) == 3


# Refusals


@pytest.mark.parametrize("name", ["window_s", "stride_s"])
@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0"), (-1, "-1"), (0.1, "0.1"), (1.1, "1.1"), (np.nan, "nan"), (np.inf, "inf")]
)
def test_windows_and_strides_that_are_not_whole_patches_are_refused(tokenizer, name: str, seconds: float, shown: str):
    source = PlainSource(beats(10))
    message = rf"whole numbers of patches \(0.25 s\) and at least one, got {shown} s\.$"
    with pytest.raises(ValueError, match=message):
        tokenizer.stream(source, **{"window_s": 5, name: seconds})
    assert source.reads == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lead_names": LEADS}, "`sampling_rate` is missing"),
        ({"sampling_rate": RATE}, "`lead_names` is missing: pass one name for each lead of the stream"),
        ({"sampling_rate": RATE, "lead_names": []}, "`lead_names` is missing: pass one name for each lead"),
        ({"sampling_rate": 0.01, "lead_names": LEADS}, "`sampling_rate` must lie between"),
        ({"sampling_rate": RATE, "lead_names": ["II", "V99"]}, r"unknown lead names \['V99'\]"),
        ({"sampling_rate": RATE, "lead_names": ["II", "dii"]}, r"duplicate lead names \['II'\]"),
    ],
)
def test_a_live_stream_says_its_rate_and_leads(tokenizer, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        tokenizer.stream(iter([beats(10)]), 5, **arguments)


@pytest.mark.parametrize("one_pass", [False, True])
def test_a_source_is_not_contradicted(tokenizer, one_pass: bool):
    source = PlainSource(beats(10))
    with pytest.raises(ValueError, match="`sampling_rate` is 250 but the record says 100 Hz: leave it out"):
        tokenizer.stream(source, 5, sampling_rate=250, one_pass=one_pass)
    with pytest.raises(ValueError, match=r"`lead_names` is \['I', 'II'\] but the record says \['II', 'V1'\]"):
        tokenizer.stream(source, 5, lead_names=["I", "II"], one_pass=one_pass)
    assert len(list(tokenizer.stream(source, 5, sampling_rate=RATE, lead_names=list(LEADS)))) == 2


def test_arrays_of_another_shape_are_refused(tokenizer):
    for arrays, shape in (([beats(2), beats(2, leads=3)], r"\(3, 200\)"), (beats(2), r"\(200,\)")):
        with pytest.raises(ValueError, match=rf"\(leads, samples\) with 2 leads \['II', 'V1'\], got shape {shape}"):
            list(tokenizer.stream(arrays, 5, sampling_rate=RATE, lead_names=LEADS))


def test_a_record_in_memory_is_refused_with_the_way_to_stream_it(tokenizer, record):
    with pytest.raises(ValueError, match=r"got one in memory: pass `ArraySource.from_record\(record\)`"):
        tokenizer.stream(record, 5)


@pytest.mark.parametrize("source", ["holter.edf", None, {"signal": 1}, 5])
def test_what_is_no_source_is_refused_with_the_way_to_open_one(tokenizer, source):
    with pytest.raises(ValueError, match=rf"from `open_record\(path\)`, .* got {type(source).__name__}"):
        tokenizer.stream(source, 5, sampling_rate=RATE, lead_names=LEADS)


def test_a_source_too_short_for_a_patch_is_refused(tokenizer):
    with pytest.raises(ValueError, match="the record is too short: 10 samples at 100 Hz"):
        tokenizer.stream(PlainSource(beats(0.1)), 5)
    with pytest.raises(ValueError, match="the record is too short: 10 samples at 100 Hz"):
        next(tokenizer.stream(PlainSource(beats(0.1)), 5, one_pass=True))
