"""A headless Chromium, driven over its DevTools protocol: what a page shows, says, asks for, and tells readers."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
HANG = 60
KEYS = {
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    "PageUp": ("PageUp", 33, ""),
    "PageDown": ("PageDown", 34, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
    "Left": ("ArrowLeft", 37, ""),
    "Up": ("ArrowUp", 38, ""),
    "Right": ("ArrowRight", 39, ""),
    "Down": ("ArrowDown", 40, ""),
}
"""How a key is called here: its name in scripts, its number, what it writes."""


class Browser:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0
        self._session: dict[str, str] = {}
        self._seen: list[str] = []
        self._messages: list[str] = []
        self._requests: list[str] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        session = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": session["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def _send(self, method: str, **params: Any) -> Any:
        self._count += 1
        self._socket.send(
            json.dumps({"id": self._count, "method": method, "params": params, **self._session})
        )
        while (message := self._receive()).get("id") != self._count:
            pass
        assert "error" not in message, (method, message["error"])
        return message["result"]

    def _receive(self) -> Any:
        message = json.loads(self._socket.recv(HANG))
        event, params = message.get("method", ""), message.get("params", {})
        self._seen.append(event)
        if event == "Network.requestWillBeSent":
            self._requests.append(params["request"]["url"])
        elif event in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
            self._messages.append(json.dumps(params))
        return message

    def open(self, page: Path | str, *, width: int = 1440, height: int = 1000, dark: bool = False) -> None:
        """Go to a file, or a URL, in a window of this size, on a machine set to light or dark."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[theme])
        for noted in (self._seen, self._messages, self._requests):
            noted.clear()
        self._send("Page.navigate", url=page.as_uri() if isinstance(page, Path) else page)
        self.wait()

    def wait(self) -> None:
        """Until a page is there that was asked for; what was said before it is forgotten after that."""
        while "Page.loadEventFired" not in self._seen:
            self._receive()
        self._seen.clear()

    def run(self, script: str) -> Any:
        """What a script returns."""
        answer = self._send("Runtime.evaluate", expression=f"(() => {{{script}}})()", returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press and release keys, by their name or letter."""
        for key in keys:
            name, code, text = KEYS.get(key, (key, 0, key))
            facts = {"key": name, "windowsVirtualKeyCode": code}
            self._send("Input.dispatchKeyEvent", type="keyDown", text=text, **facts)
            self._send("Input.dispatchKeyEvent", type="keyUp", **facts)

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element."""
        x, y = self.run(
            f"const node = document.querySelector({json.dumps(selector)}); node.scrollIntoView({{block: 'center'}});"
            f"const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, file: Path) -> None:
        """Write what is seen to a file."""
        file.write_bytes(base64.b64decode(self._send("Page.captureScreenshot")["data"]))

    def told(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What a screen reader is told, in order: of each thing its role, its name, and its properties."""
        nodes = self._send("Accessibility.getFullAXTree")["nodes"]
        return [
            (
                node["role"]["value"],
                node.get("name", {}).get("value", ""),
                {
                    each["name"]: each["value"].get("value", each["value"])
                    for each in node.get("properties", ())
                },
            )
            for node in nodes
            if not node["ignored"]
        ]

    def messages(self) -> list[str]:
        """What the page has written to the console, and errors in it."""
        self.run("")  # what was said before this is here now
        return self._messages

    def requests(self) -> list[str]:
        """What the page has asked for, itself among it."""
        self.run("")
        return self._requests


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser for a block of tests, which are skipped where there is none."""
    if BROWSER is None:
        pytest.skip("needs a browser: no Chromium here, the pages were not looked at")
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        line = [BROWSER, *OPTIONS, f"--user-data-dir={profile}"]
        env = {**os.environ, "HOME": profile}
        with subprocess.Popen(
            line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, text=True
        ) as run:
            try:
                assert run.stderr is not None
                found = (re.search(r"listening on (ws://\S+)", text) for text in run.stderr)
                url = next(each[1] for each in found if each)
                rest = Thread(target=run.stderr.read)  # a full pipe would stop it
                rest.start()
                try:
                    with connect(url, proxy=None, max_size=None, open_timeout=HANG) as socket:
                        yield Browser(socket)
                finally:
                    run.terminate()
                    rest.join()
            finally:
                run.kill()
