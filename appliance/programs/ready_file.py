"""How a program tells the one who started it that it is ready, and where it is to be found."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_ready_file(path: Path | None, found: Mapping[str, Any]) -> None:
    """Write `found` and our process id as JSON, whole or not at all: whoever waits for the file reads it at once."""
    if path is None:
        return
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({**found, "pid": os.getpid()}))
    unfinished.replace(path)
