"""A private Mosquitto: a process of its own on a free loopback port, that tests may kill and start again."""

import socket
from pathlib import Path

from tests.support.processes import Program, free_port, wait_for
from tests.support.programs_found import program


class Mosquitto:
    """Use as a context manager. It keeps its port over `kill` and `start`."""

    def __init__(self, folder: Path, *, open_to_all: bool = True, more: str = "") -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._configuration = folder / "mosquitto.conf"
        access = f"allow_anonymous {str(open_to_all).lower()}\n"
        self._configuration.write_text(
            f"listener {self.port} 127.0.0.1\n{access}persistence false\nlog_dest stderr\n{more}"
        )
        self.process = Program("mosquitto", [program("mosquitto"), "-c", str(self._configuration)], folder)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process.start(wait=False)
        wait_for("the broker listens", self._listens)

    def kill(self) -> None:
        """End it without a word, as a power cut does."""
        self.process.kill()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()
