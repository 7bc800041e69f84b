"""Which rows of a list, newest first: paging by key, not by offset (rest.md 7). Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
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
