"""Recording rules: read, kept and given back, though nothing is ever recorded (rest.md 6.3, 12). Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from appliance.errors import RecordingRulesInvalidError
from appliance.tokens import unique_keys

MAX_RULES = 20
MAX_FILTER_LENGTH = 128
_FILTERS = ("all", "kind", "publisher", "track")
_KINDS = ("audio", "video", "data")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """Record, or do not record, the tracks that match all filters; a filter that is None was not given."""

    include: bool
    all: bool | None = None
    kind: str | None = None
    publisher: str | None = None
    track: str | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Raise RecordingRulesInvalidError where this is no rule."""
        if not isinstance(data, Mapping) or data.get("type") not in ("include", "exclude"):
            raise RecordingRulesInvalidError
        filters = {key: value for key, value in data.items() if key != "type" and value is not None}
        if not _is_filter(filters):
            raise RecordingRulesInvalidError
        return cls(include=data["type"] == "include", **filters)

    def to_json(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in _FILTERS if getattr(self, name) is not None}
        return {"type": "include" if self.include else "exclude", **given}


def _is_filter(filters: Mapping[str, Any]) -> bool:
    if "all" in filters:
        return len(filters) == 1 and filters["all"] is True
    texts = all(isinstance(value, str) and 0 < len(value) <= MAX_FILTER_LENGTH for value in filters.values())
    known = filters.keys() <= set(_FILTERS)
    return bool(filters) and texts and known and filters.get("kind", "audio") in _KINDS


NOTHING_RECORDED = (RecordingRule(include=False, all=True),)
"""The rules of a room for which none were given."""


def parse_recording_rules(text: str) -> tuple[RecordingRule, ...]:
    """Read `Rules` of a request: an array of 1 to 20 rules, bare or as `{"rules": [...]}`.

    Raises:
        RecordingRulesInvalidError: 53120.
    """
    try:
        rules = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError):
        raise RecordingRulesInvalidError from None
    if isinstance(rules, dict):
        rules = rules.get("rules")
    if not isinstance(rules, list) or not 1 <= len(rules) <= MAX_RULES:
        raise RecordingRulesInvalidError
    return tuple(RecordingRule.from_json(rule) for rule in rules)


def records_something(rules: tuple[RecordingRule, ...]) -> bool:
    return any(rule.include for rule in rules)
