# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`RecordAnalyzer.embed_windows` and `embed_source`; records in memory are in `test_record_analysis.py`."""

import warnings

import numpy as np
import pytest
import torch
from tests.checkpoints import WINDOW_PATCHES
from tests.models.ecg_signals import heartbeats

from anyecg_hf import AnyECGModel
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.pipelines.record_analysis import LONG_RECORD_S
from anyecg_hf.records import ECGRecord, RecordSource, StoredSignal
from anyecg_hf.records.source import RecordFacts

RATE = 100
LEADS = ("II", "V1")
PATCH_S = 0.25


class CountingSource(RecordSource):
    """Keeps what was read of it, in `reads`."""

    def __init__(self, signal_mv: np.ndarray):
        facts = RecordFacts(record_id="written")
        leads = LEADS[: len(signal_mv)]
        super().__init__(sampling_rate=RATE, lead_names=leads, n_samples=signal_mv.shape[1], facts=facts)
        self.signal_mv = signal_mv
        self.reads: list[tuple[int, int]] = []

    def _read_stored(self, start: int, stop: int) -> StoredSignal:
        self.reads.append((start, stop))
        ones = np.ones(self.n_leads)
        return StoredSignal(self.signal_mv[:, start:stop].copy(), ones, 0 * ones, ("mV",) * self.n_leads)

    @property
    def record(self) -> ECGRecord:
        return ECGRecord(self.signal_mv, RATE, self.lead_names, record_id="written")

    @property
    def longest_read_s(self) -> float:
        return max(stop - start for start, stop in self.reads) / RATE


def beats(seconds: float, leads: int = 2) -> np.ndarray:
    return heartbeats(leads, seconds, RATE, wander_mv=0.2, noise_mv=0.02)


@pytest.fixture(scope="module")
def analyzer(checkpoint) -> RecordAnalyzer:
    return RecordAnalyzer(checkpoint)


@pytest.fixture(scope="module")
def long_source() -> CountingSource:
    """10 min 23.4 s; the second lead is missing from 100 to 200 s, and both are from 300 to 330 s."""
    signal_mv = beats(623.4)
    signal_mv[1, 100 * RATE : 200 * RATE] = np.nan
    signal_mv[:, 300 * RATE : 330 * RATE] = np.nan
    return CountingSource(signal_mv)


def by_hand(analyzer: RecordAnalyzer, source: CountingSource, window_s: float, stride_s: float) -> list[dict]:
    """Places, real patches and embeddings of windows over the record cleaned whole."""
    backbone = AnyECGModel.from_pretrained(analyzer.checkpoint).eval()
    batch = analyzer.tokenizer(source.record, return_tensors="pt")
    patches, window, stride = batch["attention_mask"].shape[2], round(window_s / PATCH_S), round(stride_s / PATCH_S)
    found, stop = [], 0
    while stop < patches:
        start = len(found) * stride
        stop = min(start + window, patches)
        mask = batch["attention_mask"][:, :, start:stop]
        with torch.no_grad():
            output = backbone(batch["input_values"][:, :, start:stop], mask, batch["lead_ids"])
        place = {"start_s": start * PATCH_S, "duration_s": (stop - start) * PATCH_S}
        shares = {"real_patches": int(mask.sum()), "real_share": float(mask.float().mean())}
        found.append({**place, **shares, "embedding": output.pooler_output[0].numpy()})
    return found


def assert_same_windows(found: list, expected: list[dict], atol: float = 1e-3) -> None:
    assert len(found) == len(expected) > 1
    for window, values in zip(found, expected, strict=True):
        for name in ("start_s", "duration_s", "real_patches", "real_share"):
            assert getattr(window, name) == pytest.approx(values[name], abs=1e-6)
        assert window.embedding.shape == (32,) and window.embedding.dtype == np.float32
        np.testing.assert_allclose(window.embedding, values["embedding"], rtol=0, atol=atol)


@pytest.mark.filterwarnings("ignore:.*missing samples are interpolated")
class TestWindows:
    @pytest.fixture(scope="class")
    @classmethod
    def source(cls) -> CountingSource:
        """73.3 s, the second lead missing from 20 to 30 s."""
        signal_mv = beats(73.3)
        signal_mv[1, 20 * RATE : 30 * RATE] = np.nan
        return CountingSource(signal_mv)

    def test_they_are_those_of_the_record_cleaned_whole(self, checkpoint, source):
        analyzer = RecordAnalyzer(checkpoint, window_s=5)
        found = list(analyzer.embed_windows(source, stride_s=2.5))
        expected = by_hand(analyzer, source, window_s=5, stride_s=2.5)
        assert_same_windows(found, expected)
        assert (found[-1].start_s, found[-1].duration_s) == (70.0, 3.25)
        assert np.abs(found[0].embedding - found[8].embedding).max() > 0.01  # the tolerance tells windows apart
        assert {window.statistics.basis_s for window in found} == {73.3}

    def test_a_window_is_by_default_what_the_checkpoint_was_trained_on_and_a_stride_is_a_window(self, analyzer, source):
        found = list(analyzer.embed_windows(source))
        window_s = WINDOW_PATCHES * PATCH_S
        assert_same_windows(found, by_hand(analyzer, source, window_s, window_s))
        assert [window.start_s for window in found] == [10.0 * number for number in range(8)]
        assert found[2].real_share == 0.5

    def test_a_window_is_rounded_to_patches_as_everywhere(self, checkpoint, source):
        found = list(RecordAnalyzer(checkpoint, window_s=5.1).embed_windows(source))
        assert {window.duration_s for window in found[:-1]} == {5.0}

    def test_windows_beyond_the_training_are_warned_of_once(self, checkpoint, source):
        analyzer = RecordAnalyzer(checkpoint, window_s=20)
        with pytest.warns(UserWarning) as caught:
            found = [*analyzer.embed_windows(source), *analyzer.embed_windows(source)]
            analyzer.embed(analyzer.clean(source.record))
        beyond = [str(warning.message) for warning in caught if "windows of" in str(warning.message)]
        assert beyond == [
            "windows of 20 s are longer than the 10 s that the checkpoint was trained on: what it says of them is less"
            " certain."
        ]
        assert_same_windows(found[:4], by_hand(analyzer, source, 20, 20))

    def test_one_pass_reads_every_sample_once_and_says_what_it_measured_on(self, analyzer, source):
        source.reads.clear()
        with pytest.warns(UserWarning, match=r"scale, noise and unusable leads are those of the first 73.3 s"):
            found = list(analyzer.embed_windows(source, one_pass=True))
        assert [start for start, _ in source.reads] == [0, *(stop for _, stop in source.reads[:-1])]
        assert {window.statistics.basis_s for window in found} == {73.3}
        assert found[0].statistics.line_mv is None
        # The stream ends within the first five minutes, so its statistics are those of the whole.
        assert_same_windows(found, by_hand(analyzer, source, 10, 10), atol=0.01)

    def test_one_pass_measures_on_the_first_five_minutes(self, analyzer, long_source):
        with pytest.warns(UserWarning, match="those of the first 300 s"):
            first = next(analyzer.embed_windows(long_source, one_pass=True))
        assert first.statistics.basis_s == 300

    @pytest.mark.parametrize("stride_s", [0, -5, 0.1, float("nan")])
    def test_strides_that_are_not_whole_patches_are_refused(self, analyzer, source, stride_s):
        with pytest.raises(ValueError, match="whole numbers of patches"):
            next(analyzer.embed_windows(source, stride_s))


