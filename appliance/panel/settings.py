"""What the panel may be told: where the kiosk is, where to listen, how many streams to hold."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import ConfigurationError

MAX_BODY_BYTES = 256 * 1024
"""Largest request body (kiosk.md 18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSettings:
    """Read once, when the process starts.

    Args:
        socket_path: the kiosk's control socket.
        host: address to listen on. Until there are sign-in and TLS it has to be this machine alone,
            unless `open_to_network` says that everybody who reaches the address may control the kiosk.
        port: 0 takes a free one.
        names: host names and addresses the page may be asked for by, besides those of this machine.
        max_streams: open event streams; more are refused with 503 (kiosk.md 9).
        stream_s: a stream ends after so many seconds, and the page opens the next one.
        comment_every_s: a quiet stream says so this often, so that neither end takes it for dead.
        answer_within_s: how long the kiosk may take to answer on its socket before it counts as silent.
    """

    socket_path: Path
    host: str = "127.0.0.1"
    port: int = 8090
    open_to_network: bool = False
    names: tuple[str, ...] = ()
    max_streams: int = 8
    stream_s: float = 900.0
    comment_every_s: float = 15.0
    answer_within_s: float = 3.0

    def check(self) -> None:
        """Raise ConfigurationError, one line for each thing that cannot be used."""
        problems = []
        if not 0 <= self.port <= 65535:
            problems.append(f"panel: port {self.port} is not between 0 and 65535")
        if not (_is_loopback(self.host) or self.open_to_network):
            problems.append(
                f"panel: listening on {self.host} would let everybody on the network control this kiosk, since the "
                "page has no sign-in yet; listen on 127.0.0.1, or add --open-to-network if that is meant"
            )
        if self.max_streams < 0:
            problems.append(f"panel: max_streams {self.max_streams} is below 0")
        if problems:
            raise ConfigurationError(problems)


def parse_bind(text: str) -> tuple[str, int]:
    """Split `127.0.0.1:8090` or `[::1]:8090` into host and port; raise ConfigurationError."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535 or not host:
        raise ConfigurationError([f"panel: {text!r} is not an address; write it as 127.0.0.1:8090 or [::1]:8090"])
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
