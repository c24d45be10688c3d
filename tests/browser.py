"""A real browser without a window, spoken to over a pipe: the DevTools protocol, JSON messages ended by a zero byte.

Nothing listens on the network, and the browser's profile is a folder of the test.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 60  # seconds without a word from the browser


def installed() -> str | None:
    """The browser on the path, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in one browser, until `close`."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()

        def give_pipes() -> None:  # in the child: it reads from 3 and writes to 4
            kept = [fcntl.fcntl(pipe, fcntl.F_DUPFD, 10) for pipe in (theirs_in, theirs_out)]
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        with (profile.parent / f"{profile.name}.log").open("wb") as told:
            self._process = subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                preexec_fn=give_pipes, close_fds=False, stdout=told, stderr=told,
            )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest, self._last, self._session = b"", 0, ""
        self.complaints: list[str] = []  # what the page logged as an error or a warning
        target = next(t for t in self._ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = str(attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, page: Path) -> None:
        """Show a file, and wait until all of it is there."""
        self._ask("Page.navigate", url=page.as_uri())
        deadline = time.monotonic() + PATIENCE
        while self.value("document.readyState + ' ' + location.href") != f"complete {page.as_uri()}":
            assert time.monotonic() < deadline, f"{page} is not shown"
            time.sleep(0.02)

    def look(self, *, width: int, scheme: str = "light") -> None:
        """How wide the window is, in pixels, and whether its owner wants `light` or `dark`."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        self._ask("Emulation.setEmulatedMedia", media="", features=wanted)

    def value(self, expression: str) -> Any:
        """What an expression is, in the page."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def pdf(self) -> bytes:
        """The page as it is printed, on the paper that it asks for."""
        return base64.b64decode(self._ask("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        os.close(self._to)
        os.close(self._from)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        number, where = self._last, {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps({"id": number, "method": method, "params": parameters, **where}).encode() + b"\0")
        while (message := self._read()).get("id") != number:
            pass
        assert "error" not in message, (method, message["error"])
        return dict(message["result"])

    def _read(self) -> dict[str, Any]:
        """The next message; complaints are kept. Raises EOFError or TimeoutError when the browser has gone or hangs."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            if not ready:
                raise TimeoutError("the browser does not answer")
            some = os.read(self._from, 1 << 16)
            if not some:
                raise EOFError("the browser has ended")
            self._rest += some
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] in ("error", "warning"):
            self.complaints.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))
        return message
