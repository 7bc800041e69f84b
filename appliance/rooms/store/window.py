"""Which rows of a list, newest first: paging by key, not by offset (rest.md 7). Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Where a page begins or ends: the sort key of a row."""

    created: datetime
    sid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`size` rows: those after `key`, or with `backwards` those before it. No key: the first ones."""

    size: int
    key: Key | None = None
    backwards: bool = False


def rows_in(window: Window, rows: Iterable[Row], key_of: Callable[[Row], Key]) -> tuple[list[Row], bool]:
    """Return the rows of a window, newest first, and whether there is more in its direction.

    For what is held in memory; the database does the same by itself.
    """
    ordered = sorted(rows, key=key_of, reverse=not window.backwards)
    if window.key:
        mark = window.key
        ordered = [row for row in ordered if (key_of(row) > mark if window.backwards else key_of(row) < mark)]
    found = ordered[: window.size]
    return (found[::-1] if window.backwards else found), len(ordered) > window.size
