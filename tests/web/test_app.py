# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the page does with a visitor's actions, without a browser."""

import importlib.util
import socket
import tempfile
from pathlib import Path

import pytest
from tests.training.written_records import ecg_counts, write_wfdb

from anyecg_hf.web import app
from anyecg_hf.web.samples import SAMPLES

gradio = pytest.importorskip("gradio", reason='the page needs Gradio: pip install "anyecg-hf[web]"')


@pytest.fixture(scope="module")
def page(workbench):
    return app._Page(workbench, app.import_gradio())


def sent(tmp_path: Path, seconds: float = 4, cut: bool = False) -> list[str]:
    record = write_wfdb(tmp_path / "rec", ecg_counts(0, leads=2, seconds=seconds))
    data = record.with_name("rec.dat")
    if cut:
        data.write_bytes(data.read_bytes()[:100])
    return [str(record.with_name("rec.hea")), str(data)]


def is_shown(changes: dict, component) -> bool:
    return changes[component]["visible"]


def test_a_sample_fills_the_page(page):
    changes = page._told(page.show_sample)(next(iter(SAMPLES)))
    assert is_shown(changes, page.results) and not is_shown(changes, page.message)
    assert changes[page.study_state].simulated and changes[page.upload_state] is None
    assert not is_shown(changes, page.start)  # all of it is on the paper
    assert changes[page.removed]["choices"][:2] == ["I", "II"] and changes[page.entry] == app._NO_CODE


def test_an_upload_is_kept_in_memory_only(page, tmp_path):
    paths = sent(tmp_path)
    changes = page.show_upload(paths, None, "", "")
    assert set(changes[page.upload_state]) == {"rec.hea", "rec.dat"} and changes[page.files] is None
    assert changes[page.study_state].analysis.record.record_id == "rec" and not changes[page.study_state].simulated
    assert not any(Path(path).exists() for path in paths)


def test_a_broken_upload_is_told_hides_the_last_answer_and_may_be_read_again(page, tmp_path):
    changes = page.show_upload(sent(tmp_path, cut=True), None, "", "")
    assert "rec.dat: expected 8000 bytes" in changes[page.message]["value"] and is_shown(changes, page.message)
    assert not is_shown(changes, page.results) and changes[page.study_state] is None
    again = page._told(page.show_again, page._hidden)(changes[page.upload_state], None, "", "")
    assert "rec.dat: expected 8000 bytes" in again[page.message]["value"] and not is_shown(again, page.results)


def test_a_fault_of_ours_is_told_and_logged(page, workbench, monkeypatch, caplog):
    def fail(*_, **__):
        raise KeyError("planted")

    monkeypatch.setattr(workbench, "study", fail)
    changes = page._told(page.show_sample, page._hidden)(next(iter(SAMPLES)))
    assert "This should not have happened: KeyError" in changes[page.message]["value"]
    assert not is_shown(changes, page.results)
    assert "an action of the page failed" in caplog.text and "planted" in caplog.text


@pytest.mark.parametrize("place", [{}, None, {"lead": "x", "patch": 1}, [], {"lead": 99, "patch": 0}, {"lead": 1e400}])
def test_whatever_a_browser_sends_for_a_click_is_an_error_on_the_page(page, studies, place):
    changes = page._told(page.look_up)(studies[0], place)
    assert "expected a cell" in changes[page.message]["value"] or "no patch" in changes[page.message]["value"]
    assert "should not have happened" not in changes[page.message]["value"]


@pytest.mark.parametrize(
    ("start_s", "first"),
    [(12, 12), (1e9, 30), (float("inf"), 30), (-5, 0), (float("nan"), 0), (None, 0), ("7", 0), (12.7, 12)],
)
def test_the_start_stays_in_the_record(page, studies, start_s, first):
    assert f"<th>{first} s</th>" in page.move(studies[3], start_s)[page.strips]


def test_a_forgotten_record_is_said_to_be(page):
    for changes in (
        page._told(page.move)(None, 0),
        page._told(page.look_up)(None, {"lead": 0, "patch": 0}),
        page._told(page.restore)(None, ["I"], 0),
    ):
        assert "the record has been forgotten meanwhile: choose it again" in changes[page.message]["value"]


def test_unknown_leads_are_an_error_on_the_page(page, studies):
    changes = page._told(page.restore)(studies[0], ["<b>"], 0)
    assert "leads &lt;b&gt; cannot be restored" in changes[page.message]["value"]


def test_the_page_says_once_what_it_is_not(page):
    texts = [str(block.get("props", {}).get("value", "")) for block in page.blocks.get_config_file()["components"]]
    assert sum(text.count("Not a medical device") for text in texts) == 1


def test_no_action_is_open_to_programs_and_one_runs_at_a_time(page):
    functions = page.blocks.fns.values()
    assert len(functions) == 6
    assert {(each.api_visibility, each.concurrency_limit, each.concurrency_id) for each in functions} == {
        ("private", 1, "models")
    }


def test_gradio_is_told_not_to_report(page):
    assert page.blocks.analytics_enabled is False


def test_a_port_that_is_taken_is_told_and_leaves_no_folder(workbench, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", "restored afterwards")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"^port {port} is not free: name another \(command line: --port\)\."):
            app.serve(workbench, port=port)
    assert list(tmp_path.iterdir()) == []


def test_without_gradio_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'The page needs Gradio: pip install "anyecg-hf\[web\]"'):
        app.check_gradio()
