"""Ready, watchdog and status for the service manager (sd_notify(3)); without one it does nothing."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable

from appliance.kiosk.runner import Kiosk
from appliance.kiosk.state import KioskState, Phase

log = logging.getLogger(__name__)

LOOP_LAG_LIMIT_S = 2.0
"""A loop that is later than this is not kept alive (kiosk.md 16)."""


class SystemdNotify:
    """Satisfies Surface.

    Args:
        address: NOTIFY_SOCKET; None where nobody listens.
        watchdog_s: WATCHDOG_USEC in seconds; None without a watchdog.
        healthy: what else has to hold for the keep-alive, e.g. that sound goes on while it should.
    """

    name = "service manager"

    def __init__(self, address: str | None, watchdog_s: float | None, healthy: Callable[[], bool]) -> None:
        self._address, self._watchdog_s, self._healthy = address, watchdog_s, healthy
        self._ready = False

    async def run(self, kiosk: Kiosk) -> None:
        forget = kiosk.watch(self._show)
        try:
            await self._keep_alive()
        finally:
            forget()
            self._send("STOPPING=1")

    def _show(self, state: KioskState) -> None:
        room = f" in {state.visit.room_name}" if state.visit else ""
        lines = [f"STATUS={state.phase}{room}: {state.reason}"]
        if not self._ready and state.phase is not Phase.BOOTING:
            self._ready = True
            lines.append("READY=1")
        self._send("\n".join(lines))

    async def _keep_alive(self) -> None:
        if self._watchdog_s is None:
            await asyncio.Event().wait()
            return
        pause_s = self._watchdog_s / 3
        while True:
            before = time.monotonic()
            await asyncio.sleep(pause_s)
            lag_s = time.monotonic() - before - pause_s
            if lag_s < LOOP_LAG_LIMIT_S and self._healthy():
                self._send("WATCHDOG=1")
            else:
                log.error("no keep-alive: loop %.1f s late, healthy: %s", lag_s, self._healthy())

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        # A leading @ stands for the abstract namespace (sd_notify(3)).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.sendto(message.encode(), address)
        except OSError as error:
            log.warning("service manager: %s", error)


def from_environment(healthy: Callable[[], bool]) -> SystemdNotify:
    """Read what the service manager set (sd_watchdog_enabled(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    microseconds = os.environ.get("WATCHDOG_USEC")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return SystemdNotify(address, int(microseconds) / 1e6 if microseconds and mine else None, healthy)
