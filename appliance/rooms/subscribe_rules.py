"""From subscribe rules to the tracks a participant receives. Pure.

Rules are evaluated in order over an empty set: include adds what it matches, exclude takes it away (rest.md 11.2).
Clients send `all` rules only (signaling.md 2.3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from appliance.sids import TrackSid

if TYPE_CHECKING:
    from appliance.rooms.room import Participant, Track


class RuleType(StrEnum):
    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeRule:
    """One rule. A rule without any filter but `all` matches every track of the others."""

    type: RuleType
    all: bool = True

    def matches(self, publisher: "Participant", track: "Track") -> bool:
        """Tell whether this rule speaks of the track; filters are ANDed."""
        return self.all


INCLUDE_ALL = (SubscribeRule(type=RuleType.INCLUDE),)
EXCLUDE_ALL = (SubscribeRule(type=RuleType.EXCLUDE),)


def wanted_tracks(rules: Sequence[SubscribeRule], others: Iterable["Participant"]) -> frozenset[TrackSid]:
    """Return what the rules select among the tracks of `others`, who must not include the subscriber."""
    tracks = [(publisher, track) for publisher in others for track in publisher.tracks]
    wanted: set[TrackSid] = set()
    for rule in rules:
        matched = {track.sid for publisher, track in tracks if rule.matches(publisher, track)}
        wanted = wanted | matched if rule.type is RuleType.INCLUDE else wanted - matched
    return frozenset(wanted)
