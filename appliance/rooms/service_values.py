"""What the rooms service goes by, and what it answers with beside rooms and participants."""

from dataclasses import dataclass, field

from appliance.rooms.ice import TurnServer
from appliance.rooms.room import ParticipantStatus, RoomSettings
from appliance.signaling.states import IceServer


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """What the service goes by; `ad_hoc_settings` are those of rooms that a client's connecting creates."""

    ad_hoc_rooms: bool = True
    ad_hoc_settings: RoomSettings = field(
        default_factory=lambda: RoomSettings(empty_timeout_min=0, unused_timeout_min=0)
    )
    max_rooms: int = 10_000
    max_participants: int = 10_000
    session_timeout_s: float = 30.0
    token_leeway_s: float = 60.0
    retention_days: int = 30
    ice_servers: tuple[IceServer, ...] = ()
    turn: TurnServer | None = None
    events_over_mqtt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """Somebody in a room. `guest`: with an identity chosen freely on the guest page."""

    status: ParticipantStatus
    guest: bool
