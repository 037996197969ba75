# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Annotations in DICOM ECGs: points and spans of time, leads, statements about the whole, and times that are broken."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from tests.records.read_as import read_as
from tests.records.written_dicom import TWELVE_CHANNELS, annotation, code, group, write_dicom

from anyecg_hf.records import Annotation, RecordError
from anyecg_hf.records.dicom_reader import DICOM

P_ONSET = [code("2:5250", "P onset")]
START = "20200512123359.500"


@pytest.fixture
def read(tmp_path):
    """Reads two seconds of three leads at 500 Hz with these annotations."""

    def read(*items: Dataset, annotations: bool = True, **fields):
        samples = np.ones((3, 1000), dtype=np.int16)
        path = write_dicom(
            tmp_path / "ecg.dcm",
            [group(samples, TWELVE_CHANNELS[:3])],
            WaveformAnnotationSequence=list(items),
            **fields,
        )
        return read_as(DICOM, path, annotations=annotations)

    return read


def point(**fields) -> Dataset:
    return annotation(ConceptNameCodeSequence=P_ONSET, TemporalRangeType="POINT", **fields)


def test_positions_of_samples_count_from_one(read):
    assert read(point(ReferencedSamplePositions=251)).annotations == (Annotation(0.5, "2:5250", "P onset"),)


@pytest.mark.parametrize(
    "fields", [{"ReferencedTimeOffsets": "0.5"}, {"ReferencedDateTime": "20200512123400"}], ids=["offset", "moment"]
)
def test_times_may_be_offsets_and_moments(read, fields):
    assert read(point(**fields)).annotations == (Annotation(0.5, "2:5250", "P onset"),)


def test_moments_may_be_in_another_time_zone_than_the_start(read):
    item = point(ReferencedDateTime="20200512103400+0000")
    assert read(item, AcquisitionDateTime="20200512123359.500+0200").annotations[0].time_s == 0.5


def test_several_points_are_several_annotations_in_the_order_of_time(read):
    item = annotation(
        ConceptNameCodeSequence=P_ONSET, TemporalRangeType="MULTIPOINT", ReferencedSamplePositions=[501, 1]
    )
    earlier = annotation(UnformattedTextValue="start", TemporalRangeType="POINT", ReferencedSamplePositions=1)
    assert read(item, earlier).annotations == (
        Annotation(0.0, "2:5250", "P onset"),
        Annotation(0.0, '"', "start"),
        Annotation(1.0, "2:5250", "P onset"),
    )


def test_spans_have_a_duration(read):
    item = annotation(
        ConceptNameCodeSequence=[code("2:1", "Rhythm")],
        ConceptCodeSequence=[code("3:7", "Atrial fibrillation")],
        TemporalRangeType="MULTISEGMENT",
        ReferencedSamplePositions=[1, 251, 501, 1001],
    )
    assert read(item).annotations == (
        Annotation(0.0, "2:1", "Rhythm Atrial fibrillation", 0.5),
        Annotation(1.0, "2:1", "Rhythm Atrial fibrillation", 1.0),
    )


def test_an_annotation_may_be_about_single_leads(read):
    item = point(ReferencedSamplePositions=1, ReferencedWaveformChannels=[1, 2, 1, 3])
    assert [found.lead_name for found in read(item).annotations] == ["II", "III"]
    assert [found.lead_name for found in read(point(ReferencedSamplePositions=1)).annotations] == [None]


def test_annotations_of_other_groups_are_left_out(read):
    assert read(point(ReferencedSamplePositions=1, ReferencedWaveformChannels=[2, 0])).annotations == ()


def test_a_measurement_at_a_time_keeps_number_and_unit(read):
    item = point(
        ReferencedSamplePositions=1, NumericValue="0.12", MeasurementUnitsCodeSequence=[code("mV", scheme="UCUM")]
    )
    assert read(item).annotations == (Annotation(0.0, "2:5250", "P onset 0.12 mV"),)


def test_statements_about_the_whole_are_labels_and_comments(read):
    record = read(
        annotation(UnformattedTextValue="Normal ECG"),
        annotation(UnformattedTextValue="Confirmed by Doe, John"),
        annotation(
            ConceptNameCodeSequence=[code("8:1", "Rhythm")], ConceptCodeSequence=[code("426783006", "Sinus rhythm")]
        ),
        annotation(ConceptNameCodeSequence=[code("2:16184", "P duration")], NumericValue="110"),
    )
    assert record.labels == ("426783006",)
    assert record.comments == ("Normal ECG", "Rhythm Sinus rhythm")
    assert record.annotations == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"TemporalRangeType": "SEGMENT", "ReferencedSamplePositions": [1, 2, 3]},
            "of the type SEGMENT, found 3 of them",
        ),
        ({"TemporalRangeType": "POINT"}, "the times of a waveform annotation of the type POINT, found 0 of them"),
        (
            {"TemporalRangeType": "POINT", "ReferencedDateTime": "2020"},
            "times in ReferencedDateTime of a waveform annotation, found this: '2020' is no date with a time",
        ),
        (
            {"TemporalRangeType": "POINT", "ReferencedTimeOffsets": "1e400"},
            "legal values in a DICOM file, found ValueError: `time_s` and `duration_s` must be finite",
        ),
    ],
)
def test_a_time_that_cannot_be_told_is_an_error(read, fields, message):
    assert read(annotation(**fields), annotations=False).n_leads == 3
    with pytest.raises(RecordError, match=f"ecg.dcm: expected .*{message}"):
        read(annotation(**fields))


def test_moments_need_the_start_of_the_recording(read):
    with pytest.raises(RecordError, match="found this: the file does not say when the recording starts"):
        read(point(ReferencedDateTime=START), AcquisitionDateTime=None)
