"""Subscribe rules: which are rules at all, and what they select (rest.md 11)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import SubscribeRulesInvalidError
from appliance.media_engine import TrackKind, TrackPriority
from appliance.rooms.publishing import Track
from appliance.rooms.room import Participant
from appliance.rooms.subscribe_rules import INCLUDE_ALL, parse_rules, wanted_tracks
from appliance.sids import KeySid, TrackSid, new_participant_sid, new_track_sid

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ALL = {"type": "include", "all": True}


def track(name: str, kind: TrackKind, **more: Any) -> Track:
    values = {"priority": TrackPriority.STANDARD, "enabled": True, "created": NOW, "sid": new_track_sid()} | more
    return Track(client_id=f"id-{name}", kind=kind, name=name, **values)


def person(identity: str, *tracks: Track, **more: Any) -> Participant:
    values = {"sid": new_participant_sid()} | more
    return Participant(identity=identity, key_sid=KeySid("SK"), started=NOW, updated=NOW, tracks=tracks, **values)


def with_screen(identity: str) -> Participant:
    return person(
        identity,
        track("audio", TrackKind.AUDIO),
        track("camera", TrackKind.VIDEO),
        track("screen", TrackKind.VIDEO, priority=TrackPriority.HIGH),
    )


BOB = with_screen("Bob")
CARL = person("Carl", track("audio", TrackKind.AUDIO), track("camera", TrackKind.VIDEO), track("notes", TrackKind.DATA))


def selected(*rules: dict[str, Any]) -> set[str]:
    found = wanted_tracks(parse_rules(json.dumps(rules)), [BOB, CARL])
    return {f"{each.identity} {one.name}" for each in (BOB, CARL) for one in each.tracks if one.sid in found}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            [ALL, {"type": "exclude", "kind": "video"}, {"type": "include", "publisher": "Bob", "track": "screen"}],
            {"Bob audio", "Bob screen", "Carl audio", "Carl notes"},
        ),
        ([{"type": "exclude", "kind": "video"}], set()),
        ([{"type": "include", "track": "screen"}], {"Bob screen"}),
        ([{"type": "include", "kind": "data"}, {"type": "exclude", "publisher": "Carl"}], set()),
        ([{"type": "exclude", "publisher": "Carl"}, {"type": "include", "kind": "data"}], {"Carl notes"}),
        ([{"type": "include", "priority": "high"}], {"Bob screen"}),
        ([{"type": "include", "publisher": "bob"}], set()),
        ([{"type": "include", "publisher": "Dora"}], set()),
        ([{"type": "include", "publisher": BOB.sid, "kind": "audio"}], {"Bob audio"}),
        ([{"type": "include", "track": CARL.tracks[2].sid}], {"Carl notes"}),
        ([ALL, {"type": "exclude", "all": True}], set()),
    ],
)
def test_rules_are_evaluated_in_order_over_nothing(rules: list[dict[str, Any]], expected: set[str]) -> None:
    assert selected(*rules) == expected


def test_a_value_in_the_form_of_a_sid_may_be_a_name() -> None:
    sid = new_participant_sid()
    impostor = person(sid, track(new_track_sid(), TrackKind.AUDIO))

    by_identity = wanted_tracks(parse_rules(json.dumps([{"type": "include", "publisher": sid}])), [impostor])
    by_name = wanted_tracks(
        parse_rules(json.dumps([{"type": "include", "track": impostor.tracks[0].name}])), [impostor]
    )

    assert by_identity == by_name == {impostor.tracks[0].sid}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rules",
        "{}",
        "[]",
        "1",
        "null",
        '"include"',
        "[1]",
        "[[]]",
        "[{}]",
        '[{"type":"include"}]',
        '[{"all":true}]',
        '[{"type":"allow","all":true}]',
        '[{"type":["include"],"all":true}]',
        '[{"type":"include","all":"true"}]',
        '[{"type":"include","all":false}]',
        '[{"type":"include","all":1}]',
        '[{"type":"include","all":true,"kind":"audio"}]',
        '[{"type":"include","kind":"sound"}]',
        '[{"type":"include","kind":["audio"]}]',
        '[{"type":"include","priority":"urgent"}]',
        '[{"type":"include","publisher":""}]',
        '[{"type":"include","publisher":7}]',
        '[{"type":"include","track":"' + "x" * 129 + '"}]',
        '[{"type":"include","track":"\\ud800"}]',
        '[{"type":"include","color":"red"}]',
        '[{"type":"include","all":true,"color":null}]',
        '[{"type":"include","kind":null}]',
        '[{"type":"include","kind":"audio","kind":"video"}]',
        '[{"type":"include","type":"exclude","all":true}]',
        '{"rules":[{"type":"include","all":true}],"more":1}',
        json.dumps([ALL] * 21),
        "[" * 100_000,
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(SubscribeRulesInvalidError) as caught:
        parse_rules(text)

    assert (caught.value.code, caught.value.message) == (53215, "Invalid Subscribe Rule(s)")


def test_twenty_rules_are_fine() -> None:
    assert len(parse_rules(json.dumps([ALL] * 20))) == 20


@pytest.mark.parametrize(
    "rules",
    [INCLUDE_ALL, parse_rules('[{"type":"include","kind":"audio","publisher":"Bob"},{"type":"exclude","track":"x"}]')],
)
def test_what_is_read_can_be_written_back_bare_or_wrapped(rules: Any) -> None:
    shown = [rule.to_json() for rule in rules]

    assert all(rule.keys() == {"type", "all", "publisher", "track", "kind", "priority"} for rule in shown)
    assert parse_rules(json.dumps(shown)) == parse_rules(json.dumps({"rules": shown})) == rules


_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["audio", "high", "Bob"])
_KEYS = st.sampled_from(["type", "all", "kind", "publisher", "track", "priority", "x"])
_RULES = st.dictionaries(_KEYS, _VALUES | st.sampled_from(["include", "exclude"]), max_size=4)


@given(st.lists(_RULES, max_size=22) | _VALUES)
def test_whatever_is_read_is_either_refused_or_can_be_written_back(given_rules: Any) -> None:
    try:
        rules = parse_rules(json.dumps(given_rules))
    except SubscribeRulesInvalidError:
        return
    chosen: frozenset[TrackSid] = wanted_tracks(rules, [BOB, CARL])

    assert parse_rules(json.dumps([rule.to_json() for rule in rules])) == rules
    assert chosen <= {one.sid for each in (BOB, CARL) for one in each.tracks}
