"""Two network namespaces joined by two cables: one may be cut while the other holds. Needs root."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.programs_found import program

SERVICE = "203.0.113.1"
"""The service's address, reached over either cable. One for documentation (RFC 5737), since browsers keep pages away
from private networks that they do not come from."""

_CABLES = "198.51.100"


@dataclass(frozen=True)
class TwoCables:
    """`far` holds the service at SERVICE, `near` its clients, on cables 0 and 1; the first is preferred."""

    far: str
    near: str

    def within(self, space: str, arguments: Sequence[str]) -> list[str]:
        """Return the command line that runs a program in one of the two."""
        return [program("ip"), "netns", "exec", space, *arguments]

    def launcher(self, folder: Path, name: str) -> Path:
        """Return a script that runs a program among the clients, for those who want a path."""
        script = folder / f"near-{Path(name).name}"
        script.write_text(f'#!/bin/sh\nexec {program("ip")} netns exec {self.near} {program(name)} "$@"\n')
        script.chmod(0o755)
        return script

    def cut(self, number: int) -> None:
        """Pull a cable."""
        _ip("-n", self.near, "link", "set", f"near{number}", "down")

    def plug(self, number: int) -> None:
        _ip("-n", self.near, "link", "set", f"near{number}", "up")
        _ip(
            "-n",
            self.near,
            "route",
            "replace",
            SERVICE,
            "via",
            f"{_CABLES}.{64 * number + 1}",
            "metric",
            str(10 + number),
        )


def _ip(*arguments: str) -> None:
    done = subprocess.run([program("ip"), *arguments], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def two_cables() -> Iterator[TwoCables]:
    """Make the namespaces; skip the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    spaces = TwoCables(f"far-{os.getpid()}", f"near-{os.getpid()}")
    made: list[str] = []
    try:
        for space in (spaces.far, spaces.near):
            try:
                _ip("netns", "add", space)
            except RuntimeError as error:
                pytest.skip(f"no network namespaces here: {error}")
            made.append(space)
            _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", spaces.far, "address", "add", f"{SERVICE}/32", "dev", "lo")
        for number in range(2):
            far, near = f"far{number}", f"near{number}"
            _ip("-n", spaces.far, "link", "add", far, "type", "veth", "peer", "name", near, "netns", spaces.near)
            for space, name, host in ((spaces.far, far, 1), (spaces.near, near, 2)):
                _ip("-n", space, "address", "add", f"{_CABLES}.{64 * number + host}/26", "dev", name)
                _ip("-n", space, "link", "set", name, "up")
            # What the service answers comes from the address that it was asked at.
            network = f"{_CABLES}.{64 * number}/26"
            _ip("-n", spaces.far, "route", "replace", network, "dev", far, "src", SERVICE)
            spaces.plug(number)
        yield spaces
    finally:
        for space in made:
            _ip("netns", "delete", space)
