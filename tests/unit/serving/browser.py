"""A headless Chromium, driven through its debugging pipe (the DevTools protocol): no driver, no port."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_PATIENCE = 60.0  # seconds: a busy machine is slow


class Browser:
    """One page of a browser of its own, with an empty profile."""

    def __init__(self, folder: Path, width: int = 1400, height: int = 900) -> None:
        """Start it.

        Args:
            folder: for its profile and for what it downloads.
        """
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        read_ours, write_theirs = os.pipe()
        read_theirs, write_ours = os.pipe()
        words = [
            str(PROGRAM),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--mute-audio",
        ]
        words += ["--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync"]
        words += ["--autoplay-policy=no-user-gesture-required", "--mute-audio", "--remote-debugging-pipe"]
        words += [f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}", "about:blank"]

        def place() -> None:  # Chromium reads commands from descriptor 3 and writes to 4
            os.dup2(read_theirs, 203)
            os.dup2(write_theirs, 204)
            os.dup2(203, 3)
            os.dup2(204, 4)

        self._process = subprocess.Popen(
            words, preexec_fn=place, close_fds=False, stderr=subprocess.DEVNULL, start_new_session=True
        )
        os.close(read_theirs)
        os.close(write_theirs)
        self._in, self._out, self._rest, self._number = read_ours, write_ours, b"", 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self._send(f"{domain}.enable")
        self._send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, address: str) -> None:
        """Load a page."""
        self._send("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def resize(self, width: int, height: int) -> None:
        """As a window, or a telephone, of so many pixels."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, as plain data."""
        found = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Until it is true."""
        end = time.monotonic() + _PATIENCE
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < end, (
                f"not within {_PATIENCE} s: {expression}; {self.value('document.body.innerText')}"
            )
            time.sleep(0.05)

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Until it is true."""
        end = time.monotonic() + _PATIENCE
        while not done():
            assert time.monotonic() < end
            time.sleep(0.05)

    def nameless(self) -> list[str]:
        """Roles of what can be used and has no name for a screen reader."""
        tree = self._send("Accessibility.getFullAXTree")["nodes"]
        used = ("button", "textbox", "spinbutton", "slider", "radio", "link", "progressbar", "Video", "Audio")
        shown = [node for node in tree if not node["ignored"] and node["role"]["value"] in used]
        # The player's own buttons are the browser's.
        return [node["role"]["value"] for node in shown if not node.get("name", {}).get("value")]

    def choose(self, selector: str, *files: Path) -> None:
        """As the user's choice in the dialogue for files."""
        root = self._send("DOM.getDocument")["root"]["nodeId"]
        node = self._send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._send("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=node)

    def drop(self, selector: str, *files: Path) -> None:
        """Drag files from the desktop onto an element."""
        x, y = self.middle(selector)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self._send("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def click(self, selector: str, across: float = 0.5) -> None:
        """A real click, at this share of the element's width."""
        x, y = self.middle(selector, across)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """A key, by its name."""
        for kind in ("rawKeyDown", "keyUp"):
            self._send("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def middle(self, selector: str, across: float = 0.5) -> tuple[float, float]:
        """A point of an element, which is scrolled into view."""
        place = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{place}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.value(
            f"(() => {{ const b = {place}.getBoundingClientRect(); return [b.x, b.y, b.width, b.height] }})()"
        )
        return box[0] + across * box[2], box[1] + 0.4 * box[3]

    def picture(self, path: Path, whole: bool = True) -> None:
        """The page as PNG.

        Args:
            whole: also what one must scroll to; the page is laid out again for it, upon which MLflow's charts show that
                they wait for their data.
        """
        found = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def complaints(self) -> list[str]:
        """What the browser's console has of errors, and refused resources."""
        found = []
        for event in self.events:
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
        return found

    def addresses(self) -> list[str]:
        """What the page has asked for over the network."""
        asked = [one["params"]["request"]["url"] for one in self.events if one["method"] == "Network.requestWillBeSent"]
        return [one for one in asked if not one.startswith(("blob:", "data:"))]

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._receive()
            if found.get("id") != self._number:
                self.events.append(found)
                continue
            assert "error" not in found, (method, found["error"])
            result: dict[str, Any] = found["result"]
            return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], _PATIENCE)
            assert ready, "the browser does not answer"
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found
