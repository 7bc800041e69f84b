"""Forwarding beside Janus: CPU for each packet, time under way, memory, at four sizes of rooms.

One load generator, one run: the engines take turns in shuffled order, so that what else the machine does meets all
alike.
"""

import contextlib
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

from tests.bench.report import markdown, record
from tests.bench.sfu_engines import (
    JanusProcess,
    cpu_seconds,
    dropped_datagrams,
    has_janus,
    janus_version,
    own_address,
    resident_mb,
    waited_seconds,
)
from tests.bench.sfu_load import Load, Order, Outcome, Room
from tests.support.stack import Stack, running_stack

SECONDS = 3.5
ROUNDS = 3
POINTS: Mapping[str, Sequence[Room]] = {
    "fan-out 1: five rooms 1 → 1": [Room(1, 1)] * 5,
    "fan-out 3: a room of 4": [Room(4)],
    "fan-out 9: three rooms 1 → 9": [Room(1, 9)] * 3,
    "fan-out 9: a room of 10": [Room(10)],
}
LOADED_POINTS = ("fan-out 3: a room of 4", "fan-out 9: a room of 10")
OURS, JANUS, JANUS_ONE = "ours", "Janus", "Janus, one loop"


@dataclass(frozen=True)
class Turn:
    """One engine at one point, once.

    `load` is the load generator. Percent are of one core; `waited`: it had work and got no core, since something else
    had it. `dropped` are the datagrams that came to a full socket of the process.
    """

    cpu_us: float
    cpu_percent: float
    waited_percent: float
    dropped: int
    load_percent: float
    load_waited_percent: float
    load_dropped: int
    rss_mb: float
    outcome: Outcome


class Engines:
    """All engines, running; those that have no turn are idle."""

    def __init__(self, stack: Stack, janus: Mapping[str, JanusProcess]) -> None:
        self._stack = stack
        self._janus = janus
        self._visits = 0

    @property
    def names(self) -> list[str]:
        return [OURS, *self._janus]

    def token(self, identity: str, room: str) -> str:
        """Mint an access token for a room of ours."""
        return self._stack.token(identity, room=room)

    def pid(self, name: str) -> int:
        return self._stack.rooms.pid if name == OURS else self._janus[name].pid

    def order(self, name: str, rooms: Sequence[Room], seconds: float) -> Order:
        """Return what to tell the load; rooms of ours are new ones each time."""
        if name != OURS:
            url, address = self._janus[name].url, own_address() or ""
            return Order(engine="janus", url=url, rooms=rooms, seconds=seconds, address=address)
        self._visits += 1
        names = [f"bench-{self._visits}-{number}" for number in range(len(rooms))]
        tokens = [
            self.token(f"person-{index}", name)
            for name, room in zip(names, rooms, strict=True)
            for index in range(room.publishers + room.watchers)
        ]
        url = self._stack.service.replace("http", "ws", 1) + "/signaling"
        return Order(
            engine="ours",
            url=url,
            rooms=rooms,
            seconds=seconds,
            room_names=names,
            tokens=tokens,
        )


@contextmanager
def engines(folder: Path, *, with_janus: bool = True) -> Iterator[Engines]:
    """Start our rooms service, and Janus twice where it is installed."""
    with running_stack(folder) as stack, ExitStack() as parts:
        stack.start_rooms()
        janus = {}
        if with_janus and has_janus():
            janus[JANUS] = parts.enter_context(JanusProcess(folder / "janus"))
            janus[JANUS_ONE] = parts.enter_context(JanusProcess(folder / "janus-one", loops=1))
        yield Engines(stack, janus)


def take_turn(
    found: Engines,
    load: Load,
    name: str,
    rooms: Sequence[Room],
    seconds: float,
    change: Callable[[Order], Order] = lambda order: order,
) -> Turn:
    """Fill the rooms at one engine, measure, and empty them again. `change` has the last word on the order."""
    order = change(found.order(name, rooms, seconds))
    load.begin(order)
    pid = found.pid(name)
    load.mark()
    before = _Usage.of(pid), _Usage.of(load.pid)
    _wait(seconds)
    used, by_load = _Usage.of(pid).since(before[0]), _Usage.of(load.pid).since(before[1])
    rss = resident_mb(pid)
    outcome = load.finish()
    percent = 100 / outcome.seconds
    return Turn(
        cpu_us=used.cpu_s / max(1, outcome.delivered) * 1e6,
        cpu_percent=percent * used.cpu_s,
        waited_percent=percent * used.waited_s,
        dropped=used.dropped,
        load_percent=percent * by_load.cpu_s,
        load_waited_percent=percent * by_load.waited_s,
        load_dropped=by_load.dropped,
        rss_mb=rss,
        outcome=outcome,
    )


