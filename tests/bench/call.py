"""CPU and memory of kiosk and rooms service in a two-person 720p call, beside Chromium doing the same in it."""

import tempfile
import time
from pathlib import Path

import psutil

from tests.bench.processes_measured import measure
from tests.bench.report import markdown, record
from tests.support.browser import Application, application_server, chromium
from tests.support.processes import wait_for
from tests.support.stack import KIOSK, ROOM, running_stack

KIOSK_720P = f"""
[join]
mode = "always"
default_room = "{ROOM}"
[video]
source = "test"
width = 1280
height = 720
fps = 30
bitrate_kbps = 1500
[audio]
input = "virtual"
output = "virtual"
[display]
mode = "dummy"
"""
SETTLE_S = 15.0


def chromium_pid() -> int:
    """Return the browser process that this measurement started."""
    for process in psutil.Process().children(recursive=True):
        if "chrom" in process.name() and "--type=" not in " ".join(process.cmdline()):
            return process.pid
    raise LookupError("no Chromium among our children")


def run(*, seconds: float, write: bool) -> None:
    """Measure one call: a browser with the unmodified SDK and a kiosk, both sending and receiving 720p."""
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack, chromium() as browser:
        stack.start_rooms()
        stack.start_kiosk(KIOSK_720P)
        with application_server() as address:
            page = Application(browser.new_context(permissions=["camera", "microphone"]).new_page(), address)
            page.join(token=stack.token("anna"), service=stack.service, room=ROOM, size=[1280, 720, 30])
            wait_for("the browser shows the kiosk", lambda: page.call("decoded", KIOSK) > 100, within_s=60)
            time.sleep(SETTLE_S)  # bandwidth estimates climb first
            cost = measure(
                {"kiosk": stack.kiosk.pid, "rooms service": stack.rooms.pid, "Chromium": chromium_pid()}, seconds
            )
            decoded = _decoded_per_second(page)
    peer = cost["Chromium"]
    rows = [
        [
            name,
            f"{found.cpu_percent:.0f} %",
            f"{found.cpu_percent / peer.cpu_percent:.2f}",
            f"{found.rss_mb:.0f} MB",
            f"{found.rss_mb / peer.rss_mb:.2f}",
        ]
        for name, found in cost.items()
    ]
    text = markdown(["process", "CPU (one core)", "to Chromium", "memory (PSS)", "to Chromium"], rows)
    text += f"\n\nMeanwhile the browser decoded {decoded:.0f} frames a second of the kiosk."
    record("call", text, write=write)


def _decoded_per_second(page: Application, seconds: float = 5.0) -> float:
    before, began = page.call("decoded", KIOSK), time.monotonic()
    time.sleep(seconds)
    after: int = page.call("decoded", KIOSK)
    return (after - before) / (time.monotonic() - began)
