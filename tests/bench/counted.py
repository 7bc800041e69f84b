"""`python -m tests.bench.counted FIGURES VERB …`: one of our programs, which tells what it holds when it gets SIGUSR2.

It then writes its tasks, by name, the number of its collectable objects, and how many packets of media it has passed on
(rooms service) or received (kiosk) to the file FIGURES, as JSON.
"""

import asyncio
import collections
import gc
import json
import os
import re
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _forwarded() -> Callable[[], int]:
    from appliance.sfu.engine import EmbeddedEngine

    engines: list[EmbeddedEngine] = []
    make: Any = EmbeddedEngine.__init__

    def note(engine: EmbeddedEngine, *arguments: Any, **named: Any) -> None:
        engines.append(engine)
        make(engine, *arguments, **named)

    setattr(EmbeddedEngine, "__init__", note)  # noqa: B010  mypy has no word for this
    return lambda: sum(engine.packets_forwarded for engine in engines)


def _received() -> Callable[[], int]:
    from appliance.client.encoded_media import IncomingMedia

    packets = 0
    add = IncomingMedia.add

    def count(media: IncomingMedia, packet: Any) -> tuple[bool, None]:
        nonlocal packets
        packets += 1
        return add(media, packet)

    setattr(IncomingMedia, "add", count)  # noqa: B010
    return lambda: packets


PACKETS = {"rooms": _forwarded, "kiosk": _received}


def _tell(figures: Path, packets: Callable[[], int]) -> None:
    tasks = asyncio.all_tasks(asyncio.get_running_loop())
    # Names with numbers or SIDs in them are of one kind.
    kinds = collections.Counter(re.sub(r"[0-9a-f]{6,}|\d+", "N", task.get_name()) for task in tasks)
    gc.collect()
    told = {"tasks": len(tasks), "kinds": dict(kinds), "objects": len(gc.get_objects()), "packets": packets()}
    part = figures.with_suffix(".part")
    part.write_text(json.dumps(told))
    os.replace(part, figures)


def main() -> None:
    figures = Path(sys.argv[1])
    sys.argv[:] = ["appliance", *sys.argv[2:]]
    packets = PACKETS.get(sys.argv[1], lambda: lambda: 0)()
    signal.signal(signal.SIGUSR2, lambda *_: _tell(figures, packets))
    runpy.run_module("appliance", run_name="__main__")


if __name__ == "__main__":
    main()
