"""Logging set-up, once per process: for the systemd journal, for people on a terminal, or as JSON lines."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO

from appliance.clock import rfc3339

LogFormat = Literal["journal", "plain", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

# sd-daemon(3): the journal reads a line's syslog priority from `<n>` at its beginning.
_PRIORITIES: Mapping[int, int] = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
_PRIORITY_OF_CRITICAL = 2

_NOISY_LIBRARIES = ("aiohttp.access", "aioice", "aiortc", "alembic", "asyncio", "aiosqlite", "sqlalchemy")


def set_up_logging(level: LogLevel = "info", style: LogFormat = "journal", stream: TextIO | None = None) -> None:
    """Send every log record to `stream` (standard error unless given); calling again replaces the set-up.

    Libraries that log per packet or per request are held at warning, whatever the level.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter({"journal": _Journal, "plain": _Plain, "json": _Json}[style]())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Journal(logging.Formatter):
    """`<6>module: message`; the journal adds time and process itself. Every line of a traceback gets the priority."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = _PRIORITIES.get(record.levelno, _PRIORITY_OF_CRITICAL)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class _Plain(logging.Formatter):
    """`09:14:03.512 INFO    module: message`, local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")


_SID = re.compile(r"\b(RQ|RM|PA|MT|EV|SK)[0-9a-f]{32}\b")
_SID_NAMES: Mapping[str, str] = {
    "RQ": "request_id",
    "RM": "room_sid",
    "PA": "participant_sid",
    "MT": "track_sid",
    "EV": "event_id",
    "SK": "key_sid",
}


class _Json(logging.Formatter):
    """One object a line: `ts`, `level`, `logger`, `message`, and `exception` where there is one.

    The first SID of each kind in the message stands as a field too: `request_id`, `room_sid`, `participant_sid` …
    """

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "ts": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for found in _SID.finditer(entry["message"]):
            entry.setdefault(_SID_NAMES[found[1]], found[0])
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
