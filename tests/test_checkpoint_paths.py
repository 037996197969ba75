# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from anyecg_hf.checkpoint_paths import is_path_to_nothing, refuse_path_to_nothing


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working folder with a checkpoint and a file in it."""
    (tmp_path / "runs" / "final").mkdir(parents=True)
    (tmp_path / "notes").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", ["/nowhere/final", "runs/quantizer/final", "./final", "../final", "notes"])
def test_paths_at_which_there_is_no_folder_are_refused(path):
    assert is_path_to_nothing(path)
    with pytest.raises(FileNotFoundError, match=r"^there is no checkpoint folder .*(final|notes)\.$"):
        refuse_path_to_nothing(path)


@pytest.mark.parametrize("name", ["runs", "runs/final", "./runs/final", "org/anyecg-xl", "anyecg-xl"])
def test_folders_and_what_can_be_a_name_on_the_hub_are_not(here, name):
    assert not is_path_to_nothing(name)
    refuse_path_to_nothing(name)
    refuse_path_to_nothing(here / "runs")
