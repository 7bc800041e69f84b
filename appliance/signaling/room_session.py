"""Where a stay in a room stands, as its two ends see it: tables (signaling.md 2.1, 2.9, 2.10). Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from appliance.errors import LocalProtocolError


class RoomState(StrEnum):
    """The stay as the joining end sees it.

        CONNECTING ──connected──▶ CONNECTED ──link lost──▶ SYNCING ──synced──▶ CONNECTED
             └─────────────── disconnect ──┴──────────────────┴──▶ DISCONNECTED (final)

    A link that is lost while connecting or leaving is a disconnect, never a transition of its own.
    """

    CONNECTING = "connecting"
    CONNECTED = "connected"
    SYNCING = "syncing"
    DISCONNECTED = "disconnected"


class Cause(StrEnum):
    CONNECTED = "connected"
    LINK_LOST = "link lost"
    SYNCED = "synced"
    DISCONNECT = "disconnect"


TRANSITIONS: Mapping[tuple[RoomState, Cause], RoomState] = {
    (RoomState.CONNECTING, Cause.CONNECTED): RoomState.CONNECTED,
    (RoomState.CONNECTED, Cause.LINK_LOST): RoomState.SYNCING,
    (RoomState.SYNCING, Cause.LINK_LOST): RoomState.SYNCING,
    (RoomState.SYNCING, Cause.SYNCED): RoomState.CONNECTED,
    **{
        (state, Cause.DISCONNECT): RoomState.DISCONNECTED
        for state in (RoomState.CONNECTING, RoomState.CONNECTED, RoomState.SYNCING)
    },
}


class Admission(StrEnum):
    """The stay as the admitting end sees it, over one socket.

    NEW ──ice──▶ ASKED ──iced──▶ ICED ──connect──▶ JOINING ──connected──▶ ADMITTED
     ├──────────────── connect ───────────────────────▲                      ▲
     └──sync──▶ RESUMING ──────────── synced ────────────────────────────────┘
    from everywhere: ended ──▶ ENDED (final): left, refused, put out, or the socket is gone
    """

    NEW = "new"
    ASKED = "asked"
    ICED = "iced"
    JOINING = "joining"
    RESUMING = "resuming"
    ADMITTED = "admitted"
    ENDED = "ended"


class Step(StrEnum):
    """What moves an admission on: what the client says, and what it is told."""

    ICE = "ice"
    ICED = "iced"
    CONNECT = "connect"
    CONNECTED = "connected"
    SYNC = "sync"
    SYNCED = "synced"
    UPDATE = "update"
    ENDED = "ended"


ADMISSIONS: Mapping[tuple[Admission, Step], Admission] = {
    (Admission.NEW, Step.ICE): Admission.ASKED,
    (Admission.ASKED, Step.ICED): Admission.ICED,
    (Admission.NEW, Step.CONNECT): Admission.JOINING,
    (Admission.ICED, Step.CONNECT): Admission.JOINING,
    (Admission.JOINING, Step.CONNECTED): Admission.ADMITTED,
    (Admission.NEW, Step.SYNC): Admission.RESUMING,
    (Admission.RESUMING, Step.SYNCED): Admission.ADMITTED,
    (Admission.ADMITTED, Step.UPDATE): Admission.ADMITTED,
    **{(state, Step.ENDED): Admission.ENDED for state in Admission if state is not Admission.ENDED},
}

S = TypeVar("S", bound=StrEnum)
C = TypeVar("C", bound=StrEnum)


def following(table: Mapping[tuple[S, C], S], state: S, cause: C) -> S:
    """Return the state that follows; raise LocalProtocolError where none does."""
    if (state, cause) not in table:
        raise LocalProtocolError(f"{cause} is not possible while {state}")
    return table[state, cause]