@pytest.mark.filterwarnings("ignore:.*missing samples are interpolated")
class TestMaskedWindows:
    def test_a_window_with_nothing_real_is_zeros_with_share_0(self, analyzer, long_source):
        found = list(analyzer.embed_windows(long_source))
        masked = [window.start_s for window in found if not window.embedding.any()]
        assert masked == [300.0, 310.0, 320.0]
        for window in found:
            assert (window.real_share == 0.0) == (window.real_patches == 0) == (window.start_s in masked)
            assert np.isfinite(window.embedding).all()

    @pytest.mark.parametrize("one_pass", [False, True])
    def test_a_record_without_a_usable_lead_is_refused_with_leads_and_reasons(self, analyzer, one_pass):
        signal_mv = np.zeros((2, 20 * RATE), dtype=np.float32)
        signal_mv[1] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(ValueError, match=r"^no lead of written can be used: II is flat, V1 is missing\.$"):
                next(analyzer.embed_windows(CountingSource(signal_mv), one_pass=one_pass))


@pytest.mark.filterwarnings("ignore:.*missing samples are interpolated")
class TestEmbedSource:
    def test_a_short_record_is_embedded_as_in_memory(self, analyzer):
        source = CountingSource(beats(25))
        np.testing.assert_array_equal(analyzer.embed_source(source), analyzer.embed(analyzer.clean(source.record)))

    def test_ten_minutes_are_a_short_record(self, analyzer, monkeypatch):
        monkeypatch.setattr(RecordAnalyzer, "embed", lambda self, cleaned: cleaned.patch_mask.shape)
        assert LONG_RECORD_S == 600
        assert analyzer.embed_source(CountingSource(beats(600, leads=1))) == (1, 2400)

    def test_a_long_record_is_the_mean_over_windows_end_to_end_by_their_real_patches(self, analyzer, long_source):
        embedding = analyzer.embed_source(long_source)
        expected = by_hand(analyzer, long_source, 10, 10)
        assert len(expected) == 63
        weights = np.array([window["real_patches"] for window in expected])
        assert weights.max() == 2 * WINDOW_PATCHES and weights.min() == 0 and WINDOW_PATCHES in weights
        mean = np.average([window["embedding"] for window in expected], axis=0, weights=weights)
        assert embedding.shape == (32,) and embedding.dtype == np.float32
        np.testing.assert_allclose(embedding, mean, rtol=0, atol=1e-4)

    def test_a_long_record_is_never_in_memory_whole(self, analyzer, monkeypatch):
        source = CountingSource(beats(1500, leads=1))
        monkeypatch.setattr(CountingSource, "to_record", lambda self: pytest.fail("read whole"))
        analyzer.embed_source(source)
        assert source.longest_read_s < 180
        assert {0, source.n_samples} <= {place for read in source.reads for place in read}

    def test_any_window_will_do_for_short_and_long_records(self, checkpoint, long_source):
        analyzer = RecordAnalyzer(checkpoint, window_s=9.9)
        np.testing.assert_array_equal(
            analyzer.embed_source(long_source), RecordAnalyzer(checkpoint, window_s=10).embed_source(long_source)
        )

    @pytest.mark.parametrize("seconds", [20, 620])
    def test_a_record_without_a_usable_lead_is_refused_with_leads_and_reasons(self, analyzer, seconds):
        with pytest.warns(UserWarning), pytest.raises(ValueError, match=r"no lead of written can be used: II is flat"):
            analyzer.embed_source(CountingSource(np.zeros((1, seconds * RATE), dtype=np.float32)))

    @pytest.mark.parametrize("seconds", [20, 620])
    def test_a_record_of_gaps_is_refused(self, analyzer, seconds):
        signal_mv = beats(seconds, leads=1)
        signal_mv[:, ::5] = np.nan
        with pytest.raises(ValueError, match="no lead of written can be used: all is missing"):
            analyzer.embed_source(CountingSource(signal_mv))
