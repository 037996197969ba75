# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The page itself, in Gradio: what a visitor does, and which parts change."""

import importlib.util
import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from html import escape
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from . import fragments
from .samples import SAMPLES, sample_record
from .style import CLICK_ON_CELL, CSS, FONT, MONOSPACE
from .uploads import MAX_BYTES, MAX_SECONDS, FileFacts, Upload, read_upload, sweep, take_files
from .workbench import Study, Workbench

if TYPE_CHECKING:
    import gradio

TITLE = "AnyECG: an ECG and its rhythm codes"
LOOPBACK = "127.0.0.1"
# A visitor's record is forgotten so long after it was read; Gradio keeps what a closed page had for an hour.
FORGET_AFTER_S = 1800
# Requests that may wait; more are refused rather than kept waiting for minutes.
MOST_WAITING = 20
MOST_VISITORS = 200
# What was sent and never came to be read, for example because it was cut off, goes after twice this at most.
SWEEP_EVERY_S = 300

_HEAD = """<h1>AnyECG: an ECG and its rhythm codes</h1>
<p>{name} turns every {patch:g} s of every lead into one of {codes} rhythm codes, draws the record again from them,
gives probabilities of classes, and restores leads that are missing. <strong>Not a medical device.</strong></p>"""
_CODES_HEAD = """<h2>Rhythm codes</h2><p>One cell a patch of {patch:g} s, the same colour for the same code everywhere.
Choose one to see what it stands for.</p>"""
_RESTORE_HEAD = """<h2>Take leads out, see them restored</h2><p>The model gets the other leads only. Black: the lead as
it was, after cleaning; blue: restored.</p>"""
_NO_CODE = '<p class="hint">No cell chosen yet.</p>'
_UPLOAD_NOTE = (
    f"One record: a file, or several of WFDB (.hea with .dat); up to {MAX_BYTES / 2**20:g} MB, {MAX_SECONDS / 60:g}"
    " minutes. It is parsed in a temporary folder and removed."
)

logger = logging.getLogger(__name__)


def check_gradio() -> None:
    """Raises `ImportError` with the command that installs Gradio, if it is not installed; imports nothing."""
    if importlib.util.find_spec("gradio") is None:
        raise ImportError('The page needs Gradio: pip install "anyecg-hf[web]"')


def import_gradio():
    """Gradio, told not to report its use; raises `ImportError` as [`check_gradio`]."""
    check_gradio()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    return gradio


def build_page(workbench: Workbench) -> "gradio.Blocks":
    """
    Builds the page.

    Args:
        workbench ([`Workbench`]): What does the work.

    Returns:
        `gradio.Blocks`: to launch, or to mount in an application; [`serve`] starts it with the right settings.

    Raises:
        `ImportError`: if Gradio is not installed.
    """
    return _Page(workbench, import_gradio()).blocks


def serve(
    workbench: Workbench,
    host: str | None = LOOPBACK,
    port: int | None = None,
    started: Callable[[str], None] | None = None,
) -> None:
    """
    Serves the page until it is interrupted or terminated. What visitors send lies in a folder of its own, which is
    removed at the end.

    Args:
        workbench ([`Workbench`]): What does the work.
        host (`str`, *optional*, defaults to `"127.0.0.1"`): Address to listen on; `None` for `GRADIO_SERVER_NAME`.
        port (`int`, *optional*): Port; the first free one from 7860 on by default.
        started (`Callable[[str], None]`, *optional*): Told the address when the page can be opened.

    Raises:
        `ImportError`: if Gradio is not installed.
        `OSError`: if the port is taken.
    """
    check_gradio()
    stopped = threading.Event()
    with TemporaryDirectory(prefix="anyecg-page-") as folder, _on_termination(stopped.set):
        # Before it is imported: it makes the folder then.
        os.environ["GRADIO_TEMP_DIR"] = folder
        gr = import_gradio()
        blocks = build_page(workbench)
        blocks.queue(max_size=MOST_WAITING)
        try:
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port,
                max_file_size=MAX_BYTES,
                state_session_capacity=MOST_VISITORS,
                theme=gr.themes.Default(primary_hue="blue", font=FONT, font_mono=MONOSPACE),
                css=CSS,
                footer_links=[],
                share=False,
                ssr_mode=False,
                pwa=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            where = "no port from 7860 on is" if port is None else f"port {port} is not"
            raise OSError(f"{where} free: name another (command line: --port). {error}") from error
        if started is not None:
            started(address)
        try:
            while not stopped.wait(SWEEP_EVERY_S):
                sweep(folder, SWEEP_EVERY_S)
        except KeyboardInterrupt:
            pass
        finally:
            blocks.close(verbose=False)