@dataclass(frozen=True)
class _Usage:
    """What a process has used up to now."""

    cpu_s: float
    waited_s: float
    dropped: int

    @classmethod
    def of(cls, pid: int) -> Self:
        return cls(cpu_seconds(pid), waited_seconds(pid), dropped_datagrams(pid))

    def since(self, before: "_Usage") -> "_Usage":
        return _Usage(self.cpu_s - before.cpu_s, self.waited_s - before.waited_s, self.dropped - before.dropped)


def _wait(seconds: float) -> None:
    multiprocessing.get_context("spawn").Event().wait(seconds)


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """Keep every core busy with something else of the same priority."""
    processes = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _spin() -> None:
    while True:
        sum(range(10_000))


def rounds(
    found: Engines, load: Load, points: Sequence[str], count: int, seconds: float, *, seed: int
) -> dict[tuple[str, str], list[Turn]]:
    """Let everybody have `count` turns at each point, in shuffled order."""
    turns: dict[tuple[str, str], list[Turn]] = {(point, name): [] for point in points for name in found.names}
    random = Random(seed)
    for _ in range(count):
        order = list(turns)
        random.shuffle(order)
        for point, name in order:
            turns[point, name].append(take_turn(found, load, name, POINTS[point], seconds))
    return turns


def rows_of(turns: Mapping[tuple[str, str], Sequence[Turn]]) -> list[list[str]]:
    """Return a table's rows, the median of the turns of each."""
    rows = []
    cpu = {key: statistics.median(turn.cpu_us for turn in taken) for key, taken in turns.items()}
    for (point, name), taken in turns.items():

        def median(figures: Sequence[float]) -> float:
            return statistics.median(figures) if figures else float("nan")

        ratios = [
            f"{cpu[point, name] / cpu[point, peer]:.2f}" if (point, peer) in cpu else "–" for peer in (JANUS, JANUS_ONE)
        ]
        outcomes = [turn.outcome for turn in taken]
        rows.append(
            [
                point,
                name,
                f"{cpu[point, name]:.1f}",
                *ratios,
                f"{median([turn.cpu_percent for turn in taken]):.0f} %",
                f"{median([o.latency_ms['p50'] for o in outcomes if o.latency_ms]):.2f}",
                f"{median([o.latency_ms['p99'] for o in outcomes if o.latency_ms]):.1f}",
                f"{100 * min(o.share for o in outcomes):.1f} %",
                f"{max(turn.dropped for turn in taken)} / {max(turn.load_dropped for turn in taken)}",
                f"{median([turn.waited_percent for turn in taken]):.0f} %",
                f"{max(turn.rss_mb for turn in taken):.0f}",
            ]
        )
    return rows


HEADINGS = [
    "load",
    "engine",
    "CPU µs/packet",
    "to Janus",
    "to one loop",
    "CPU of a core",
    "p50 ms",
    "p99 ms",
    "delivered, least",
    "dropped at full sockets, most: engine / load",
    "waited for a core",
    "RSS MB",
]


def measured(
    *, seconds: float = SECONDS, points: Sequence[str] = tuple(POINTS), count: int = ROUNDS, loaded: bool, seed: int = 1
) -> dict[tuple[str, str], list[Turn]]:
    """Run it all once, with or without something else on every core."""
    with tempfile.TemporaryDirectory() as folder, engines(Path(folder)) as found:
        load = Load()
        try:
            with hogs(os.cpu_count() or 1) if loaded else contextlib.nullcontext():
                return rounds(found, load, points, count, seconds, seed=seed)
        finally:
            load.close()


def run(*, seconds: float, write: bool) -> None:
    """Measure every point on the machine as it is, then two of them with a busy loop on each core."""
    seconds = min(seconds, SECONDS)
    text = ""
    if not has_janus():
        text += "Janus is not installed (Debian: apt install janus), so there is no peer here.\n\n"
    else:
        text += f"Janus {janus_version()} of Debian, VideoRoom; its default and `event_loops = 1`.\n\n"
    turns = measured(seconds=seconds, loaded=False)
    text += markdown(HEADINGS, rows_of(turns))
    text += "\n\nThe same while a busy loop runs on every core:\n\n"
    loaded = measured(seconds=seconds, points=LOADED_POINTS, count=2, loaded=True, seed=2)
    text += markdown(HEADINGS, rows_of(loaded))
    record("sfu", text, write=write)
