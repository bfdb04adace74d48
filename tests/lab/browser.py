"""Pages in a real browser: Chromium without a display, driven over a pipe.

    with Browser() as browser:
        browser.open("http://172.17.0.2/", 1000, 600)
        browser.wait_for("document.title == 'ready'")
        browser.screenshot(Path("page.png"))

The Chrome DevTools Protocol, with --remote-debugging-pipe: a JSON object and a zero byte for each message,
https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")


class Browser:
    """One page at a time. Chromium's sandbox wants another user than root, so it runs without."""

    def __init__(self) -> None:
        assert shutil.which("chromium"), "this test needs Chromium: scripts/prepare up --labs"
        its_input, self._commands = os.pipe()
        self._answers, its_output = os.pipe()
        words = f"exec chromium {' '.join(_OPTIONS)} about:blank 3<&{its_input} 4>&{its_output}"
        self._process = subprocess.Popen(
            ["bash", "-c", words],
            pass_fds=(its_input, its_output),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_input)
        os.close(its_output)
        self._read = os.fdopen(self._answers, "rb")
        self._number = 0
        self._session: str | None = None

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._commands)  # at which it ends itself
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._read.close()

    def open(self, url: str, width: int, height: int) -> None:
        """A new page of that size; it may still be loading."""
        self._session = None
        made = self._call("Target.createTarget", url="about:blank")
        self._session = self._call("Target.attachToTarget", targetId=made["targetId"], flatten=True)["sessionId"]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, None if it throws."""
        return self._call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait_for(self, expression: str, within_s: float = 30) -> None:
        """Waits until the expression is true."""
        end = time.monotonic() + within_s
        while self.evaluate(expression) is not True:
            assert time.monotonic() < end, f"not true within {within_s} s: {expression}\n{self.text()}"
            time.sleep(0.2)

    def text(self) -> str:
        """What the page shows as text."""
        return str(self.evaluate("document.body.innerText"))

    def screenshot(self, path: Path) -> None:
        """What it shows, as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _message(self) -> bytes:
        content = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            assert byte, f"Chromium has ended with exit code {self._process.wait()}"
            content += byte
        return bytes(content)
