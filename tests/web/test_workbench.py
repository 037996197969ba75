# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anyecg_hf import TINY
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.plotting.code_summary_files import FILE_NAME
from anyecg_hf.web.samples import sample_record, simulated_record
from anyecg_hf.web.workbench import Workbench


def test_a_study_is_what_the_analyzer_says(workbench, studies):
    record = sample_record("12 leads, 70 a minute")
    expected = RecordAnalyzer(TINY).analyse(record)
    np.testing.assert_array_equal(studies[0].codes, expected.codes)
    assert studies[0].analysis.classes == expected.classes
    assert studies[0].simulated and studies[0].notes == ()


def test_what_cleaning_has_to_say_is_noted_behind_the_reader_and_once(workbench, recwarn):
    record = sample_record("12 leads, V2 came off")
    study = workbench.study(record, ["read in part", "read in part"])
    assert study.notes == ("read in part", "unusable leads are masked: V2 (flat).")
    assert not study.simulated and len(recwarn) == 0


def test_a_record_without_a_usable_lead_is_refused(workbench):
    record = simulated_record("flat", 4, 70, 1)
    with pytest.raises(ValueError, match="no lead of flat can be used: I is flat, II is flat"):
        workbench.study(replace(record, signal_mv=np.zeros_like(record.signal_mv)))


class TestLookups:
    def test_a_cell_is_looked_up_in_the_embedded_gallery(self, workbench, studies):
        found = workbench.look_up(studies[0], lead=1, patch=5)
        codes = studies[0].codes
        assert (found.lead_name, found.start_s, found.end_s) == ("II", 1.25, 1.5)
        assert found.code == codes[1, 5] == found.card.code
        assert sum(found.uses.values()) == (codes == found.code).sum() and found.uses["II"] >= 1
        assert list(found.uses.values()) == sorted(found.uses.values(), reverse=True)
        assert found.gallery is workbench.gallery
        assert found.card.patches == workbench.gallery.summary.counts[found.code]
        # Drawn at the gallery's scale, where the code's waveform is.
        patch = studies[0].analysis.cleaned.patches[1, 5] * workbench.gallery.summary.scale_mv
        np.testing.assert_array_equal(found.patch, patch)

    def test_the_first_of_residual_codebooks_is_looked_up(self, workbench, studies):
        codes = np.stack([studies[0].codes, studies[0].codes + 1], axis=2)
        study = replace(studies[0], analysis=replace(studies[0].analysis, codes=codes))
        assert workbench.look_up(study, 0, 0).code == studies[0].codes[0, 0]

    @pytest.mark.parametrize("place", [(12, 0), (0, 40), (-1, 0), (0, -1)])
    def test_a_cell_that_is_not_there_is_refused(self, workbench, studies, place):
        with pytest.raises(ValueError, match=r"there is no patch -?\d+ of lead -?\d+: the record has \(12, 40\) of"):
            workbench.look_up(studies[0], *place)

    def test_a_masked_cell_has_no_code(self, workbench, studies):
        with pytest.raises(ValueError, match="patch 3 of lead V2 is masked: it has no code"):
            workbench.look_up(studies[2], 7, 3)

    def test_without_a_gallery_the_record_itself_tells(self, checkpoint):
        workbench = Workbench(checkpoint)
        study = workbench.study(simulated_record("a", 10, 70, 1))
        found = workbench.look_up(study, 1, 5)
        assert workbench.gallery is None and found.gallery.data.startswith("this record alone")
        assert found.gallery.summary.patches == 480 and found.card.patches == sum(found.uses.values())

    def test_a_code_that_the_gallery_never_met_has_no_card(self, workbench, studies):
        code = studies[0].codes[0, 0]
        counts = workbench.gallery.summary.lead_counts.copy()
        counts[code] = 0
        summary = replace(workbench.gallery.summary, lead_counts=counts)
        own = Workbench(TINY)
        own.gallery = replace(workbench.gallery, summary=summary)
        assert own.look_up(studies[0], 0, 0).card is None

    def test_a_gallery_of_another_quantizer_is_refused_at_the_start(self, checkpoint):
        with pytest.raises(ValueError, match="tells of the codes of another quantizer"):
            Workbench(checkpoint, gallery=Path(TINY) / FILE_NAME)

    def test_a_gallery_that_is_not_there_is_refused_at_the_start(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Workbench(TINY, gallery=tmp_path / "none.safetensors")


class TestRestoring:
    def test_leads_are_restored_by_name(self, workbench, studies):
        restored = workbench.restore(studies[0], ["V3", "III"])
        assert [lead.name for lead in restored] == ["III", "V3"]
        assert all(lead.agreement.pearson_r > 0.95 for lead in restored)

    def test_no_lead_and_an_unknown_one_are_refused(self, workbench, studies):
        with pytest.raises(ValueError, match="choose a lead or more to take out"):
            workbench.restore(studies[0], [])
        with pytest.raises(ValueError, match="leads V9 cannot be restored: the record has II, V1"):
            workbench.restore(studies[3], ["II", "V9"])

    def test_a_single_lead_and_leads_without_names_cannot_be(self, workbench):
        record = simulated_record("a", 4, 70, 1)
        one = replace(record, signal_mv=record.signal_mv[:1], lead_names=("I",))
        two = replace(record, signal_mv=record.signal_mv[:2], lead_names=("I", "unknown"))
        assert workbench.study(one).restorable == []
        assert workbench.study(two).restorable == ["I"]

    def test_a_checkpoint_without_the_head_says_so(self, checkpoint, studies):
        workbench = Workbench(checkpoint)
        assert workbench.restorer is None
        with pytest.raises(ValueError, match="has no head that restores leads"):
            workbench.restore(studies[0], ["V3"])


def test_a_checkpoint_without_a_classifier_is_refused_at_the_start(tmp_path):
    analyzer = RecordAnalyzer(TINY)
    analyzer.tokenizer.save_pretrained(tmp_path)
    analyzer.backbone.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no head that classifies windows"):
        Workbench(tmp_path)
