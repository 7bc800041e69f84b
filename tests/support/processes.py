"""Programs of ours, started as users start them, and always stopped by their own process id."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any, Self, TypeVar

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 10.0

_KERNELS_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_PORT = 10_000
_chance = SystemRandom()
_given: set[int] = set()

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], *, within_s: float = 20.0, every_s: float = 0.05) -> T:
    """Return the first truthy answer of `look`.

    Raises:
        AssertionError: naming `what`, with the last answer, after `within_s`.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within_s:g} s; last seen: {answer!r}")
        time.sleep(every_s)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port of loopback that nobody has, for programs that are told theirs, or keep it over a restart.

    It is outside the range from which the kernel serves who asks for port 0: until it is taken, and while its program
    is down, nobody gets it by chance.
    """
    first_of_kernel = int(_KERNELS_PORTS.read_text().split()[0])
    while True:
        port = _chance.randrange(_FIRST_PORT, max(first_of_kernel, _FIRST_PORT + 1000))
        if port in _given:
            continue
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


class Program:
    """One process, its log and its ready file.

    A program is ready when it has written its ready file: JSON that names the addresses it listens on.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.arguments = list(arguments)
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self.ready_path = folder / f"{name}.ready.json"
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *, wait: bool = True) -> Self:
        """Start the program again or for the first time, and wait until it is ready."""
        assert not self.running
        self.ready_path.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments, cwd=self.folder, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, within_s: float = READY_WITHIN_S) -> Mapping[str, Any]:
        def look() -> bool:
            if not self.running:
                raise AssertionError(f"{self.name} ended while starting\n{self.tail()}")
            return self.ready_path.exists()

        try:
            wait_for(f"{self.name} is ready", look, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None
        return self.ready

    @property
    def ready(self) -> Mapping[str, Any]:
        values: Mapping[str, Any] = json.loads(self.ready_path.read_text())
        return values

    def tail(self, lines: int = 40) -> str:
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return f"--- {self.name}, last lines ---\n" + "\n".join(text.splitlines()[-lines:])

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(STOPPED_WITHIN_S)

    def stop(self) -> None:
        """End it as the service manager does: TERM, and KILL for what stays."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOPPED_WITHIN_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def appliance(verb: str, *arguments: str) -> list[str]:
    """Return the command line of one of our programs."""
    return [sys.executable, "-m", "appliance", verb, *arguments]
