"""What a client asked for when it connected, and says only once, as a text for its session (signaling.md 2.9). Pure."""

import json
from dataclasses import dataclass

from appliance.errors import RemoteProtocolError
from appliance.media_engine import ReceivingProfile
from appliance.rooms.wire import bandwidth_profile_of, receiving_profile
from appliance.signaling.fields import object_from_text, texts
from appliance.signaling.wishes import bandwidth_profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`channels`: names of media-signaling channels."""

    channels: frozenset[str] = frozenset()
    profile: ReceivingProfile | None = None

    @classmethod
    def read(cls, text: str) -> "Asked":
        """Return what `written` wrote; nothing for anything else, as of another version."""
        try:
            data = object_from_text(text)
            channels = frozenset(texts(data, "channels"))
        except RemoteProtocolError:
            return cls()
        return cls(channels=channels, profile=receiving_profile(bandwidth_profile(data, "bandwidth_profile")))

    def written(self) -> str:
        if self == Asked():
            return ""
        wire = {
            "channels": sorted(self.channels),
            "bandwidth_profile": bandwidth_profile_of(self.profile).to_wire() if self.profile else None,
        }
        return json.dumps(wire, separators=(",", ":"))
