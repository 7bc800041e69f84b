"""One room that grows: what each further participant costs the rooms service, and who is full first.

The service and the load have cores of their own. A row tells of both what they used and how long they waited for a core
that something else had: so that a figure of a full machine is not taken for one of the service.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.bench.report import markdown, record
from tests.bench.sfu import Engines, Turn, engines, take_turn
from tests.bench.sfu_engines import pin
from tests.bench.sfu_load import Load, Order, Room

SIZES = (2, 4, 8, 16, 32)
SECONDS = 10.0
SETTLE_S = 6.0
ESTIMATE_BPS = 6_000_000
"""What each participant can take in: the engine chooses the layers that fit, smaller ones the more people there are."""
COMFORT_PERCENT = 60.0
"""Of a core: beyond it a burst, as when many join at once, meets a service that has no time left."""
_WHOLE_SHARE = 0.995
_LATE_MS = 100.0
"""At the median: beyond it a talk is no talk any more (ITU-T G.114 allows 150 ms for the whole way)."""
_BUSY_PERCENT = 85.0

SERVICE, LOAD, OTHERS, NOBODY = "the service", "the load generator", "other work on this machine", "nobody"


def run(*, seconds: float, write: bool) -> None:
    """Measure each size until one is too large for the machine."""
    turns: dict[int, Turn] = {}
    failed = ""
    with tempfile.TemporaryDirectory() as folder, engines(Path(folder), with_janus=False) as found:
        load = Load()
        try:
            _give_cores(found, load)
            for size in SIZES:
                try:
                    turns[size] = take_turn(found, load, found.names[0], [Room(size)], min(seconds, SECONDS), _as_here)
                except RuntimeError as error:
                    failed = f" A room of {size} could not be measured: {error}."
                    break
                if suffers(turns[size]):
                    break
        finally:
            load.close()
    if not turns:
        raise SystemExit(f"nothing could be measured.{failed}")
    record("growth", f"{table(turns)}\n\n{advice(turns)}{failed}", write=write)


def _as_here(order: Order) -> Order:
    return replace(order, simulcast=True, together=True, estimate_bps=ESTIMATE_BPS, settle_s=SETTLE_S)


def _give_cores(found: Engines, load: Load) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        pin(found.pid(found.names[0]), {cores[0]})
        pin(load.pid, set(cores[1:]))


def suffers(turn: Turn) -> bool:
    """Tell whether the people in the room notice that something is full."""
    return turn.outcome.audio_share < _WHOLE_SHARE or turn.outcome.latency_ms.get("p50", _LATE_MS) >= _LATE_MS


def who_is_full(turn: Turn) -> str:
    """Name who had nothing left, by measured CPU; empty where there was enough for all.

    `NOBODY`: the room suffered, and all had time left, so that something waited that should not.
    """
    if turn.cpu_percent > _BUSY_PERCENT:
        return SERVICE
    if turn.load_percent > _BUSY_PERCENT:
        return LOAD
    if not suffers(turn):
        return ""
    wanted = max(turn.cpu_percent + turn.waited_percent, turn.load_percent + turn.load_waited_percent)
    return OTHERS if wanted > _BUSY_PERCENT else NOBODY


HEADINGS = (
    "participants",
    "packets/s out",
    "CPU of a core",
    "each",
    "waited for it",
    "µs/packet",
    "p50 ms",
    "p99 ms",
    "sound delivered",
    "dropped at full sockets",
    "RSS MB",
    "MB for each more",
    "load: CPU",
    "load: waited",
    "load: late, p99 ms",
    "full",
)


def table(turns: Mapping[int, Turn]) -> str:
    """Return a row for each size."""
    rows = []
    least = min(turns)
    for size, turn in turns.items():
        outcome = turn.outcome
        added_mb = (turn.rss_mb - turns[least].rss_mb) / (size - least) if size > least else None
        rows.append(
            [
                str(size),
                f"{outcome.delivered_per_s:.0f}",
                f"{turn.cpu_percent:.0f} %",
                f"{turn.cpu_percent / size:.1f} %",
                f"{turn.waited_percent:.0f} %",
                f"{turn.cpu_us:.1f}",
                f"{outcome.latency_ms.get('p50', float('nan')):.1f}",
                f"{outcome.latency_ms.get('p99', float('nan')):.0f}",
                f"{100 * outcome.audio_share:.1f} %",
                f"{turn.dropped} / {turn.load_dropped}",
                f"{turn.rss_mb:.0f}",
                "–" if added_mb is None else f"{added_mb:.1f}",
                f"{turn.load_percent:.0f} %",
                f"{turn.load_waited_percent:.0f} %",
                f"{outcome.late_ms.get('p99', float('nan')):.0f}",
                who_is_full(turn) or "–",
            ]
        )
    return markdown(HEADINGS, rows)


def advice(turns: Mapping[int, Turn]) -> str:
    """Say up to which size one service is enough, and what was full beyond."""
    said = (
        f"Everybody publishes sound, without a pause, and simulcast video of three layers up to 720p, and can take in "
        f"{ESTIMATE_BPS / 1e6:.0f} Mbit/s."
    )
    full = {size: who for size, turn in turns.items() if (who := who_is_full(turn))}
    comfortable = [s for s, turn in turns.items() if turn.cpu_percent <= COMFORT_PERCENT and not suffers(turn)]
    if not comfortable:
        return f"{said} This machine is too small, or was too busy, for any of these rooms."
    largest = max(comfortable)
    budget = COMFORT_PERCENT / 100 / turns[largest].cpu_us * 1e6
    rooms = ""
    if 4 in turns and turns[4].cpu_percent:
        rooms = f", or about {COMFORT_PERCENT / turns[4].cpu_percent:.0f} rooms of 4"
    said += (
        f" On this machine one rooms service carries a room of {largest} below {COMFORT_PERCENT:.0f} % of a "
        f"core{rooms} (about {budget / 1000:.0f} thousand packets/s out): beyond that, move to the cluster."
    )
    for size, who in full.items():
        if who == OTHERS:
            said += f" At {size} other work kept the machine busy: that row is no measure of the service."
        elif who == NOBODY:
            said += f" At {size} packets waited while all had time left: an error of the service or of the load."
        else:
            said += f" At {size} {who} had nothing left."
    return said
