"""Session strings that say by themselves whose they are, so that a service that lost its memory resumes them. Pure.

RM….PA….signature                    signed with the service's secret (signaling.md 2.9)
RM….PA….signature.wishes.signature    as a client holds it that asked for something which is in no store
"""

import base64
import hmac
from dataclasses import replace
from datetime import datetime

from appliance.rooms.room import Change, ParticipantStatus, Room
from appliance.sids import ParticipantSid, RoomSid, looks_like

REVISION_LEAP = 1000
"""More than anybody can have been told of what did not reach the store any more."""
_SIGNATURE_BYTES = 24
_PARTS_WITH_WISHES = 5


class Sessions:
    """Writes and reads the session strings of one service."""

    def __init__(self, service_secret: str) -> None:
        self._key = hmac.digest(service_secret.encode(), b"signaling sessions", "sha256")

    def write(self, room_sid: RoomSid, participant_sid: ParticipantSid) -> str:
        """Return the session of a stay: the same whenever it is asked for, and not to be guessed."""
        whose = f"{room_sid}.{participant_sid}"
        return f"{whose}.{self._sign(whose)}"

    def read(self, session: str) -> tuple[RoomSid, ParticipantSid] | None:
        """Return whose session this is, or None where we never wrote it."""
        room, _, rest = session.partition(".")
        participant = rest.partition(".")[0]
        if not looks_like("RM", room) or not looks_like("PA", participant):
            return None
        sids = RoomSid(room), ParticipantSid(participant)
        written = self.write(*sids).encode()
        return sids if hmac.compare_digest(written, session.encode("utf-8", "surrogatepass")) else None

    def with_wishes(self, session: str, wishes: str) -> str:
        """Return a session as the client is to hold it, so that it says by itself what the client asked for.

        Args:
            wishes: any text; nothing is added for an empty one.
        """
        if not wishes:
            return session
        held = f"{session}.{base64.urlsafe_b64encode(wishes.encode()).decode('ascii')}"
        return f"{held}.{self._sign(held)}"

    def split(self, held: str) -> tuple[str, str]:
        """Return the session proper, and the wishes that a client's session holds; none where we never wrote them."""
        parts = held.split(".")
        if len(parts) != _PARTS_WITH_WISHES:
            return held, ""
        signed, signature = ".".join(parts[:-1]), parts[-1]
        if not hmac.compare_digest(self._sign(signed).encode(), signature.encode("utf-8", "surrogatepass")):
            return held, ""
        return ".".join(parts[:3]), base64.urlsafe_b64decode(parts[3]).decode()

    def _sign(self, text: str) -> str:
        signature = hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")[:_SIGNATURE_BYTES]
        return base64.urlsafe_b64encode(signature).decode("ascii")


def bereft(room: Room, now: datetime) -> Change:
    """Return the change of a room whose participants all lost their connection together with the service."""
    lost = tuple(
        replace(
            participant,
            status=ParticipantStatus.RECONNECTING,
            revision=participant.revision + REVISION_LEAP,
            updated=now,
        )
        for participant in room.participants
    )
    return Change(room=replace(room, participants=lost), participants={each.sid: each for each in lost})
