"""What the service manager is told (sd_notify(3))."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from appliance.kiosk.inputs import Join
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.state import Phase
from appliance.surfaces.systemd_notify import SystemdNotify
from tests.support.conditions import until
from tests.support.kiosk_running import running_kiosk
from tests.support.kiosk_story import FINGER


class Manager:
    """The other end."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(self.address)
        self.lines: list[str] = []

    def heard(self) -> list[str]:
        try:
            while True:
                self.lines += self._socket.recv(4096).decode().split("\n")
        except BlockingIOError:
            return self.lines

    def close(self) -> None:
        self._socket.close()


@asynccontextmanager
async def managed(
    folder: Path, *, watchdog_s: float | None = None, healthy: Callable[[], bool] = lambda: True
) -> AsyncIterator[tuple[Kiosk, Manager]]:
    manager = Manager(folder / "notify.sock")
    try:
        async with running_kiosk() as (kiosk, _):
            task = asyncio.create_task(SystemdNotify(manager.address, watchdog_s, healthy).run(kiosk))
            try:
                yield kiosk, manager
            finally:
                task.cancel()
                await asyncio.wait([task])
        assert "STOPPING=1" in manager.heard()
    finally:
        manager.close()


async def test_ready_is_said_once_and_the_status_follows_the_state(tmp_path: Path) -> None:
    async with managed(tmp_path) as (kiosk, manager):
        await until("ready", lambda: "READY=1" in manager.heard())
        await kiosk.command(Join(room="board"), FINGER)
        await until("in the room", lambda: kiosk.state.phase is Phase.IN_ROOM)
        await until("status", lambda: "STATUS=in_room in board: joined" in manager.heard())
        assert manager.lines.count("READY=1") == 1


async def test_the_watchdog_is_fed_while_all_is_well(tmp_path: Path) -> None:
    async with managed(tmp_path, watchdog_s=0.09) as (_, manager):
        await until("fed", lambda: manager.heard().count("WATCHDOG=1") >= 3)


async def test_the_watchdog_is_not_fed_when_sound_stands_still(tmp_path: Path) -> None:
    asked = []

    def stuck() -> bool:
        asked.append(1)
        return False

    async with managed(tmp_path, watchdog_s=0.09, healthy=stuck) as (_, manager):
        await until("asked", lambda: len(asked) >= 6)
        assert "WATCHDOG=1" not in manager.heard()


async def test_without_a_service_manager_nothing_happens() -> None:
    async with running_kiosk() as (kiosk, _):
        task = asyncio.create_task(SystemdNotify(None, None, lambda: True).run(kiosk))
        await kiosk.command(Join(), FINGER)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
