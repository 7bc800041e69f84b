"""`python -m tests.bench.counted FIGURES VERB …`: one of our programs, which tells what it holds when it gets SIGUSR2.

It then writes its tasks, by name, and the number of its collectable objects to the file FIGURES, as JSON.
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
from pathlib import Path


def _tell(figures: Path) -> None:
    tasks = asyncio.all_tasks(asyncio.get_running_loop())
    # Names with numbers or SIDs in them are of one kind.
    kinds = collections.Counter(re.sub(r"[0-9a-f]{6,}|\d+", "N", task.get_name()) for task in tasks)
    gc.collect()
    told = {"tasks": len(tasks), "kinds": dict(kinds), "objects": len(gc.get_objects())}
    part = figures.with_suffix(".part")
    part.write_text(json.dumps(told))
    os.replace(part, figures)


def main() -> None:
    figures = Path(sys.argv[1])
    sys.argv[:] = ["appliance", *sys.argv[2:]]
    signal.signal(signal.SIGUSR2, lambda *_: _tell(figures))
    runpy.run_module("appliance", run_name="__main__")


if __name__ == "__main__":
    main()
