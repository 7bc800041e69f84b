"""What bad links do to a call of two browsers: freezes, what was asked for again, and how soon the picture is back."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.report import markdown, record
from tests.support.bad_weather import FINE, Call, sleep
from tests.support.browser import application_server, chromium
from tests.support.lossy_relay import Weather
from tests.support.processes import wait_for
from tests.support.stack import running_stack
from tests.support.wire_pages import meeting_in

SETTLE_S = 2.0
ROUNDS = 3
WEATHERS = {
    "fine, 5 ms": FINE,
    "2 % lost": Weather(loss=0.02, delay_s=0.005),
    "5 % lost, 2 % out of order": Weather(loss=0.05, delay_s=0.005, reorder=0.02),
    "10 % lost": Weather(loss=0.1, delay_s=0.005),
    "150 ms away, unsteady by 40 ms": Weather(delay_s=0.15, jitter_s=0.04),
    "5 % lost, 50 ms away": Weather(loss=0.05, delay_s=0.05),
}
CUTS_S = (0.5, 1.0, 3.0)


def run(*, seconds: float, write: bool) -> None:
    """Let each kind of weather come to both links, both ways, in turns; then cut them for a while."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder)) as stack,
        chromium() as browser,
        application_server() as address,
        ExitStack() as parts,
    ):
        stack.start_rooms()
        call = Call(parts.enter_context(meeting_in(stack, browser, address)), parts)
        seen: dict[str, list[dict[str, float]]] = {name: [] for name in WEATHERS}
        for _ in range(ROUNDS):
            for name, weather in WEATHERS.items():
                seen[name] += _in_weather(call, weather, min(seconds, 10.0))
        back = {cut_s: [_back_after(call, cut_s) for _ in range(ROUNDS)] for cut_s in CUTS_S}
    text = _table(seen, min(seconds, 10.0))
    text += "\n\nAll of a link lost, both ways, then fine again; from then until both pictures move:\n\n"
    rows = [[f"{cut_s:g} s", _of(times, min), _of(times, median), _of(times, max)] for cut_s, times in back.items()]
    record("weather", text + markdown(["cut for", "least", "median", "most"], rows), write=write)


def _of(times: Sequence[float], which: Callable[[Sequence[float]], float]) -> str:
    return f"{which(times):.1f} s"


def _in_weather(call: Call, weather: Weather, seconds: float) -> list[dict[str, float]]:
    """Return what each page counted of the other's picture, once the weather has lasted for a while."""
    call.weather(weather)
    sleep(call.pages[0], SETTLE_S)
    sent = [page.call("framesSent") for page in reversed(call.pages)]
    before = call.counted()
    sleep(call.pages[0], seconds)
    after = call.counted()
    sent = [page.call("framesSent") - then for page, then in zip(reversed(call.pages), sent, strict=True)]
    call.weather(FINE)
    call.well_after_s()
    return [
        {"sent": frames, **{key: late[key] - early[key] for key in late if _is_counter(key, late[key])}}
        for early, late, frames in zip(before, after, sent, strict=True)
    ]


def _is_counter(key: str, value: Any) -> bool:
    return isinstance(value, int | float) and key.endswith(("Count", "Decoded", "Duration", "Lost"))


def _back_after(call: Call, cut_s: float) -> float:
    """Return the seconds until both pictures move again, three frames each."""
    call.weather(Weather(loss=1.0))
    sleep(call.pages[0], cut_s)
    wanted = [count + 3 for count in call.decoded()]
    call.weather(FINE)
    began = time.monotonic()
    wait_for("both move", lambda: all(now >= then for now, then in zip(call.decoded(), wanted, strict=True)))
    took_s = time.monotonic() - began
    call.well_after_s()
    return took_s


def _table(seen: dict[str, list[dict[str, float]]], seconds: float) -> str:
    rows = []
    for name, counted in seen.items():
        sums = {key: sum(each[key] for each in counted) for key in counted[0]}
        minutes = len(counted) * seconds / 60
        rows.append(
            [
                name,
                f"{100 * sums['framesDecoded'] / sums['sent']:.1f} %",
                f"{sums['freezeCount'] / minutes:.1f}",
                f"{sums['totalFreezesDuration'] / minutes:.2f} s",
                f"{sums['nackCount'] / minutes:.0f}",
                f"{sums['pliCount'] / minutes:.1f}",
                f"{sums['keyFramesDecoded'] / minutes:.1f}",
            ]
        )
    headings = ["weather on both hops", "frames decoded", "freezes", "frozen", "NACKs", "PLIs", "key frames"]
    return markdown(headings, rows) + "\n\nCounts for a minute of one picture, 320x180 with 15 frames a second."
