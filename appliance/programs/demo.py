"""Everything on one machine: broker, rooms service, kiosk, panel, guest page; Ctrl-C stops it all."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from appliance import PRODUCT
from appliance.errors import ConfigurationError
from appliance.web_files import web_folder

ROOM = "lobby"
READY_WITHIN_S = 40.0
TERM_GRACE_S = 2.5  # everything has stopped 3 s after Ctrl-C
RESTART_AFTER_S = 2.0  # as the units' RestartSec

HTTP_PORT, HTTPS_PORT, MEDIA_PORT, PANEL_PORT, BROKER_PORT = 8080, 8443, 8444, 8090, 1883


def free_port(wanted: int, kind: socket.SocketKind = socket.SOCK_STREAM, *, tries: int = 100) -> int:
    """Return `wanted`, or the next port that nobody listens on.

    Raises:
        ConfigurationError: where none of the next `tries` is free.
    """
    for port in range(wanted, wanted + tries):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise ConfigurationError([f"no free port from {wanted} to {wanted + tries - 1}"])


def ending_with_us(command: Sequence[str]) -> list[str]:
    """Return the command so that the kernel ends it when we die, however we die (util-linux's setpriv)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else list(command)


@dataclass
class Part:
    """One program of the demo: started again when it ends, as the service manager would."""

    name: str
    command: Sequence[str]
    folder: Path
    ready_file: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    ended_at: float | None = None
    restarts: int = 0

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        if self.ready_file:
            self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ending_with_us(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us alone, we stop the parts in order
            )

    def wait_ready(self, stop: threading.Event) -> Mapping[str, Any]:
        """Return what the ready file says.

        Raises:
            click.ClickException: where the program ends or takes too long, with the end of its log.
        """
        assert self.ready_file is not None
        assert self.process is not None
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.ready_file.exists():
            if self.process.poll() is not None:
                raise click.ClickException(f"the {self.name} ended while starting:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise click.ClickException(f"the {self.name} is not ready after {READY_WITHIN_S:g} s; see {self.log}")
            if stop.wait(0.05):
                raise click.Abort
        values: Mapping[str, Any] = json.loads(self.ready_file.read_text())
        return values

    def last_lines(self, count: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


@dataclass
class Demo:
    """The parts in the order of their start, and what was chosen for them."""

    folder: Path
    console: Console
    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def port(self, what: str, wanted: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
        port = free_port(wanted, kind)
        if port != wanted:
            self.notes.append(f"Port {wanted} is in use: {what} is on {port}.")
        return port

    def add(self, name: str, command: Sequence[str], *, ready: bool = True) -> Part:
        ready_file = self.folder / f"{name}.ready.json" if ready else None
        arguments = [*command, "--ready-file", str(ready_file)] if ready_file else command
        part = Part(name, arguments, self.folder, ready_file)
        part.log.unlink(missing_ok=True)
        part.start()
        self.parts.append(part)
        return part

    def watch(self) -> None:
        """Until told to stop: start again what has ended."""
        while not self.stop.wait(0.2):
            for part in self.parts:
                assert part.process is not None
                if part.process.poll() is None:
                    continue
                now = time.monotonic()
                if part.ended_at is None:
                    part.ended_at = now
                    self.console.print(
                        f"[yellow]The {part.name} ended ({part.process.returncode}); it starts again. Log: {part.log}"
                    )
                elif now - part.ended_at >= RESTART_AFTER_S:
                    part.ended_at = None
                    part.restarts += 1
                    part.start()

    def close(self) -> None:
        """Ask all parts to end, the last started first; kill what has not after the grace time."""
        running = [part for part in reversed(self.parts) if part.process and part.process.poll() is None]
        for part in running:
            assert part.process is not None
            part.process.terminate()
        deadline = time.monotonic() + TERM_GRACE_S
        for part in running:
            assert part.process is not None
            try:
                part.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()


def own(verb: str, *arguments: str) -> list[str]:
    """Return the command line of one of our programs under this very interpreter."""
    return [sys.executable, "-m", "appliance", verb, *arguments]


def start_broker(demo: Demo) -> str | None:
    """Start a private Mosquitto; return its URL, or None where it is not installed."""
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if mosquitto is None:
        demo.notes.append("Mosquitto is not installed: no MQTT (Debian: apt install mosquitto).")
        return None
    port = demo.port("the broker", BROKER_PORT)
    configuration = demo.folder / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    demo.add("broker", [mosquitto, "-c", str(configuration)], ready=False)
    return f"mqtt://127.0.0.1:{port}"


def kiosk_configuration(folder: Path, service: str, credentials: str, broker: str | None) -> str:
    """Return the kiosk.toml of the demo: the best devices that are found, the room `lobby`, joined at once."""
    mqtt = f'enabled = true\nurl = "{broker}"\nallow_insecure = true' if broker else "enabled = false"
    # On a desktop a window, elsewhere whatever the connected display is.
    desktop = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    display = "width = 1280\nheight = 720" if desktop else ""
    return f"""# Written by the demo at each start.
[device]
id = "{ROOM}"
name = "{ROOM.capitalize()}"

[rooms_service]
url = "{service}"
allow_insecure = true
auth = "api_key"
credentials_file = "{credentials}"

[join]
mode = "always"
default_room = "{ROOM}"

[video]
source = "auto_or_virtual"

[audio]
input = "auto_or_virtual"
output = "auto_or_virtual"

[mqtt]
{mqtt}

[display]
{display}

[paths]
state = "{folder / "kiosk"}"
control_socket = "{folder / "control.sock"}"
"""


def invitation(service: str, credentials: Mapping[str, str]) -> str | None:
    """Ask the rooms service for a guest's link to the room."""
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, service, credentials["api_key_sid"], credentials["api_key_secret"])
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(passwords)
    )
    try:
        with opener.open(f"{service}/join/{ROOM}/invitations", data=b"", timeout=5) as answer:
            link: str = json.load(answer)["link"]
            return link
    except urllib.error.URLError:
        return None


def table(rows: Sequence[tuple[str, str, str]]) -> Text:
    """Return what runs, where, and what to try; addresses are never broken, so that they can be copied."""
    width = max(len(what) for what, _, _ in rows) + 2
    result = Text(f"{PRODUCT} is running\n\n", style="bold")
    for what, address, hint in rows:
        result.append(f"{what:<{width}}", style="bold").append(f"{address}\n", style="not bold cyan")
        result.append(f"{'':<{width}}{hint}\n", style="not bold dim")
    return result


def run_demo(demo: Demo) -> None:
    """Start everything, print the table, and keep it running until Ctrl-C."""
    rows: list[tuple[str, str, str]] = []
    guest = (web_folder("guest") / "vendor" / "twilio-video.min.js").exists()
    if not guest:
        demo.notes.append("The guest page is left out: npm was not there to fetch its SDK (Debian: apt install npm).")
    with demo.console.status("Starting the broker and the rooms service …") as status:
        broker = start_broker(demo)
        rooms_arguments = [
            "--state-dir", str(demo.folder / "rooms"),
            "--http", f"127.0.0.1:{demo.port('the rooms service', HTTP_PORT)}",
            "--https", f"0.0.0.0:{demo.port('the guest page', HTTPS_PORT)}",
            "--media-port", str(demo.port("media", MEDIA_PORT, socket.SOCK_DGRAM)),
            *(["--mqtt-url", broker] if broker else []),
        ]  # fmt: skip
        service = demo.add("rooms", own("rooms", *rooms_arguments)).wait_ready(demo.stop)
        status.update("Starting the kiosk …")
        configuration = demo.folder / "kiosk.toml"
        configuration.write_text(kiosk_configuration(demo.folder, service["http"], service["credentials_file"], broker))
        kiosk = demo.add("kiosk", own("kiosk", "--config", str(configuration)))
        status.update("Starting the panel …")
        panel_port = demo.port("the panel", PANEL_PORT)
        panel = demo.add(
            "panel", own("panel", "--socket", str(demo.folder / "control.sock"), "--bind", f"127.0.0.1:{panel_port}")
        )
        devices = kiosk.wait_ready(demo.stop)
        panel_url = panel.wait_ready(demo.stop)["url"]
        credentials = json.loads(Path(service["credentials_file"]).read_text())
        link = invitation(service["http"], credentials) if guest else None
    rows.append(("Panel", panel_url, "Mute, leave and join; Buttons has the drawn front plate"))
    rows.append(("Kiosk's screen", f"{panel_url}/screen.png", "What hangs on the wall"))
    if link:
        rows.append(("Guest page", link, "Open it, also from a phone; the certificate is home-made"))
    rows.append(("Rooms service", service["http"], f"REST API, signaling; keys in {service['credentials_file']}"))
    if broker:
        port = broker.rsplit(":", 1)[1]
        rows.append(("MQTT", broker, f"mosquitto_sub -p {port} -v -t 'room-kiosk/#' -t 'room-kiosk-rooms/#'"))
    rows.append(("Logs", str(demo.folder), "One file a program"))
    demo.console.print(table(rows), soft_wrap=True)
    found = ", ".join(f"{what}: {name}" for what, name in devices.get("devices", {}).items())
    if found:
        demo.console.print(f"The kiosk found {found}.", soft_wrap=True)
    for note in demo.notes:
        demo.console.print(f"[yellow]{note}")
    demo.console.print("Ctrl-C stops everything.")
    demo.watch()


@click.command()
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Where configuration, keys, logs and the store of the demo lie.",
)
def demo(state_dir: Path) -> None:
    """Run everything together on this machine: rooms service, a kiosk in room "lobby", panel, guest page, broker.

    The kiosk takes the best devices it finds and virtual ones for the rest. Nothing needs root; Ctrl-C stops it all.
    """
    folder = state_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    session = Demo(folder, Console())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: session.stop.set())
    try:
        run_demo(session)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    finally:
        session.console.print("Stopping …")
        session.close()
