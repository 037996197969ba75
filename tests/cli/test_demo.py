# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The command; what it serves is tested in `tests/web`."""

import importlib.util

import anyecg_hf.web


def test_the_page_is_asked_for_by_name(anyecg):
    outcome = anyecg("demo")
    assert outcome.status == 2 and "say --web for the page; on the command line there is `anyecg run`" in outcome.err


def test_without_gradio_the_command_that_installs_it_is_named(anyecg, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    outcome = anyecg("demo", "--web")
    assert outcome.status == 1
    assert outcome.err == 'anyecg demo: The page needs Gradio: pip install "anyecg-hf[web]"\n'


def test_it_serves_what_was_asked_for_on_this_computer_only(anyecg, monkeypatch, checkpoint):
    served = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)

    def serve(workbench, *, port, started):
        served.append((workbench.name, port))
        started("http://127.0.0.1:8000/")

    monkeypatch.setattr(anyecg_hf.web, "serve", serve)
    outcome = anyecg("demo", "--web", "--model", checkpoint, "--port", "8000")
    assert outcome.status == 0 and served == [(checkpoint.name, 8000)]
    assert outcome.out.startswith("Open http://127.0.0.1:8000/ in a browser; Ctrl+C ends it.")
    assert "not a medical device" in outcome.out


def test_a_checkpoint_that_is_not_there_is_an_error(anyecg, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    outcome = anyecg("demo", "--web", "--model", "./nowhere")
    assert outcome.status == 1 and "nowhere" in outcome.err


def test_a_summary_of_codes_is_written_for_the_page(anyecg, checkpoint, record):
    outcome = anyecg("codebook", checkpoint, "rec", "-o", "codes.safetensors")
    assert outcome.status == 0, outcome.err
    workbench = anyecg_hf.web.Workbench(checkpoint, gallery="codes.safetensors")
    assert workbench.gallery.data == "1 records of files named by hand"
    assert workbench.gallery.summary.patches == 120
