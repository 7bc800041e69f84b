"""Debian's coturn on loopback, configured by the example that users are given, and always stopped."""

import re
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path

from appliance.rooms import certificates
from tests.support.processes import Program, free_port, wait_for
from tests.support.programs_found import program

EXAMPLE = Path(__file__).parents[2] / "provisioning" / "turnserver.conf"
TRANSPORTS = ("udp", "tcp", "tls")


class Coturn:
    """Use as a context manager. It relays to 127.0.0.1 alone, which it would not do without being told."""

    def __init__(self, folder: Path) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.secret = secrets.token_urlsafe(24)
        folder.mkdir(parents=True, exist_ok=True)
        self.secret_file = folder / "turn.secret"
        self.secret_file.write_text(self.secret + "\n")
        self.certificate, key = certificates.load_or_make(folder, ["localhost"], ["127.0.0.1"], datetime.now(UTC))
        path = folder / "turnserver.conf"
        path.write_text(self._configuration(folder, key))
        self._process = Program("coturn", [program("turnserver"), "-c", str(path)], folder)

    def _configuration(self, folder: Path, key: Path) -> str:
        values = {
            "secret": self.secret,
            "turn.example.org": "localhost",
            "certificate.pem": str(self.certificate),
            "key.pem": str(key),
            "address of the rooms service": "127.0.0.1",
        }
        text = "\n".join(line for line in EXAMPLE.read_text().splitlines() if not line.startswith("#"))
        text = re.sub(r"<([^>]*)>", lambda found: values[found[1]], text)
        text = re.sub(r"(?m)^listening-port=.*", f"listening-port={self.port}", text)
        text = re.sub(r"(?m)^tls-listening-port=.*", f"tls-listening-port={self.tls_port}", text)
        for line in ("listening-ip=127.0.0.1", "relay-ip=127.0.0.1", "allow-loopback-peers", "log-file=stdout"):
            text += f"\n{line}"
        return text + f"\npidfile={folder / 'turnserver.pid'}\nuserdb={folder / 'turndb'}\n"

    def url(self, transport: str) -> str:
        """Return the address of one of TRANSPORTS."""
        if transport == "tls":
            return f"turns:127.0.0.1:{self.tls_port}?transport=tcp"
        return f"turn:127.0.0.1:{self.port}?transport={transport}"

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(self.url(transport) for transport in TRANSPORTS)

    def log(self) -> str:
        return self._process.tail(400)

    def _listens(self) -> bool:
        for port in (self.port, self.tls_port):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return False
        return True

    def __enter__(self) -> "Coturn":
        self._process.start(wait=False)
        try:
            wait_for("coturn listens", self._listens)
        except AssertionError as error:
            self._process.stop()
            raise AssertionError(f"{error}\n{self.log()}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
