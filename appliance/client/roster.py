"""Who is in the room, and what each of them publishes: wire state in, what changed out. Pure.

Each participant's state carries a revision of its own; only a greater one counts, since an update may overtake a
`synced` that was computed earlier (signaling.md 2.6, 2.12).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from appliance.media_engine import TrackPriority
from appliance.signaling.states import (
    ParticipantState,
    RemoteParticipantState,
    RemoteTrackState,
    SubscribedState,
    SubscribedTrackState,
)


@dataclass(frozen=True, slots=True)
class Joined:
    """A participant appeared; its tracks are in `state` and are not reported one by one."""

    state: RemoteParticipantState


@dataclass(frozen=True, slots=True)
class Left:
    sid: str


@dataclass(frozen=True, slots=True)
class BecameUnsteady:
    """Its connection is lost; it may come back within the session time-out."""

    sid: str


@dataclass(frozen=True, slots=True)
class CameBack:
    sid: str


@dataclass(frozen=True, slots=True)
class Published:
    sid: str
    track: RemoteTrackState


@dataclass(frozen=True, slots=True)
class Unpublished:
    sid: str
    track_sid: str


@dataclass(frozen=True, slots=True)
class Switched:
    """The publisher muted or unmuted a track."""

    sid: str
    track_sid: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Reprioritized:
    sid: str
    track_sid: str
    priority: TrackPriority


Change = Joined | Left | BecameUnsteady | CameBack | Published | Unpublished | Switched | Reprioritized


class Roster:
    """The last known state of everybody else."""

    def __init__(self, own_sid: str) -> None:
        self._own_sid = own_sid
        self._present: dict[str, RemoteParticipantState] = {}
        self._revisions: dict[str, int] = {}  # of those who left, too: an old state must not bring them back

    def apply(self, states: Iterable[RemoteParticipantState], *, complete: bool) -> list[Change]:
        """Return what is new, in an order in which it can be shown.

        Args:
            complete: whoever is not listed has left (`connected` and `synced`, not `update`).
        """
        listed = [state for state in states if state.sid != self._own_sid]
        changes: list[Change] = []
        if complete:
            missing = self._present.keys() - {state.sid for state in listed}
            for sid in sorted(missing):
                del self._present[sid]
                changes.append(Left(sid))
        for state in listed:
            changes += self._apply_one(state)
        return changes

    def _apply_one(self, state: RemoteParticipantState) -> Iterator[Change]:
        if state.revision <= self._revisions.get(state.sid, -1):
            return
        self._revisions[state.sid] = state.revision
        before = self._present.get(state.sid)
        if state.state is ParticipantState.DISCONNECTED:
            if self._present.pop(state.sid, None) is not None:
                yield Left(state.sid)
            return
        self._present[state.sid] = state
        if before is None:
            yield Joined(state)
            return
        yield from _changes_of_state(before, state)
        yield from _changes_of_tracks(before, state)


def _changes_of_state(before: RemoteParticipantState, after: RemoteParticipantState) -> Iterator[Change]:
    if before.state is not after.state:
        unsteady = after.state is ParticipantState.RECONNECTING
        yield BecameUnsteady(after.sid) if unsteady else CameBack(after.sid)


def _changes_of_tracks(before: RemoteParticipantState, after: RemoteParticipantState) -> Iterator[Change]:
    old = {track.sid: track for track in before.tracks}
    for sid in old.keys() - {track.sid for track in after.tracks}:
        yield Unpublished(after.sid, sid)
    for track in after.tracks:
        known = old.get(track.sid)
        if known is None:
            yield Published(after.sid, track)
            continue
        if known.enabled is not track.enabled:
            yield Switched(after.sid, track.sid, track.enabled)
        if known.priority is not track.priority:
            yield Reprioritized(after.sid, track.sid, track.priority)


class Subscriptions:
    """The tracks we receive: full state, newest revision wins (signaling.md 2.7)."""

    def __init__(self) -> None:
        self._revision = 0
        self.by_track_sid: dict[str, SubscribedTrackState] = {}

    def apply(self, state: SubscribedState) -> bool:
        """Return whether the state was newer and has been taken."""
        if state.revision <= self._revision:
            return False
        self._revision = state.revision
        self.by_track_sid = {track.sid: track for track in state.tracks}
        return True
