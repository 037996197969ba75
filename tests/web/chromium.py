# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven through its DevTools protocol: real clicks, real uploads, every request noted."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    # Nothing but this machine has an address: a page that wants more fails, and its request is noted all the same.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)
WAIT_S = 30.0


def find_chromium() -> str | None:
    """Path of a browser, or `None`."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Chromium:
    """
    One tab. Selectors are CSS; an element that does not come makes an `AssertionError` with what the page shows.

    Args:
        program (`str`): From [`find_chromium`].
        profile (`Path`): An empty folder for it.
    """

    def __init__(self, program: str, profile: Path):
        import websocket

        log = (profile / "chromium.log").open("wb")
        command = [program, *FLAGS, f"--user-data-dir={profile / 'user'}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            port = self._port(profile / "user" / "DevToolsActivePort", profile / "chromium.log")
            with urlopen(Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT"), timeout=30) as answer:
                address = json.load(answer)["webSocketDebuggerUrl"]
            self._socket = websocket.create_connection(address, timeout=WAIT_S, suppress_origin=True)
        except BaseException:
            self._process.kill()
            raise
        self._number = 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Network", "Runtime", "DOM"):
            self.call(f"{domain}.enable")

    def _port(self, file: Path, log: Path) -> int:
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end and self._process.poll() is None:
            if file.is_file() and file.read_text().strip():
                return int(file.read_text().split()[0])
            time.sleep(0.05)
        raise AssertionError(f"Chromium did not start: {log.read_text(errors='replace')[-2000:]}")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; events that come meanwhile are noted."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif message["method"] == "Network.webSocketCreated":
            self.requests.append(message["params"]["url"])
        elif message["method"] == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(message["params"]["exceptionDetails"])[:500])

    def evaluate(self, script: str) -> Any:
        """Value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Value of an expression once it is true."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            value = self.evaluate(script)
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(
            f"this never came true: {script}. The page says: {self.evaluate('document.body.innerText')}"
        )

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        """Sets the size of the window in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def open(self, address: str) -> None:
        """Opens a page and waits until something is on it."""
        self.call("Page.navigate", url=address)
        self.wait_for(f"location.href.startsWith({json.dumps(address)}) && document.readyState == 'complete'")

    def text(self, selector: str) -> str:
        """What a visitor reads in an element, empty if it is not there."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def wait_for_text(self, selector: str, part: str) -> str:
        """Text of an element once it holds `part`."""
        found = f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"
        self.wait_for(f"({found}).includes({json.dumps(part)})")
        return self.text(selector)

    def click(self, selector: str, number: int = 0) -> None:
        """A click of the mouse in the middle of an element, `number` among those that the selector finds."""
        x, y = self._resting_place(f"document.querySelectorAll({json.dumps(selector)})[{number}]")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def _resting_place(self, found: str) -> tuple[float, float]:
        """Middle of an element, once it is in sight, rests and nothing lies over it: pages shift as they load."""
        look = f"""(() => {{
            const element = {found};
            if (!element) return null;
            element.scrollIntoView({{block: "center", inline: "center", behavior: "instant"}});
            const box = element.getBoundingClientRect();
            const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
            const hit = document.elementFromPoint(x, y);
            return box.width > 0 && hit && element.contains(hit) ? [x, y] : null;
        }})()"""
        end, before, rested = time.monotonic() + WAIT_S, None, 0
        while time.monotonic() < end:
            place = self.evaluate(look)
            rested = rested + 1 if place is not None and place == before else 0
            if rested >= 3:
                return place[0], place[1]
            before = place
            time.sleep(0.05)
        raise AssertionError(f"{found} never came to rest in sight: {self.evaluate('document.body.innerText')}")

    def write(self, selector: str, text: str) -> None:
        """Clicks into a field, replaces what stands in it, and leaves it."""
        self.click(selector)
        self.evaluate("document.activeElement.select()")
        self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    def choose_files(self, selector: str, files: Sequence[Path]) -> None:
        """Chooses files in a file field, as its dialogue would."""
        self.wait_for(f"document.querySelector({json.dumps(selector)}) !== null")
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def screenshot(self, path: Path, height: int | None = None) -> None:
        """The whole page as a PNG, or its first `height` CSS pixels."""
        size = self.evaluate("[window.innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": height or size[1], "scale": 1}
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """Ends the browser."""
        self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=30)
