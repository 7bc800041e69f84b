"""`room-kiosk ctl VERB`: control a running kiosk from its own machine, over its control socket."""

import base64
import json
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from appliance.surfaces.control_messages import MAX_ANSWER_BYTES, Do, Get, Request, Watch, write_request

DEFAULT_SOCKET = Path("/run/room-kiosk/control.sock")
ANSWER_WITHIN_S = 10.0
JOIN_WITHIN_S = 60.0
EX_UNAVAILABLE = 69


class Conversation:
    """One connection to the kiosk, blocking. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_WITHIN_S)
        self._outcomes: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "Conversation":
        try:
            self._socket.connect(str(self._path))
        except OSError as error:
            self._socket.close()
            click.echo(f"no kiosk at {self._path}: {error.strerror}", err=True)
            sys.exit(EX_UNAVAILABLE)
        self._lines = self._socket.makefile("rb")
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def ask(self, request: Request) -> dict[str, Any]:
        """Send a request and return its result; exits with 1 and the kiosk's words where it refuses."""
        self._socket.sendall(write_request(request))
        answer = self.read(lambda tree: tree.get("id") == request.id)
        if not answer.get("ok"):
            error = answer.get("error", {})
            click.echo(f"{error.get('code', 'internal')}: {error.get('message', '')}", err=True)
            sys.exit(1)
        result: dict[str, Any] = answer.get("result", {})
        return result

    def read(self, wanted: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        """Return the next line that is wanted."""
        while True:
            try:
                line = self._lines.readline(MAX_ANSWER_BYTES + 1)
            except TimeoutError:
                click.echo("the kiosk does not answer", err=True)
                sys.exit(EX_UNAVAILABLE)
            if not line:
                click.echo("the kiosk hung up", err=True)
                sys.exit(EX_UNAVAILABLE)
            tree: dict[str, Any] = json.loads(line)
            if tree.get("event") == "outcome":
                self._outcomes[tree["command_id"]] = tree
            if wanted(tree):
                return tree

    def wait_for_outcome(self, command_id: str) -> dict[str, Any]:
        """Return how the command ended; what is done at once is told before its answer."""
        self._socket.settimeout(JOIN_WITHIN_S)
        if command_id not in self._outcomes:
            self.read(lambda _: command_id in self._outcomes)
        return self._outcomes[command_id]


@click.group()
@click.option(
    "--socket", "path", type=click.Path(path_type=Path), default=DEFAULT_SOCKET, show_default=True,
    help="The kiosk's control socket.",
)  # fmt: skip
@click.pass_context
def ctl(context: click.Context, path: Path) -> None:
    """Control a running kiosk from its own machine. It is not thereby "in the room": what is muted stays so."""
    context.obj = path


def _command(path: Path, name: str, *, wait: bool = False, **arguments: Any) -> None:
    given = {key: value for key, value in arguments.items() if value is not None}
    with Conversation(path) as kiosk:
        if wait:
            kiosk.ask(Watch("watch"))
        result = kiosk.ask(Do(id="do", name=name, arguments=given))
        if not wait:
            return
        outcome = kiosk.wait_for_outcome(result["command_id"])
    if not outcome["ok"]:
        click.echo(f"{outcome['error']['code']}: {outcome['error']['message']}", err=True)
        sys.exit(1)
    click.echo(json.dumps(outcome["result"], ensure_ascii=False))


@ctl.command("state")
@click.pass_obj
def show_state(path: Path) -> None:
    """Print the state document."""
    with Conversation(path) as kiosk:
        click.echo(json.dumps(kiosk.ask(Get("1", "state")), ensure_ascii=False, indent=1))


@ctl.command()
@click.pass_obj
def health(path: Path) -> None:
    """Print figures of sound, screen and process."""
    with Conversation(path) as kiosk:
        click.echo(json.dumps(kiosk.ask(Get("1", "health")), indent=1))


@ctl.command()
@click.argument("room", required=False)
@click.option("--identity", help="Name in the room, instead of the device id.")
@click.option("--token", help="Access token; '-' reads it from standard input, so that no list of processes shows it.")
@click.option("--switch", is_flag=True, help="Leave the room the kiosk is in first.")
@click.pass_obj
def join(path: Path, room: str | None, identity: str | None, token: str | None, switch: bool) -> None:
    """Join ROOM, or the default room, and wait until the kiosk is in."""
    if token == "-":
        token = sys.stdin.readline().strip()
    _command(path, "room.join", wait=True, room=room, identity=identity, token=token, switch=switch or None)


@ctl.command()
@click.pass_obj
def leave(path: Path) -> None:
    """Leave the room, and wait until the devices are closed."""
    _command(path, "room.leave", wait=True)


@ctl.command()
@click.pass_obj
def mute(path: Path) -> None:
    """Mute the microphone."""
    _command(path, "mic.mute")


@ctl.command()
@click.pass_obj
def unmute(path: Path) -> None:
    """Unmute the microphone, where privacy.remote_unmute allows it."""
    _command(path, "mic.unmute")


@ctl.command()
@click.argument("switch", type=click.Choice(["on", "off"]))
@click.pass_obj
def camera(path: Path, switch: str) -> None:
    """Turn the camera off, or on where privacy.remote_unmute allows it."""
    _command(path, f"camera.{switch}")


@ctl.command()
@click.argument("percent", type=click.IntRange(0, 100))
@click.pass_obj
def volume(path: Path, percent: int) -> None:
    """Set the loudspeaker's volume."""
    _command(path, "speaker.set", volume=percent)


@ctl.command()
@click.argument("file", type=click.File("wb"))
@click.pass_obj
def screen(path: Path, file: Any) -> None:
    """Write what the kiosk's screen shows now into FILE, as PNG."""
    with Conversation(path) as kiosk:
        file.write(base64.b64decode(kiosk.ask(Get("1", "screen"))["png"]))
