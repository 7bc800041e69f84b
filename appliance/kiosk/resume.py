"""What the next run should come back to, kept in `resume.json` (kiosk.md 3)."""

import json
import logging
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from appliance.clock import rfc3339
from appliance.kiosk.effects import Remember
from appliance.kiosk.inputs import Resume
from appliance.kiosk.state import Origin

log = logging.getLogger(__name__)

FRESH_FOR = timedelta(minutes=10)
"""A run that ended longer ago is not resumed."""
TOUCH_S = 60.0
"""How often a running visit says that it still runs; so the file is as old as the end of its run, give or take this."""


class Memory:
    """The file. It is small and written whole: a power cut leaves the old one or the new one."""

    def __init__(self, path: Path, *, enabled: bool = True) -> None:
        self._path, self._enabled = path, enabled
        self._last: Remember | None = None

    def remember(self, what: Remember, now: datetime) -> None:
        """Write down the room and what is muted in it."""
        self._last = what
        if not self._enabled:
            return
        value = {
            "v": 1,
            "room": what.room_name,
            "muted": what.muted,
            "camera_on": what.camera_on,
            "origin": what.origin,
            "at": rfc3339(now),
        }
        try:
            unfinished = self._path.with_suffix(".unfinished")
            with unfinished.open("w", encoding="utf-8") as file:
                json.dump(value, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except OSError as error:
            log.warning("%s: cannot be written: %s; a restart would not come back to the room", self._path, error)

    def touch(self, now: datetime) -> None:
        """Say that the visit still runs."""
        if self._last is not None:
            self.remember(self._last, now)

    def forget(self) -> None:
        self._last = None
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: cannot be removed: %s", self._path, error)

    def recall(self, now: datetime) -> Resume | None:
        """Return what the run before left, if it ended lately; a file that makes no sense counts as none."""
        try:
            value = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s: cannot be read: %s", self._path, error)
            return None
        found = _read(value)
        if not self._enabled or found is None or not timedelta(minutes=-1) < now - found[1] < FRESH_FOR:
            return None
        return found[0]


def _read(value: Any) -> tuple[Resume, datetime] | None:
    """Return what was written, and when; in doubt muted and dark (kiosk.md 1)."""
    if not isinstance(value, dict) or not isinstance(value.get("room"), str) or not value["room"]:
        return None
    try:
        at = datetime.fromisoformat(str(value.get("at")))
        origin = Origin(str(value.get("origin")))
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    muted, camera_on = value.get("muted") is not False, value.get("camera_on") is True
    return Resume(room_name=value["room"], muted=muted, camera_on=camera_on, origin=origin), at
