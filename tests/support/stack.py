"""The whole system as processes: broker, rooms service, kiosk, panel, each with its own folder, log and ready file."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import VideoGrant

from tests.support.control_client import ControlClient
from tests.support.mosquitto import Mosquitto
from tests.support.processes import Program, appliance, free_port, wait_for

KIOSK = "hall-2"
ROOM = "lobby"


class Stack:
    """Starts the parts that a test asks for; `close` stops them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self._broker: Mosquitto | None = None
        self._rooms: Program | None = None
        self._kiosk: Program | None = None
        self._panel: Program | None = None

    def _add(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> Program:
        found = Program(name, arguments, self.folder, environment=environment)
        found.arguments += ["--ready-file", str(found.ready_path)]
        self.programs.append(found)
        return found

    # --- broker ------------------------------------------------------------------------------------------------------

    def start_broker(self) -> None:
        self._broker = Mosquitto(self.folder / "broker")
        self.programs.append(self._broker.process)
        self._broker.start()

    @property
    def broker(self) -> Mosquitto:
        assert self._broker is not None
        return self._broker

    # --- rooms service -----------------------------------------------------------------------------------------------

    def start_rooms(self, configuration: str = "", advertise: Sequence[str] = ("127.0.0.1",)) -> Program:
        """Start the service on ports of its own choice; `configuration` is more of rooms.toml."""
        path = self.folder / "rooms.toml"
        path.write_text(configuration)
        http, https, media = free_port(), free_port(), free_port(socket.SOCK_DGRAM)
        arguments = [
            "--config", str(path), "--state-dir", str(self.folder / "rooms"),
            "--http", f"127.0.0.1:{http}", "--https", f"127.0.0.1:{https}",
            "--media-port", str(media),
        ]  # fmt: skip
        for address in advertise:
            arguments += ["--advertise", address]
        if self._broker is not None:
            arguments += ["--mqtt-url", self.broker.url]
        self._rooms = self._add("rooms", appliance("rooms", *arguments))
        return self._rooms.start()

    @property
    def rooms(self) -> Program:
        assert self._rooms is not None
        return self._rooms

    @property
    def service(self) -> str:
        address: str = self.rooms.ready["http"]
        return address

    @property
    def credentials(self) -> Mapping[str, str]:
        """`account_sid`, `auth_token`, `api_key_sid`, `api_key_secret` of the service."""
        values: Mapping[str, str] = json.loads(Path(self.rooms.ready["credentials_file"]).read_text())
        return values

    def token(self, identity: str, room: str | None = ROOM, ttl_s: int = 3600) -> str:
        """Mint an access token with the unmodified helper library, as an application server does."""
        keys = self.credentials
        key = (keys["account_sid"], keys["api_key_sid"], keys["api_key_secret"])
        token = AccessToken(*key, identity=identity, ttl=ttl_s)
        token.add_grant(VideoGrant(room=room))
        text: str = token.to_jwt()
        return text

    # --- kiosk -------------------------------------------------------------------------------------------------------

    def start_kiosk(
        self, more: str = "", *, environment: Mapping[str, str] | None = None, wait: bool = True
    ) -> Program:
        """Start a kiosk with virtual devices; `more` is TOML appended to its configuration."""
        path = self.folder / "kiosk.toml"
        path.write_text(self.kiosk_configuration(more))
        self._kiosk = self._add("kiosk", appliance("kiosk", "--config", str(path)), environment)
        return self._kiosk.start(wait=wait)

    def kiosk_configuration(self, more: str) -> str:
        mqtt = (
            f'enabled = true\nurl = "{self.broker.url}"\nallow_insecure = true' if self._broker else "enabled = false"
        )
        return f"""
[device]
id = "{KIOSK}"
name = "Hall 2"
[rooms_service]
url = "{self.service}"
allow_insecure = true
auth = "api_key"
credentials_file = "{self.rooms.ready["credentials_file"]}"
[mqtt]
{mqtt}
[paths]
state = "{self.folder / "kiosk"}"
control_socket = "{self.folder / "control.sock"}"
{more}
"""

    @property
    def kiosk(self) -> Program:
        assert self._kiosk is not None
        return self._kiosk

    def control(self) -> ControlClient:
        """Open the kiosk's control socket."""
        return ControlClient(self.folder / "control.sock")

    # --- panel -------------------------------------------------------------------------------------------------------

    def start_panel(self) -> Program:
        socket_path = str(self.folder / "control.sock")
        self._panel = self._add("panel", appliance("panel", "--socket", socket_path, "--bind", "127.0.0.1:0"))
        self._panel.start()
        self.wait_for_panel()
        return self._panel

    def wait_for_panel(self) -> None:
        """Wait until the panel has the kiosk's state; until then it answers 503."""
        wait_for("the panel knows the kiosk's state", self.panel_state)

    def panel_state(self) -> dict[str, Any]:
        """Return the state that the panel shows, or an empty one while it knows none."""
        try:
            state: dict[str, Any] = fetch_json(f"{self.panel_url}/api/v1/state")
        except urllib.error.HTTPError as error:
            error.close()
            return {}
        return state

    @property
    def panel(self) -> Program:
        assert self._panel is not None
        return self._panel

    @property
    def panel_url(self) -> str:
        url: str = self.panel.ready["url"]
        return url.rstrip("/")

    def close(self) -> None:
        for running in reversed(self.programs):
            running.stop()

    def logs(self) -> str:
        return "\n".join(running.tail(60) for running in self.programs)


def fetch(url: str) -> bytes:
    """GET from loopback, whatever proxy the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body


def status_of(url: str) -> int:
    """Return the HTTP status that a GET is answered with."""
    try:
        fetch(url)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


def fetch_json(url: str) -> Any:
    return json.loads(fetch(url))


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    stack = Stack(folder)
    try:
        yield stack
    finally:
        stack.close()
