"""What the page needs of the kiosk. `KioskSocket` gives it over the control socket; tests give it in memory."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from appliance.errors import RoomKioskError
from appliance.surfaces.control_messages import Got


class KioskSilent(RoomKioskError):
    """The kiosk process is not there, or does not answer in time. The panel goes on trying by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended. `number` grows by one with each that the panel heard of."""

    number: int
    command_id: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the panel knows at one moment.

    Args:
        version: grows with every change of any kind; counted by the panel, so it outlives a restart of the kiosk.
        state: the newest state document (kiosk.md 10); None until the first one, kept while the kiosk is silent.
        answering: False while the kiosk process is gone or stuck; `state` is then what was last known.
        outcomes: the newest, oldest first.
        closing: the panel is shutting down, streams end.
    """

    version: int = 0
    state: Mapping[str, Any] | None = None
    answering: bool = False
    outcomes: tuple[Outcome, ...] = field(default=())
    closing: bool = False

    @property
    def rev(self) -> int:
        """The revision of the state document; 0 without one."""
        rev = self.state.get("rev", 0) if self.state else 0
        return rev if isinstance(rev, int) else 0


def etag(state: Mapping[str, Any]) -> str:
    """Return a tag that differs when the document does, also across restarts, where `rev` begins anew."""
    text = json.dumps(state, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class Kiosk(Protocol):
    """The kiosk as the page sees it. Every method may be called from any thread."""

    def snapshot(self) -> Snapshot:
        """Return what is known now, without asking."""

    def wait_for_change(self, after: int, timeout_s: float) -> Snapshot:
        """Return as soon as the version is not `after`, at the latest after the time-out."""

    def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Hand a command in; return `{"command_id": …}`. Raise CommandRefused or KioskSilent."""

    def get(self, what: Got) -> dict[str, Any]:
        """Ask for one of these. Raise CommandRefused or KioskSilent."""

    def picture(self) -> bytes:
        """Return what the kiosk's screen shows, as PNG. Raise CommandRefused or KioskSilent."""
