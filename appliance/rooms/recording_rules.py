"""Recording rules: read, kept and given back, though nothing is ever recorded (rest.md 6.3, 12). Pure.

Their grammar is that of subscribe rules without `priority`; what they say about tracks is looked at by nobody.
"""

from typing import Any

from appliance.errors import RecordingRulesInvalidError, SubscribeRulesInvalidError
from appliance.rooms.subscribe_rules import EXCLUDE_ALL, RuleType, SubscribeRule, parse_rules

NOTHING_RECORDED = EXCLUDE_ALL
"""The rules of a room for which none were given."""


def parse_recording_rules(text: str) -> tuple[SubscribeRule, ...]:
    """Read `Rules` of a request: an array of 1 to 20 rules, bare or as `{"rules": [...]}`.

    Raises:
        RecordingRulesInvalidError: 53120.
    """
    try:
        rules = parse_rules(text)
    except SubscribeRulesInvalidError:
        raise RecordingRulesInvalidError from None
    if any(rule.priority for rule in rules):
        raise RecordingRulesInvalidError
    return rules


def records_something(rules: tuple[SubscribeRule, ...]) -> bool:
    return any(rule.type is RuleType.INCLUDE for rule in rules)


def recording_rule_json(rule: SubscribeRule) -> dict[str, Any]:
    """Return a rule with those filters alone that were given."""
    return {name: value for name, value in rule.to_json().items() if value is not None}
