"""150 joins and leaves: the memory of the rooms service afterwards is what it was before."""

import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.report import markdown, record
from tests.bench.sfu import Engines, engines
from tests.bench.sfu_engines import cpu_seconds, resident_mb
from tests.bench.sfu_load import Load, Order, Room

VISITS = 150
TOLD_AT = (1, 10, 50, 100, VISITS)
_HOME = "bench-cycles"


def run(*, seconds: float, write: bool) -> None:
    """Let somebody join a room of two, hear both, and leave, 150 times; `seconds` is not used."""
    del seconds
    rows = []
    with tempfile.TemporaryDirectory() as folder, engines(Path(folder), with_janus=False) as found:
        staying, visiting = Load(), Load()
        try:
            staying.begin(_order(found, 2))
            pid = found.pid(found.names[0])
            for visit in range(1, VISITS + 1):
                visiting.begin(_order(found, 1))
                visiting.mark()
                visiting.finish()
                if visit in TOLD_AT:
                    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                    rows.append([str(visit), f"{resident_mb(pid):.1f}", str(files), f"{cpu_seconds(pid):.1f}"])
        finally:
            staying.close()
            visiting.close()
    text = markdown(["visits", "RSS MB of the rooms service", "files", "CPU s so far"], rows)
    record("cycles", text, write=write)


def _order(found: Engines, people: int) -> Order:
    order = found.order(found.names[0], [Room(people)], 0)
    tokens = [found.token(f"{'home' if people > 1 else 'visitor'}-{number}", _HOME) for number in range(people)]
    return replace(order, room_names=[_HOME], tokens=tokens, settle_s=0.0)
