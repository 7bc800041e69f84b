"""How long a kiosk takes from its start to being in the room, and the SDKs to join."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from appliance.client.connect import connect
from tests.bench.report import markdown, record
from tests.support.browser import Application, application_server, chromium
from tests.support.processes import wait_for
from tests.support.stack import ROOM, Stack, running_stack

KIOSK_ALWAYS = f"""
[join]
mode = "always"
default_room = "{ROOM}"
[video]
source = "test"
[audio]
input = "virtual"
output = "virtual"
[display]
mode = "dummy"
"""
TRIES = 5


def run(*, seconds: float, write: bool) -> None:
    """Measure `TRIES` starts and joins; `seconds` is not used: each ends by itself."""
    del seconds
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        stack.start_rooms()
        starts = [_kiosk_start(stack) for _ in range(TRIES)]
        ours = [asyncio.run(_python_join(stack)) for _ in range(TRIES)]
        # The browser's driver runs an event loop on this thread, so it comes after ours.
        with chromium() as browser, application_server() as address:
            theirs = [
                _browser_join(stack, Application(browser.new_context().new_page(), address)) for _ in range(TRIES)
            ]
    rows = [
        _row("kiosk, process start to in_room", starts, theirs),
        _row("Python SDK, connect() to connected", ours, theirs),
        _row("twilio-video in Chromium, connect() to connected", theirs, theirs),
    ]
    record("start", markdown(["what", "least", "median", "most", "median to Chromium"], rows), write=write)


def _row(name: str, found: list[float], peer: list[float]) -> list[str]:
    median = statistics.median(found)
    figures = [f"{value * 1000:.0f} ms" for value in (min(found), median, max(found))]
    return [name, *figures, f"{median / statistics.median(peer):.2f}"]


def _kiosk_start(stack: Stack) -> float:
    began = time.monotonic()
    kiosk = stack.start_kiosk(KIOSK_ALWAYS, wait=False)
    socket = stack.folder / "control.sock"

    def in_room() -> bool:
        if not socket.exists():
            return False
        try:
            with stack.control() as control:
                return bool(control.state()["state"] == "in_room")
        except ConnectionError:
            return False

    wait_for("the kiosk is in its room", in_room, within_s=60, every_s=0.02)
    elapsed = time.monotonic() - began
    kiosk.stop()
    return elapsed


async def _python_join(stack: Stack) -> float:
    began = time.monotonic()
    room = await connect(stack.token("paul"), name=ROOM, url=stack.service)
    elapsed = time.monotonic() - began
    await room.disconnect()
    return elapsed


def _browser_join(stack: Stack, page: Application) -> float:
    began = time.monotonic()
    page.join(token=stack.token("anna"), service=stack.service, room=ROOM, media=False, data=False)
    elapsed = time.monotonic() - began
    page.call("leave")
    return elapsed
