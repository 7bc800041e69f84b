"""The whole picture that a client is told when it has joined, and when it has come back (signaling.md 2.4, 2.9)."""

from collections.abc import Sequence

from appliance.media_engine import PeerConnectionState
from appliance.rooms.conversation import Joined, Resumed, participant_state
from appliance.rooms.registry import Stay
from appliance.rooms.room import Participant, Room


def joined(
    room: Room,
    participant: Participant,
    stay: Stay,
    peer_connections: Sequence[PeerConnectionState],
    session_timeout_s: float,
) -> Joined:
    return Joined(
        session=stay.held or stay.session,
        room_sid=room.sid,
        room_name=room.name,
        participant=participant_state(participant),
        participants=tuple(participant_state(each) for each in room.others(participant.sid)),
        published=stay.published(participant.tracks),
        subscribed=stay.subscribed(),
        peer_connections=tuple(peer_connections),
        session_timeout_s=session_timeout_s,
        media_region=room.settings.media_region,
        media_signaling=stay.channels.labels,
    )


def resumed(
    room: Room, participant: Participant, stay: Stay, peer_connections: Sequence[PeerConnectionState]
) -> Resumed:
    return Resumed(
        session=stay.held or stay.session,
        room_sid=room.sid,
        room_name=room.name,
        participant=participant_state(participant),
        participants=tuple(participant_state(each) for each in room.others(participant.sid)),
        published=stay.published(participant.tracks),
        subscribed=stay.subscribed(),
        peer_connections=tuple(peer_connections),
        media_signaling=stay.channels.labels,
    )
