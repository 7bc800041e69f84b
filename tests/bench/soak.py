"""A room that goes on: a browser, a kiosk and synthetic participants for as long as told; what grows is named.

    ./run bench soak --minutes 30

Memory, files, threads, tasks and objects of rooms service and kiosk, sampled all along. Some of the people come and go
meanwhile. Ends with an error where something grew after the first quarter.
"""

import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.report import markdown, record
from tests.bench.sfu import Engines
from tests.bench.sfu_engines import resident_mb
from tests.bench.sfu_load import Load, Order, Room
from tests.support.browser import Application, application_server, chromium
from tests.support.processes import Program, wait_for
from tests.support.stack import KIOSK, ROOM, Stack

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
PEOPLE = 2
"""Synthetic participants who stay; one more comes and goes with each sample."""
SAMPLES = 30
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sample:
    """What a process holds at a moment."""

    rss_mb: float
    files: float
    threads: float
    tasks: float
    objects: float


ALLOWED: Mapping[str, tuple[float, float]] = {
    "rss_mb": (0.04, 6.0),
    "files": (0.0, 3.0),
    "threads": (0.0, 2.0),
    "tasks": (0.0, 4.0),
    "objects": (0.03, 3000.0),
}
"""What a figure may grow by from the second quarter to the last: a share of itself, and so much besides."""


class CountedStack(Stack):
    """The stack, its programs started so that they can be asked what they hold."""

    def _add(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> Program:
        counted = [*arguments[:2], "tests.bench.counted", str(self.figures_path(name)), *arguments[3:]]
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        return super()._add(name, counted, {**(environment or {}), "PYTHONPATH": os.pathsep.join(paths)})

    def figures_path(self, name: str) -> Path:
        return self.folder / f"{name}.figures.json"

    def sample(self, program: Program) -> Sample:
        """Ask a program and the operating system."""
        path = self.figures_path(program.name)
        path.unlink(missing_ok=True)
        os.kill(program.pid, signal.SIGUSR2)
        wait_for(f"{program.name} tells its figures", path.exists, within_s=20)
        told = json.loads(path.read_text())
        proc = Path(f"/proc/{program.pid}")
        return Sample(
            rss_mb=resident_mb(program.pid),
            files=len(list((proc / "fd").iterdir())),
            threads=len(list((proc / "task").iterdir())),
            tasks=told["tasks"],
            objects=told["objects"],
        )


def grown(samples: Sequence[Sample]) -> list[str]:
    """Name what grew from the second quarter of the samples to the last one, and by how much."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]
    found = []
    for name, (share, besides) in ALLOWED.items():
        before = statistics.median(getattr(sample, name) for sample in early)
        after = statistics.median(getattr(sample, name) for sample in late)
        if after > before * (1 + share) + besides:
            found.append(f"{name} from {before:.0f} to {after:.0f}")
    return found


def run(*, minutes: float, seconds: float, write: bool) -> None:
    """Let them talk for so many minutes; `seconds` is not used.

    Raises:
        SystemExit: something grew, or the browser saw nothing any more.
    """
    del seconds
    samples: dict[str, list[Sample]] = {"rooms service": [], "kiosk": []}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, application_server() as address:
        stack = CountedStack(Path(folder))
        staying, visiting = Load(), Load()
        try:
            stack.start_rooms()
            stack.start_kiosk(KIOSK_ALWAYS)
            engines = Engines(stack, {})
            page = Application(browser.new_context(permissions=["camera", "microphone"]).new_page(), address)
            page.join(token=stack.token("anna"), service=stack.service, room=ROOM)
            wait_for("the browser shows the kiosk", lambda: page.call("decoded", KIOSK) > 10, within_s=60)
            staying.begin(_order(engines, stack, "stays", PEOPLE))
            decoded, anew = _soak(stack, engines, visiting, page, minutes, samples)
            outcome_errors = page.errors
        finally:
            staying.close()
            visiting.close()
            stack.close()
    rows = [_row(name, seen) for name, seen in samples.items()]
    headings = ["process", "RSS MB", "files", "threads", "tasks", "objects", "grew"]
    text = (
        f"A browser, a kiosk and {PEOPLE} synthetic participants for {minutes:g} minutes in one room, one more coming "
        f"and going {len(samples['kiosk'])} times. First quarter → last sample:\n\n" + markdown(headings, rows)
    )
    text += f"\n\nThe browser decoded {decoded} frames of the kiosk meanwhile, with {len(outcome_errors)} errors; "
    text += f"its count began anew {anew} times."
    record("soak", text, write=write)
    problems = [f"{name}: {what}" for name, seen in samples.items() for what in grown(seen)]
    if problems or outcome_errors:
        raise SystemExit("\n".join([*problems, *outcome_errors]))


def _order(engines: Engines, stack: Stack, name: str, people: int) -> Order:
    order = engines.order(engines.names[0], [Room(people)], 0)
    tokens = [stack.token(f"{name}-{number}") for number in range(people)]
    return replace(order, room_names=[ROOM], tokens=tokens, decodable=True)


def _soak(
    stack: CountedStack,
    engines: Engines,
    visiting: Load,
    page: Application,
    minutes: float,
    samples: dict[str, list[Sample]],
) -> tuple[int, int]:
    """Sample until the time is over; return how many frames the browser decoded of the kiosk, and how often anew.

    The page counts each track by itself, so that the count begins anew where the kiosk's peer connection was replaced.
    A smaller count than before that goes on growing tells of that; one that does not grow, of a picture that stands.
    """
    every_s = max(2.0, min(60.0, minutes * 60 / SAMPLES))
    began = time.monotonic()
    before = page.call("decoded", KIOSK)
    decoded = anew = 0
    due = began
    while (now := time.monotonic()) - began < minutes * 60:
        visiting.begin(_order(engines, stack, "visits", 1))
        visiting.mark()
        visiting.finish()
        due += every_s
        time.sleep(max(1.0, due - now))
        samples["rooms service"].append(stack.sample(stack.rooms))
        samples["kiosk"].append(stack.sample(stack.kiosk))
        now_decoded = page.call("decoded", KIOSK)
        if now_decoded < before:
            anew += 1
            print(f"{time.monotonic() - began:6.0f} s  the kiosk's picture began anew", flush=True)  # noqa: T201
            before = 0
            now_decoded = _grown_beyond(page, now_decoded, began)
        elif now_decoded == before:
            now_decoded = _grown_beyond(page, now_decoded, began, within_s=0)
        decoded += now_decoded - before
        before = now_decoded
        last = samples["rooms service"][-1], samples["kiosk"][-1]
        print(f"{time.monotonic() - began:6.0f} s  rooms {last[0]}  kiosk {last[1]}", flush=True)  # noqa: T201
    return decoded, anew


def _grown_beyond(page: Application, count: int, began: float, within_s: float = 20.0) -> int:
    """Return the page's count of the kiosk's pictures once it is above `count`; SystemExit where it stands still."""
    deadline = time.monotonic() + within_s
    while (now_decoded := int(page.call("decoded", KIOSK))) <= count:
        if time.monotonic() > deadline:
            raise SystemExit(f"the browser sees the kiosk no more, after {time.monotonic() - began:.0f} s")
        time.sleep(0.2)
    return now_decoded


def _row(name: str, seen: Sequence[Sample]) -> list[str]:
    early, late = seen[max(0, len(seen) // 4 - 1)], seen[-1]
    figures = [
        f"{getattr(early, field):.0f} → {getattr(late, field):.0f}"
        for field in ("rss_mb", "files", "threads", "tasks", "objects")
    ]
    return [name, *figures, ", ".join(grown(seen)) or "nothing"]
