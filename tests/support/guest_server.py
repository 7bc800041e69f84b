"""Serves the guest page as the rooms service does, with scripted answers to who asks for a token."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from appliance.web_files import web_folder

FAKE_SDK = Path(__file__).parents[1] / "e2e" / "pages" / "fake_sdk.js"

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8"}


class GuestServer:
    """What the page was asked for, and what it is told."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status = 200
        self.answer: dict[str, Any] = {
            "token": "header.payload.signature",
            "room": "Harbour",
            "identity": "Ingrid Solberg",
        }
        self.asked: list[dict[str, Any]] = []
        self.extra: dict[str, Path] = {}

    def page(self, room: str = "Harbour", invitation: str = "aW52aXRhdGlvbg") -> str:
        return f"{self.url}/join/{room}#{invitation}"


def _policy(host: str) -> str:
    # As strict as the rooms service's own (rooms/guests.py), so that a page that breaks it breaks here.
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        f"media-src 'self' blob: mediastream:; connect-src 'self' wss://{host} ws://{host}; "
        "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@contextmanager
def guest_server() -> Iterator[GuestServer]:
    """Serve on a free port of loopback until left."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            folder = web_folder("guest")
            if path in control.extra:
                self._give(control.extra[path])
            elif path == "/join/-/vendor/twilio-video.min.js":
                self._give(FAKE_SDK)
            elif path.startswith("/join/-/"):
                self._give(folder / path.removeprefix("/join/-/"))
            elif path.startswith("/join/"):
                self._give(folder / "index.html")
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            control.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(control.answer).encode()
            self._head(control.status, "application/json", len(body))
            self.wfile.write(body)

        def _give(self, path: Path) -> None:
            if not path.is_file():
                self.send_error(404)
                return
            body = path.read_bytes()
            self._head(200, _TYPES.get(path.suffix, "application/octet-stream"), len(body))
            self.wfile.write(body)

        def _head(self, status: int, content_type: str, length: int) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(length))
            self.send_header("Content-Security-Policy", _policy(self.headers["Host"]))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    control = GuestServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, name="guest page", daemon=True)
    thread.start()
    try:
        yield control
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
