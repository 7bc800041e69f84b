"""Two machines with two cables between them, made of network namespaces: a kiosk and whatever serves it. Needs root.

    kiosk: first 10.98.1.2 ── 10.98.1.1 service     The service is 10.99.0.1 on its own loopback, and so reached by
          second 10.98.2.2 ── 10.98.2.1             either cable; the kiosk has one default route at a time.

The main thread may be in the kiosk's namespace (`inside`), and a loop of its own thread in the service's
(`LoopInside`). Programs that look at their interfaces by /proc see those of the main thread.
"""

import asyncio
import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

T = TypeVar("T")
Cable = Literal["first", "second"]

CLONE_NEWNET = 0x4000_0000  # sched.h
SERVICE_ADDRESS = "10.99.0.1"
_NUMBERS: dict[Cable, int] = {"first": 1, "second": 2}


def why_not() -> str | None:
    """Return why namespaces cannot be made here; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need `ip` (Debian package iproute2)"
    tried = subprocess.run(["ip", "netns", "add", _name("try")], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"network namespaces cannot be made here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", _name("try")], check=True)
    return None


def _name(what: str) -> str:
    return f"rk-{what}-{os.getpid()}"


def _run(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@dataclass(frozen=True, slots=True)
class TwoMachines:
    """The names of the two namespaces, and what can happen between them."""

    kiosk: str
    service: str

    def plug(self, cable: Cable, host_number: int = 2) -> None:
        """Bring a cable up on both ends; the kiosk gets the address of this number, and its default route."""
        number = _NUMBERS[cable]
        _run("-n", self.service, "link", "set", f"s{number}", "up")
        _run("-n", self.kiosk, "link", "set", f"k{number}", "up")
        self.lease(cable, host_number)

    def lease(self, cable: Cable, host_number: int) -> None:
        """Give the kiosk another address on a cable, as a new lease does."""
        number = _NUMBERS[cable]
        _run("-n", self.kiosk, "address", "flush", "dev", f"k{number}")
        _run("-n", self.kiosk, "address", "add", f"10.98.{number}.{host_number}/24", "dev", f"k{number}")
        _run("-n", self.kiosk, "route", "replace", "default", "via", f"10.98.{number}.1", "dev", f"k{number}")

    def pull(self, cable: Cable) -> None:
        """Pull a cable out at the far end, and let the kiosk's address go with it, as network managers do."""
        number = _NUMBERS[cable]
        _run("-n", self.service, "link", "set", f"s{number}", "down")
        _run("-n", self.kiosk, "address", "flush", "dev", f"k{number}")


@contextmanager
def two_machines() -> Iterator[TwoMachines]:
    """Make both namespaces, the first cable plugged in; remove them at the end."""
    machines = TwoMachines(_name("kiosk"), _name("service"))
    try:
        for name in (machines.kiosk, machines.service):
            _run("netns", "add", name)
            _run("-n", name, "link", "set", "lo", "up")
        _run("-n", machines.service, "address", "add", f"{SERVICE_ADDRESS}/32", "dev", "lo")
        for number in _NUMBERS.values():
            ends = ("type", "veth", "peer", "name", f"s{number}", "netns", machines.service)
            _run("-n", machines.kiosk, "link", "add", f"k{number}", *ends)
            _run("-n", machines.service, "address", "add", f"10.98.{number}.1/24", "dev", f"s{number}")
        machines.plug("first")
        yield machines
    finally:
        for name in (machines.kiosk, machines.service):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let this thread, and those that it starts, be in a namespace; sockets stay where they were made."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    wanted = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(wanted)
        yield
    finally:
        _enter(before)
        os.close(wanted)
        os.close(before)


class LoopInside:
    """An event loop on a thread of its own, in a namespace."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"loop in {name}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` on that loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _run(self) -> None:
        with inside(self._name):
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
