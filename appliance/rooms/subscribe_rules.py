"""From subscribe rules to the tracks a participant receives. Pure.

    Rules=[{"type": "include", "all": true}, {"type": "exclude", "publisher": "bob", "kind": "video"}]

Rules are evaluated in order over an empty set: include adds what it matches, exclude takes it away; the filters of one
rule are ANDed (rest.md 11). A client's first wishes are `all` rules only (signaling.md 2.3).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from appliance.errors import SubscribeRulesInvalidError
from appliance.media_engine import TrackKind, TrackPriority
from appliance.sids import TrackSid
from appliance.tokens import unique_keys

if TYPE_CHECKING:
    from appliance.rooms.room import Participant, Track

MAX_RULES = 20
MAX_FILTER_LENGTH = 128
_FILTERS = ("all", "publisher", "track", "kind", "priority")


class RuleType(StrEnum):
    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeRule:
    """One rule: `all`, or at least one of the others. `publisher` is an identity or SID, `track` a name or SID."""

    type: RuleType
    all: bool = False
    publisher: str | None = None
    track: str | None = None
    kind: TrackKind | None = None
    priority: TrackPriority | None = None

    def matches(self, publisher: "Participant", track: "Track") -> bool:
        """Tell whether this rule speaks of the track. A value in the form of a SID may still be a name."""
        return (
            self.publisher in (None, publisher.sid, publisher.identity)
            and self.track in (None, track.sid, track.name)
            and self.kind in (None, track.kind)
            and self.priority in (None, track.priority)
        )

    def to_json(self) -> dict[str, Any]:
        """Return all six keys; what is not set is None, so that what was read can be written back."""
        return {
            "type": self.type.value,
            "all": self.all or None,
            "publisher": self.publisher,
            "track": self.track,
            "kind": self.kind.value if self.kind else None,
            "priority": self.priority.value if self.priority else None,
        }


INCLUDE_ALL = (SubscribeRule(type=RuleType.INCLUDE, all=True),)
EXCLUDE_ALL = (SubscribeRule(type=RuleType.EXCLUDE, all=True),)


def wanted_tracks(rules: Sequence[SubscribeRule], others: Iterable["Participant"]) -> frozenset[TrackSid]:
    """Return what the rules select among the tracks of `others`, who must not include the subscriber."""
    tracks = [(publisher, track) for publisher in others for track in publisher.tracks]
    wanted: set[TrackSid] = set()
    for rule in rules:
        matched = {track.sid for publisher, track in tracks if rule.matches(publisher, track)}
        wanted = wanted | matched if rule.type is RuleType.INCLUDE else wanted - matched
    return frozenset(wanted)


def parse_rules(text: str) -> tuple[SubscribeRule, ...]:
    """Read the parameter `Rules`: a JSON array of 1 to 20 rules, or an object that wraps it as `rules`.

    Raises:
        SubscribeRulesInvalidError: anything else (rest.md 11.1).
    """
    try:
        rules = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError):
        raise SubscribeRulesInvalidError from None
    if isinstance(rules, dict) and rules.keys() == {"rules"}:
        rules = rules["rules"]
    if not isinstance(rules, list) or not 1 <= len(rules) <= MAX_RULES:
        raise SubscribeRulesInvalidError
    return tuple(rule_of(rule) for rule in rules)


def rule_of(given: object) -> SubscribeRule:
    """Read one rule; a key whose value is null counts as absent.

    Raises:
        SubscribeRulesInvalidError: it is none.
    """
    if not isinstance(given, Mapping) or given.get("type") not in list(RuleType):
        raise SubscribeRulesInvalidError
    if given.keys() - {"type", *_FILTERS}:
        raise SubscribeRulesInvalidError
    filters = {key: value for key, value in given.items() if key != "type" and value is not None}
    kind = RuleType(given["type"])
    # Not `== True`: in Python 1 is equal to True.
    if "all" in filters and filters["all"] is True and len(filters) == 1:
        return SubscribeRule(type=kind, all=True)
    if not filters or "all" in filters or not all(_is_text(value) for value in filters.values()):
        raise SubscribeRulesInvalidError
    return SubscribeRule(
        type=kind,
        publisher=filters.get("publisher"),
        track=filters.get("track"),
        kind=_choice(filters.get("kind"), TrackKind),
        priority=_choice(filters.get("priority"), TrackPriority),
    )


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_FILTER_LENGTH:
        return False
    # JSON can escape half a surrogate pair, which is no character and could not be sent back.
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _choice(value: str | None, kind: type[StrEnum]) -> Any:
    if value is not None and value not in list(kind):
        raise SubscribeRulesInvalidError
    return None if value is None else kind(value)
