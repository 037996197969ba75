# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: served by the command, without a network, and nothing left behind."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from tests.training.written_records import ecg_counts, write_wfdb
from tests.web.chromium import Chromium, find_chromium

import anyecg_hf

pytest.importorskip("gradio", reason='the page needs Gradio: pip install "anyecg-hf[web]"')
pytest.importorskip("websocket", reason="the browser is driven with websocket-client: pip install websocket-client")
if find_chromium() is None:
    pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)", allow_module_level=True)

FILES = "#files input[type=file]"
# A folder to leave screenshots in, for docs/demo.md.
SCREENSHOTS = os.environ.get("ANYECG_SCREENSHOTS")


class Server:
    """`anyecg demo --web` in a process of its own, with folders of its own for temporary and other files."""

    def __init__(self, folder: Path):
        self.temporary, self.home = folder / "temporary", folder / "home"
        for own in (self.temporary, self.home):
            own.mkdir()
        self.log = folder / "server.log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/"
        source = Path(anyecg_hf.__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": str(source), "TMPDIR": str(self.temporary), "HOME": str(self.home)}
        environment |= {"MPLCONFIGDIR": str(folder / "matplotlib")}
        command = [sys.executable, "-m", "anyecg_hf.cli.main", "demo", "--web", "--port", str(port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=self.home, env=environment, stdout=log, stderr=log)
        end = time.monotonic() + 120
        while f"Open {self.address}" not in self.log.read_text():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def uploads(self) -> list[Path]:
        """Files with content in the folder for temporary files."""
        return [path for path in self.temporary.rglob("*") if path.is_file() and path.stat().st_size]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    chromium = Chromium(find_chromium(), tmp_path_factory.mktemp("chromium"))
    yield chromium
    chromium.close()


@pytest.fixture
def page(server: Server, chromium: Chromium) -> Iterator[Chromium]:
    """The page, opened anew; whatever a test does, nobody else is asked for anything and no script fails."""
    chromium.resize(1280, 900)
    chromium.requests.clear()
    chromium.errors.clear()
    chromium.open(server.address)
    chromium.wait_for("document.querySelectorAll('#samples input').length == 4")
    yield chromium
    hosts = {urlsplit(address).hostname for address in chromium.requests if not address.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}
    assert chromium.errors == []


def show_sample(page: Chromium, number: int = 0) -> None:
    page.click("#samples label", number)
    page.wait_for("document.querySelector('#paper img')?.complete")


def take_screenshot(page: Chromium, name: str, height: int | None = None) -> None:
    if SCREENSHOTS:
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(Path(SCREENSHOTS) / name, height)
        # A palette is a quarter of the size and no different to the eye.
        picture = Image.open(Path(SCREENSHOTS) / name).convert("RGB")
        picture.quantize(128, dither=Image.Dither.NONE).save(Path(SCREENSHOTS) / name, optimize=True)


def test_a_sample_is_drawn_says_that_it_is_simulated_and_what_the_page_is_not(page):
    show_sample(page)
    assert "simulated, no recording of a person" in page.wait_for_text("#facts", "12: I II III aVR")
    width, height, shown = page.evaluate(
        "(({naturalWidth: w, naturalHeight: h, width: s}) => [w, h, s])(document.querySelector('#paper img'))"
    )
    assert width == 2 * shown == 2320 and height > 1000
    assert page.evaluate("document.body.innerText").count("Not a medical device") == 1


def test_a_cell_shows_the_gallerys_entry_of_its_code(page):
    show_sample(page)
    cell = page.wait_for("document.querySelectorAll('#strips button')[45]?.innerText")
    page.click("#strips button", 45)
    entry = page.wait_for_text("#entry", f"code {cell}")
    assert entry.startswith("II, 1.25 to 1.5 s") and "Gallery: 235 records" in entry
    assert page.evaluate("document.querySelectorAll('#entry svg path').length") == 5
    assert page.evaluate("document.querySelector('#strips button.chosen').innerText") == cell
    # Another one takes its place.
    page.click("#strips button", 0)
    page.wait_for_text("#entry", "I, 0 to 0.25 s")
    assert page.evaluate("document.querySelectorAll('#strips button.chosen').length") == 1


def test_cells_lie_below_their_second_of_the_paper(page):
    show_sample(page)
    page.wait_for("document.querySelectorAll('#strips button').length == 480")
    paper, cell, later = page.evaluate(
        "['#paper img', '#strips button', '#strips button[data-patch=\"36\"]']"
        ".map((selector) => document.querySelector(selector).getBoundingClientRect().left)"
    )
    # The picture's margin and its calibration pulse, at 4 pixels a millimetre; then 100 pixels a second.
    assert (cell - paper, later - cell) == (pytest.approx(4 * (10 + 15), abs=1), pytest.approx(900, abs=1))


def test_what_is_chosen_while_an_answer_is_on_its_way_is_not_dropped(page):
    page.evaluate("document.querySelectorAll('#samples input')[0].click()")
    page.evaluate("document.querySelectorAll('#samples input')[3].click()")
    page.wait_for_text("#facts", "2: II V1")


def test_probabilities_are_shown_and_the_json_holds_the_same(page):
    show_sample(page)
    shown = page.wait_for_text("#classes", "NORM")
    link = page.evaluate("(({download, href}) => [download, href])(document.querySelector('a.download'))")
    assert link[0] == "simulated-70-a-minute.json"
    found = json.loads(base64.b64decode(link[1].partition("base64,")[2]))
    assert found["checkpoint"] == "anyecg-tiny" and found["simulated"] is True
    assert np.shape(found["codes"]) == (12, 40)
    for each in found["classes"]:
        assert each["label"] in shown and f"{each['probability']:.3f}" in shown
    cells = page.evaluate("[...document.querySelectorAll('#strips button')].map((cell) => Number(cell.innerText))")
    assert cells == np.ravel(found["codes"]).tolist()


def test_leads_are_taken_out_restored_and_compared(page):
    show_sample(page)
    for number in (2, 8):
        page.click("#removed label", number)
    page.click("#restore")
    scores = page.wait_for_text("#restoration table", "PSNR").split("\n")
    assert [row.split()[0] for row in scores] == ["lead", "III", "V3"]
    assert all(float(row.split()[1]) > 0.9 for row in scores[1:])
    assert page.evaluate("document.querySelector('#restoration img').naturalWidth") == 2320
    page.click("#strips button", 45)
    page.wait_for_text("#entry", "II, 1.25 to 1.5 s")
    take_screenshot(page, "demo.png")


def test_nothing_to_restore_is_said_on_the_page(page):
    show_sample(page)
    page.click("#restore")
    assert page.wait_for_text("#message", "choose a lead or more to take out.")


def test_a_record_that_is_sent_is_read_and_its_files_are_gone(page, server, tmp_path):
    write_wfdb(tmp_path / "mine", ecg_counts(0, leads=3, seconds=10), leads=("I", "II", "V1"))
    page.choose_files(FILES, [tmp_path / "mine.hea", tmp_path / "mine.dat"])
    facts = page.wait_for_text("#facts", "mine")
    assert "3: I II V1" in facts and "10 s at 500 Hz" in facts and "simulated" not in facts
    page.wait_for("document.querySelector('#paper img')?.complete")
    assert page.text("#message") == ""
    assert server.uploads() == []
    # The field is free for the next.
    page.wait_for(f"document.querySelector('{FILES}') !== null")


def test_a_broken_file_is_told_and_leaves_no_answer_of_the_last_record(page, server, tmp_path):
    show_sample(page)
    write_wfdb(tmp_path / "cut", ecg_counts(0, leads=3, seconds=10), leads=("I", "II", "V1"))
    (tmp_path / "cut.dat").write_bytes((tmp_path / "cut.dat").read_bytes()[:15000])
    page.choose_files(FILES, [tmp_path / "cut.hea", tmp_path / "cut.dat"])
    told = page.wait_for_text("#message", "cut.dat")
    assert told.startswith("cut.dat: expected 30000 bytes") and "truncated" in told
    assert not page.evaluate("document.querySelector('#paper img')?.getBoundingClientRect().width > 0")
    assert server.uploads() == []
    take_screenshot(page, "demo-error.png")


def test_what_a_file_leaves_open_is_asked_for_and_the_file_need_not_be_sent_again(page, server, tmp_path):
    mv = ecg_counts(0, leads=2, seconds=10).T / 1000
    np.savetxt(tmp_path / "table.csv", mv, "%.3f", ",", header="I,II", comments="")
    page.choose_files(FILES, [tmp_path / "table.csv"])
    assert "expected a sampling rate, found none in the file" in page.wait_for_text("#message", "table.csv")
    page.click("button.label-wrap")
    page.write("#rate input", "500")
    page.click("#unit input")
    page.click("ul[role=listbox] li", 2)
    page.click("#again")
    assert "10 s at 500 Hz" in page.wait_for_text("#facts", "table")
    assert page.text("#message") == ""
    assert server.uploads() == []


def test_a_header_that_names_other_files_is_refused(page, tmp_path):
    (tmp_path / "sly.hea").write_text("sly 1 500 5000\n../../etc/passwd 16 1000(0)/mV 16 0 0 0 0 I\n")
    page.choose_files(FILES, [tmp_path / "sly.hea"])
    told = page.wait_for_text("#message", "sly.hea")
    assert "etc/passwd" in told and "root:" not in told


def test_too_large_a_file_is_refused(page, server, tmp_path):
    (tmp_path / "large.bin").write_bytes(bytes(20 * 2**20 + 1))
    page.choose_files(FILES, [tmp_path / "large.bin"])
    page.wait_for("document.body.innerText.includes('maximum allowed size of 20.0 M')")
    assert server.uploads() == []


def test_a_long_record_is_walked_through(page):
    show_sample(page, 3)
    page.wait_for_text("#facts", "2: II V1")
    assert page.wait_for_text("#strips tr.seconds", "9 s").split("\t")[1].strip() == "0 s"
    page.write("#start input[type=number]", "25")
    assert "34 s" in page.wait_for_text("#strips tr.seconds", "25 s")
    page.click("#strips button", 0)
    page.wait_for_text("#entry", "II, 25 to 25.25 s")


@pytest.mark.parametrize(("width", "phone"), [(1280, False), (390, True)])
def test_nothing_is_wider_than_the_window_and_no_labels_overlap(page, width, phone):
    page.resize(width, 844, phone)
    show_sample(page, 2)
    page.click("#strips button", 45)
    page.wait_for_text("#entry", "code")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Wide pictures and strips scroll in boxes of their own, and everything else stays inside.
    outside = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((element) => !element.closest('.scroll')"
        f" && element.getBoundingClientRect().right > {width} + 1).map((element) => element.outerHTML)"
    )
    assert outside == []
    texts = "h1, h2, #head p, #facts dt, #facts dd, #samples label, .class > span, .class > b, #entry p, #entry h2"
    boxes = page.evaluate(
        f"[...document.querySelectorAll('{texts}')].map((element) => element.getBoundingClientRect())"
        ".map((box) => [box.left, box.top, box.right, box.bottom])"
    )
    assert len(boxes) > 20
    overlapping = [
        (one, other)
        for place, one in enumerate(boxes)
        for other in boxes[:place]
        if min(one[2], other[2]) - max(one[0], other[0]) > 1 and min(one[3], other[3]) - max(one[1], other[1]) > 1
    ]
    assert overlapping == []
    if phone:
        take_screenshot(page, "demo-phone.png", 1750)


def test_visitors_do_not_see_each_others_records(page, server, tmp_path_factory):
    show_sample(page)
    other = Chromium(find_chromium(), tmp_path_factory.mktemp("other"))
    try:
        other.resize(1280, 900)
        other.open(server.address)
        other.wait_for("document.querySelectorAll('#samples input').length == 4")
        assert not other.evaluate("document.querySelector('#paper img')")
        show_sample(other, 3)
        other.wait_for_text("#facts", "2: II V1")
    finally:
        other.close()
    page.click("#strips button", 479)
    page.wait_for_text("#entry", "V6, 9.75 to 10 s")


def test_once_it_is_ended_no_file_is_left(server):
    server.stop()
    assert list(server.temporary.iterdir()) == [] and list(server.home.iterdir()) == []
    log = server.log.read_text()
    assert log.startswith(f"Open {server.address}") and "Traceback" not in log
    assert server.process.returncode == 0
