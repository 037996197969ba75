# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The stages of the other tasks go on exactly where they were, as `test_resume` shows of the first three."""

import pytest
from tests.training import test_lead_reconstruction, test_long_records, test_token_labels
from tests.training.small_runs import SmallRuns, assert_same_run

from anyecg_hf.training.finetune import finetune
from anyecg_hf.training.loop import TrainingLoop


@pytest.mark.parametrize("stage", [test_lead_reconstruction, test_token_labels, test_long_records])
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path, monkeypatch, stage):
    runs = SmallRuns(tmp_path / "runs")
    finetune(stage.config(runs, tmp_path))
    interrupted = stage.config(runs, tmp_path)
    interrupted.output_dir = str(tmp_path / "interrupted")
    step = TrainingLoop._step

    def dies(self):
        if self.progress.step == 7:  # three steps after the last checkpoint
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingLoop, "_step", dies)
        finetune(interrupted)
    interrupted.resume = True
    finetune(interrupted)
    assert_same_run(tmp_path / "interrupted", tmp_path / "run")