@contextmanager
def _on_termination(act: Callable[[], None]) -> Iterator[None]:
    """Acts on SIGTERM, which would otherwise end the process with its files left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Page:
    """Components by name, and what the visitor's actions do to them. A method returns what changes."""

    def __init__(self, workbench: Workbench, gr: Any):
        self.workbench = workbench
        self.gr = gr
        with gr.Blocks(title=TITLE, analytics_enabled=False) as self.blocks:
            self.upload_state = gr.State(None, time_to_live=FORGET_AFTER_S)
            self.study_state = gr.State(None, time_to_live=FORGET_AFTER_S)
            facts = {"codes": workbench.analyzer.quantizer.config.codebook_size, "patch": workbench.patch_seconds}
            gr.HTML(_HEAD.format(name=escape(workbench.name), **facts), elem_id="head")
            self._add_inputs()
            self.message = gr.HTML(visible=False, elem_id="message")
            with gr.Column(visible=False, elem_id="results") as self.results:
                self._add_results()
            self._connect()

    def _add_inputs(self) -> None:
        gr = self.gr
        with gr.Row():
            with gr.Column(min_width=300):
                self.sample = gr.Radio(list(SAMPLES), label="A simulated record, of no person", elem_id="samples")
            with gr.Column(min_width=300):
                self.files = gr.File(
                    label="Your own record", file_count="multiple", type="filepath", height=140, elem_id="files"
                )
                gr.HTML(f"<p>{_UPLOAD_NOTE}</p>", elem_classes="part")
                with gr.Accordion("What a file may leave open (CSV, NumPy, HDF5)", open=False):
                    with gr.Row():
                        self.rate = gr.Number(label="Sampling rate in Hz", value=None, minimum=1, elem_id="rate")
                        self.unit = gr.Dropdown(
                            ["", "V", "mV", "uV", "nV"], label="Unit", value="", elem_id="unit", filterable=False
                        )
                    self.leads = gr.Textbox(label="Leads in the file's order", placeholder="I,II,V1", elem_id="leads")
                    self.again = gr.Button("Read it again", size="sm", elem_id="again")

    def _add_results(self) -> None:
        gr = self.gr
        self.facts = gr.HTML(elem_id="facts")
        self.start = gr.Slider(0, 1, 0, step=1, label="Seconds shown from", elem_id="start")
        self.paper = gr.HTML(elem_id="paper")
        gr.HTML(_CODES_HEAD.format(patch=self.workbench.patch_seconds), elem_classes="part")
        self.strips = gr.HTML(elem_id="strips", js_on_load=CLICK_ON_CELL)
        with gr.Row():
            with gr.Column(min_width=300):
                gr.HTML("<h2>The chosen code</h2>", elem_classes="part")
                self.entry = gr.HTML(_NO_CODE, elem_id="entry")
            with gr.Column(min_width=300):
                gr.HTML("<h2>Classes</h2>", elem_classes="part")
                self.classes = gr.HTML(elem_id="classes")
                self.download = gr.HTML(elem_id="download")
        self.restore_head = gr.HTML(_RESTORE_HEAD, elem_classes="part")
        self.removed = gr.CheckboxGroup([], label="Leads to take out", elem_id="removed")
        self.restore_button = gr.Button("Restore", variant="primary", elem_id="restore")
        self.restoration = gr.HTML(elem_id="restoration")

    def _connect(self) -> None:
        gr = self.gr
        shown = [
            *(self.files, self.sample, self.upload_state, self.study_state, self.message, self.results, self.facts),
            *(self.start, self.paper, self.strips, self.entry, self.classes, self.download),
            *(self.restore_head, self.removed, self.restore_button, self.restoration),
        ]
        # One at a time: the models take all cores, and Python's warnings are caught for the whole process.
        common = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "models"}
        # What is chosen while an answer is on its way is asked for after it, not dropped.
        common["trigger_mode"] = "always_last"
        facts = [self.rate, self.leads, self.unit]
        hidden = self._hidden
        self.sample.input(self._told(self.show_sample, hidden), self.sample, shown, **common)
        self.files.upload(self._told(self.show_upload, hidden), [self.files, *facts], shown, **common)
        self.again.click(self._told(self.show_again, hidden), [self.upload_state, *facts], shown, **common)
        self.start.release(
            self._told(self.move), [self.study_state, self.start], [self.message, self.paper, self.strips], **common
        )

        def look_up(study: Study | None, event: gr.EventData) -> dict:
            return self.look_up(study, event._data)

        self.strips.click(
            self._told(look_up), self.study_state, [self.message, self.entry], show_progress="hidden", **common
        )
        self.restore_button.click(
            self._told(self.restore),
            [self.study_state, self.removed, self.start],
            [self.message, self.restoration],
            **common,
        )

    def _told(self, action: Callable[..., dict], otherwise: Callable[[], dict] = dict) -> Callable[..., dict]:
        """An action whose errors are told on the page, beside what `otherwise` changes."""

        @wraps(action)
        def told(*arguments):
            quiet = {self.message: self.gr.update(value="", visible=False)}
            try:
                return quiet | action(*arguments)
            except (ValueError, OSError, ImportError, MemoryError) as error:
                return otherwise() | self._message(error)
            except Exception as error:  # a fault of ours, which must not leave an old answer beside a new question
                logger.exception("an action of the page failed")
                return otherwise() | self._message(f"This should not have happened: {type(error).__name__}: {error}")

        return told

    def _message(self, error: Exception | str) -> dict:
        text = " ".join(str(error).split()) or type(error).__name__
        return {self.message: self.gr.update(value=fragments.message_html(text), visible=True)}

    def show_sample(self, name: str) -> dict:
        """A sample, analysed."""
        study = self.workbench.study(sample_record(name), simulated=True)
        return {self.upload_state: None, **self._show(study)}

    def show_upload(self, paths: list[str] | None, rate: float | None, leads: str | None, unit: str | None) -> dict:
        """What was sent, taken off the disk and analysed; the field is empty again for the next."""
        changes = {self.files: None, self.sample: None, self.upload_state: None}
        try:
            changes[self.upload_state] = upload = take_files(paths or [])
            return changes | self.show_again(upload, rate, leads, unit)
        except (ValueError, OSError, ImportError, MemoryError) as error:
            # The content is kept: the visitor may say what the file leaves open and read it again.
            return changes | self._hidden() | self._message(error)

    def show_again(self, upload: Upload | None, rate: float | None, leads: str | None, unit: str | None) -> dict:
        """What was sent last, with what the visitor says about it."""
        read = read_upload(upload or {}, FileFacts.from_fields(rate, leads, unit))
        return self._show(self.workbench.study(read.record, read.notes))

    def move(self, study: Study | None, start_s: float) -> dict:
        """Other seconds of the same record."""
        study = _check_study(study)
        start_s = _check_start(study, start_s)
        return {
            self.paper: fragments.paper_html(self.workbench, study, start_s),
            self.strips: fragments.strips_html(self.workbench, study, start_s),
        }

    def look_up(self, study: Study | None, place: Any) -> dict:
        """The entry of the code in a cell."""
        lead, patch = _place(place)
        return {self.entry: fragments.lookup_html(self.workbench.look_up(_check_study(study), lead, patch))}

    def restore(self, study: Study | None, names: list[str], start_s: float) -> dict:
        """Leads taken out and restored."""
        study = _check_study(study)
        restored = self.workbench.restore(study, names)
        return {self.restoration: fragments.restoration_html(self.workbench, restored, _check_start(study, start_s))}

    def _show(self, study: Study) -> dict:
        gr = self.gr
        last_s = max(0.0, study.analysis.record.duration_s - fragments.SHOWN_S)
        can_restore = bool(study.restorable) and self.workbench.restorer is not None
        return {
            self.study_state: study,
            self.results: gr.update(visible=True),
            self.facts: fragments.facts_html(study),
            self.start: gr.update(value=0, maximum=int(last_s) or 1, visible=last_s >= 1),
            self.paper: fragments.paper_html(self.workbench, study, 0.0),
            self.strips: fragments.strips_html(self.workbench, study, 0.0),
            self.entry: _NO_CODE,
            self.classes: fragments.classes_html(study),
            self.download: fragments.download_html(self.workbench, study),
            self.restore_head: gr.update(visible=can_restore),
            self.removed: gr.update(choices=study.restorable, value=[], visible=can_restore),
            self.restore_button: gr.update(visible=can_restore),
            self.restoration: "",
        }

    def _hidden(self) -> dict:
        """No record: nothing of the last one stays beside an error about the next."""
        return {self.study_state: None, self.results: self.gr.update(visible=False)}


def _check_study(study: Study | None) -> Study:
    if study is None:
        raise ValueError("the record has been forgotten meanwhile: choose it again.")
    return study


def _check_start(study: Study, start_s: Any) -> float:
    """Whole seconds that leave a full picture, whatever a browser sends."""
    last_s = max(0, int(study.analysis.record.duration_s - fragments.SHOWN_S))
    if not isinstance(start_s, (int, float)) or math.isnan(start_s):
        return 0.0
    return float(int(min(max(0, start_s), last_s)))


def _place(place: Any) -> tuple[int, int]:
    """Lead and patch of a click, whatever a browser sends."""
    try:
        return int(place["lead"]), int(place["patch"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"expected a cell's lead and patch, got {place!r}.") from None


__all__ = ["LOOPBACK", "build_page", "check_gradio", "import_gradio", "serve"]
