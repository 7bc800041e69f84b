"""What the service is told of the videos that we look at, and when (signaling.md 5.5). Pure; told the time.

Only what changed is told, and nothing while an answer is outstanding: it paces us. Without one everything is told
again after 2 s, then 4 s, 8 s and so on, in case a message or its answer went down with a connection.
"""

from dataclasses import dataclass

from appliance.media_engine import Dimensions
from appliance.signaling.side_channels import RenderHint, RenderHintResults, RenderHints

FIRST_PATIENCE_S = 2.0
NEVER = float("inf")


@dataclass(slots=True)
class _Wish:
    """What is wanted of one track, and what of it the service has been told; None: nothing."""

    enabled: bool | None = None
    dimensions: Dimensions | None = None
    told_enabled: bool | None = None
    told_dimensions: Dimensions | None = None

    def untold(self, track: str) -> RenderHint | None:
        enabled = self.enabled if self.enabled != self.told_enabled else None
        dimensions = self.dimensions if self.dimensions != self.told_dimensions else None
        hint = RenderHint(track=track, enabled=enabled, render_dimensions=dimensions)
        return None if hint.is_empty else hint


class Hinting:
    """The hints of one room, over one channel after another."""

    def __init__(self) -> None:
        self._wishes: dict[str, _Wish] = {}
        self._id = 0
        self._answer_by = NEVER
        self._patience_s = FIRST_PATIENCE_S

    def wish(self, track: str, *, enabled: bool | None = None, dimensions: Dimensions | None = None) -> None:
        """Want this for a track, by its SID; None leaves as it was."""
        wish = self._wishes.setdefault(track, _Wish())
        wish.enabled = wish.enabled if enabled is None else enabled
        wish.dimensions = wish.dimensions if dimensions is None else dimensions

    def forget(self, track: str) -> None:
        """The track is not received any more."""
        self._wishes.pop(track, None)

    def attached(self) -> None:
        """There is a new channel: whatever was told went over another."""
        self._answer_by, self._patience_s = NEVER, FIRST_PATIENCE_S
        self._untell()

    def answered(self, results: RenderHintResults) -> None:
        """The service answered; only the answer to the newest message counts."""
        if results.id == self._id:
            self._answer_by, self._patience_s = NEVER, FIRST_PATIENCE_S

    def wake_at(self) -> float:
        """Return when to ask for `next_message` though nothing happened; infinity for never."""
        return self._answer_by

    def next_message(self, now: float) -> RenderHints | None:
        """Return what is to be said now, None for nothing. `now`: seconds on a monotonic clock."""
        if now < self._answer_by != NEVER:
            return None
        if self._answer_by != NEVER:
            self._untell()
            self._patience_s *= 2
        hints = tuple(hint for track, wish in self._wishes.items() if (hint := wish.untold(track)))
        if not hints:
            self._answer_by = NEVER
            return None
        for wish in self._wishes.values():
            wish.told_enabled, wish.told_dimensions = wish.enabled, wish.dimensions
        self._id += 1
        self._answer_by = now + self._patience_s
        return RenderHints(id=self._id, hints=hints)

    def _untell(self) -> None:
        for wish in self._wishes.values():
            wish.told_enabled = wish.told_dimensions = None
