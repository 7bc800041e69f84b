"""One room that grows: what each further participant costs the rooms service, and where it is full."""

import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.report import markdown, record
from tests.bench.sfu import Turn, engines, take_turn
from tests.bench.sfu_load import Load, Room

SIZES = (2, 4, 8, 16, 32)
SECONDS = 5.0
SETTLE_S = 8.0
ESTIMATE_BPS = 6_000_000
"""What each participant can take in: the engine chooses the layers that fit, smaller ones the more people there are."""
COMFORT_PERCENT = 60.0
"""Of a core: beyond it a burst, as when many join at once, meets a service that has no time left."""
_WHOLE_SHARE = 0.995
_BUSY_PERCENT = 85.0


def run(*, seconds: float, write: bool) -> None:
    """Measure each size until one is too large for the machine."""
    turns: dict[int, Turn] = {}
    with tempfile.TemporaryDirectory() as folder, engines(Path(folder), with_janus=False) as found:
        load = Load()
        try:
            for size in SIZES:
                try:
                    turns[size] = take_turn(
                        found,
                        load,
                        found.names[0],
                        [Room(size)],
                        min(seconds, SECONDS),
                        lambda order: replace(order, simulcast=True, estimate_bps=ESTIMATE_BPS, settle_s=SETTLE_S),
                    )
                except RuntimeError as error:
                    print(f"{size} participants: {error}")  # noqa: T201
                    break
                if _is_full(turns[size]):
                    break
        finally:
            load.close()
    record("growth", _text(turns), write=write)


def _is_full(turn: Turn) -> bool:
    return turn.outcome.audio_share < _WHOLE_SHARE or turn.cpu_percent > 90


def _text(turns: dict[int, Turn]) -> str:
    rows = []
    least = min(turns)
    for size, turn in turns.items():
        added_mb = (turn.rss_mb - turns[least].rss_mb) / (size - least) if size > least else None
        rows.append(
            [
                str(size),
                f"{turn.outcome.delivered_per_s:.0f}",
                f"{turn.cpu_percent:.0f} %",
                f"{turn.cpu_percent / size:.1f} %",
                f"{turn.load_percent:.0f} %",
                f"{turn.cpu_us:.1f}",
                f"{turn.outcome.latency_ms['p50']:.1f}",
                f"{turn.outcome.latency_ms['p99']:.0f}",
                f"{100 * turn.outcome.audio_share:.1f} %",
                f"{turn.rss_mb:.0f}",
                "–" if added_mb is None else f"{added_mb:.1f}",
            ]
        )
    headings = [
        "participants",
        "packets/s out",
        "CPU of a core",
        "each",
        "CPU of the load",
        "µs/packet",
        "p50 ms",
        "p99 ms",
        "sound delivered",
        "RSS MB",
        "MB for each more",
    ]
    return markdown(headings, rows) + "\n\n" + _advice(turns)


def _advice(turns: dict[int, Turn]) -> str:
    comfortable = [size for size, turn in turns.items() if turn.cpu_percent <= COMFORT_PERCENT and not _is_full(turn)]
    full = [size for size, turn in turns.items() if _is_full(turn)]
    if not comfortable:
        return "This machine is too small, or was too busy, for any of these rooms."
    best = turns[max(comfortable)]
    budget = COMFORT_PERCENT / 100 / best.cpu_us * 1e6
    four = turns[4].outcome.delivered_per_s if 4 in turns else None
    rooms = f", or {budget / four:.0f} rooms of 4" if four else ""
    end = ""
    if full:
        whose = "it" if turns[min(full)].cpu_percent > _BUSY_PERCENT else "the machine, load generator included, not it"
        end = f"; {min(full)} saturate {whose}"
    return (
        f"Everybody publishes sound and simulcast video up to 720p and can take in {ESTIMATE_BPS / 1e6:.0f} Mbit/s. "
        f"On this machine one rooms service carries a room of {max(comfortable)} below {COMFORT_PERCENT:.0f} % of a "
        f"core{rooms} (about {budget / 1000:.0f} thousand packets/s out){end}: "
        f"beyond that, move to the cluster."
    )
