"""Recording rules: what is one, and that what was read is given back."""

import json
from typing import Any

import pytest

from appliance.errors import RecordingRulesInvalidError
from appliance.rooms.recording_rules import (
    NOTHING_RECORDED,
    parse_recording_rules,
    recording_rule_json,
    records_something,
)

ALL = {"type": "exclude", "all": True}


@pytest.mark.parametrize(
    "rules",
    [
        [ALL],
        [{"type": "include", "kind": "audio", "publisher": "ann", "track": "mic"}],
        [ALL, {"type": "include", "kind": "data"}],
        [ALL] * 20,
    ],
)
def test_rules_are_given_back_as_they_came_bare_or_wrapped(rules: list[dict[str, Any]]) -> None:
    for text in (json.dumps(rules), json.dumps({"rules": rules})):
        assert [recording_rule_json(rule) for rule in parse_recording_rules(text)] == rules


def test_filters_that_are_null_were_not_given() -> None:
    text = json.dumps([ALL | {"kind": None, "publisher": None, "track": None}])

    assert parse_recording_rules(text) == NOTHING_RECORDED


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "[" * 3000, "{}", "[]", "7", json.dumps([ALL] * 21), "[7]", '[{"type":"record","all":true}]',
        '[{"all":true}]', '[{"type":"exclude"}]', '[{"type":"exclude","all":"true"}]', '[{"type":"exclude","all":1}]',
        '[{"type":"exclude","all":true,"kind":"audio"}]', '[{"type":"exclude","kind":"smell"}]',
        '[{"type":"exclude","track":""}]', '[{"type":"exclude","publisher":7}]', '[{"type":"exclude","mood":"good"}]',
        '[{"type":"exclude","priority":"low"}]', '[{"type":"exclude","track":"\\ud800"}]',
        '[{"type":"exclude","kind":"audio","kind":"video"}]', json.dumps([{"type": "exclude", "track": "x" * 129}]),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(RecordingRulesInvalidError):
        parse_recording_rules(text)


def test_one_rule_that_includes_records_something() -> None:
    assert not records_something(NOTHING_RECORDED)
    assert records_something(parse_recording_rules(json.dumps([ALL, {"type": "include", "kind": "audio"}])))
