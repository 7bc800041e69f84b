"""An HTTP receiver of status callbacks, as an application would run it."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class ReceivedCallback:
    url: str
    parameters: dict[str, str]
    headers: dict[str, str]

    @property
    def event(self) -> str:
        return self.parameters["StatusCallbackEvent"]

    @property
    def signature(self) -> str:
        return self.headers["X-Twilio-Signature"]


@dataclass
class CallbackReceiver:
    """Listens on loopback and keeps what arrives. `answer` is the status it gives."""

    answer: int = 200
    received: list[ReceivedCallback] = field(default_factory=list)

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                receiver.received.append(
                    ReceivedCallback(
                        url=receiver.base + self.path,
                        parameters=dict(parse_qsl(body, keep_blank_values=True)),
                        headers={name.title(): value for name, value in self.headers.items()},
                    )
                )
                self.send_response(receiver.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Stay quiet: the tests tell what arrived."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="callback receiver", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.base}/rooms/callback?tenant=a%20b"

    def events(self) -> list[str]:
        return [callback.event for callback in self.received]
