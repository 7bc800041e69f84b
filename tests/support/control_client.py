"""A client of the kiosk's control socket, as a local script would write it: JSON lines, nothing of ours."""

import json
import socket
import time
from pathlib import Path
from typing import Any, Self

FINGER_S = 0.1
"""How long a button is down, and up before it is pressed again."""


class ControlClient:
    """One connection; not for several threads."""

    def __init__(self, path: Path, *, timeout_s: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._asked = 0

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request and return its answer; events that come between are passed over."""
        self._asked += 1
        identity = str(self._asked)
        self._socket.sendall(json.dumps({"id": identity, **request}).encode() + b"\n")
        while True:
            line: dict[str, Any] = json.loads(self._lines.readline())
            if line.get("id") == identity:
                return line

    def send_raw(self, data: bytes) -> dict[str, Any]:
        """Send bytes as they are and return the next line."""
        self._socket.sendall(data)
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def state(self) -> dict[str, Any]:
        """Return the state document."""
        document: dict[str, Any] = self.ask(get="state")["result"]
        return document

    def do(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self.ask(do=command, arguments=arguments)

    def press(self, button: str, action: str = "press") -> dict[str, Any]:
        """Press or release a button of the virtual front plate."""
        return self.do("front_panel.press", button=button, action=action)

    def tap(self, button: str) -> None:
        """Press and release as a finger does: shorter would be taken for a bouncing contact."""
        self.press(button)
        time.sleep(FINGER_S)
        self.press(button, "release")
        time.sleep(FINGER_S)

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
