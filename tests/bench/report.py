"""Tables for `docs/performance.md`, each with date, command and machine."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"


def machine() -> str:
    """Return what the figures were measured on, without its name."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}"


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def record(name: str, text: str, *, write: bool) -> None:
    """Print a section; with `write` put it between its marks in the document."""
    stamped = f"Measured {datetime.now(UTC):%Y-%m-%d} by `./run bench {name}` on {machine()}.\n\n{text}\n"
    print(stamped)  # noqa: T201  printing is what a measurement is for
    if not write:
        return
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    document = DOCUMENT.read_text()
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    if not pattern.search(document):
        raise SystemExit(f"{DOCUMENT.name} has no section {begin}")
    DOCUMENT.write_text(pattern.sub(lambda _: f"{begin}\n{stamped}{end}", document))
