"""What the joining end of a room's signaling reports, oldest first from `ClientSession.next_event`. Values only."""

from dataclasses import dataclass

from appliance.errors import RoomError
from appliance.signaling.messages import ConnectedMessage, ServerUpdate, SyncedMessage, WarningMessage
from appliance.signaling.states import IceServer


@dataclass(frozen=True, slots=True)
class SocketWanted:
    """Open a new WebSocket in `delay_s` seconds, when the old one, if any, is closed."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class IceServersKnown:
    """The token was accepted; make the peer connection and call `connect`."""

    ice_servers: tuple[IceServer, ...]


@dataclass(frozen=True, slots=True)
class Connected:
    """We are in the room."""

    message: ConnectedMessage


@dataclass(frozen=True, slots=True)
class Updated:
    """The service's state changed. What is older than something already told, or about ourselves, is left out."""

    message: ServerUpdate


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The socket is lost; media may still flow."""

    error: RoomError


@dataclass(frozen=True, slots=True)
class Synced:
    """The socket is back. `participants` is complete: whoever is not in it has left."""

    message: SyncedMessage


@dataclass(frozen=True, slots=True)
class Warned:
    """Something is amiss with our own tracks, or no longer."""

    message: WarningMessage


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stay is over, for good. `error` is None where we left or were put out."""

    error: RoomError | None


ClientEvent = SocketWanted | IceServersKnown | Connected | Updated | Reconnecting | Synced | Warned | Disconnected
