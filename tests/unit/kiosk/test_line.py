"""The line of light and the lamps: the table of the look, row by row, and the laws over all states."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.screens.base import LineOfLight
from appliance.kiosk.line import LampPatterns, bars, document, heard, joining_part, lamps, line
from appliance.kiosk.state import KioskState, MicrophoneState, Origin, Phase, RoomView, Visit
from appliance.kiosk.words import ENGLISH

VISIT = Visit(room_name="lobby", attempt=1, origin=Origin.BUTTON, muted=False, camera_on=True)
ROOM = RoomView(name="lobby", sid="RM1")
IN_ROOM = KioskState(phase=Phase.IN_ROOM, visit=VISIT, room=ROOM, mic_live=True, camera_live=True)
MUTED = replace(IN_ROOM, visit=replace(VISIT, muted=True))
CAMERA_OFF = replace(IN_ROOM, visit=replace(VISIT, camera_on=False), camera_live=False)
JOINING = replace(IN_ROOM, phase=Phase.JOINING)
RECONNECTING = replace(IN_ROOM, phase=Phase.RECONNECTING)

# state; left lit, cut, right half, left pill; lamps mute, live, status: look/README.md 1
TABLE = {
    "booting": (KioskState(), (False, None, "rest", None), ("off", "off", "blink_0_5hz")),
    "setup": (KioskState(phase=Phase.SETUP), (False, None, "long_short", None), ("off", "off", "long_short")),
    "idle": (KioskState(phase=Phase.IDLE), (False, None, "rest", None), ("off", "off", "off")),
    "joining": (JOINING, (True, None, "part", None), ("off", "solid", "blink_1hz")),
    "in room": (IN_ROOM, (True, None, "connected", None), ("off", "solid", "solid")),
    "muted": (MUTED, (True, "mic.muted", "connected", None), ("solid", "solid", "solid")),
    "talk while held": (
        replace(MUTED, talk_held=True),
        (True, None, "connected", None),
        ("off", "fast_4hz", "solid"),
    ),
    "camera off": (CAMERA_OFF, (True, None, "connected", "camera.off"), ("off", "solid", "solid")),
    "camera off, microphone closed": (
        replace(CAMERA_OFF, mic_live=False),
        (False, None, "connected", "camera.off"),
        ("off", "off", "solid"),
    ),
    "no microphone": (
        replace(IN_ROOM, microphone_absent=True, mic_live=False),
        (True, "mic.absent", "connected", None),
        ("blink_0_5hz", "solid", "solid"),
    ),
    "privacy switch": (
        replace(IN_ROOM, blocked=True, mic_live=False, camera_live=False),
        (False, "mic.blocked", "connected", "camera.off"),
        ("solid", "off", "solid"),
    ),
    "reconnecting": (RECONNECTING, (True, None, "dashes", None), ("off", "solid", "double")),
    "reconnecting, muted as before": (
        replace(MUTED, phase=Phase.RECONNECTING),
        (True, "mic.muted", "dashes", None),
        ("solid", "solid", "double"),
    ),
    "leaving": (
        replace(IN_ROOM, phase=Phase.LEAVING),
        (True, None, "rest", None),
        ("off", "solid", "off"),
    ),
    "error": (KioskState(phase=Phase.ERROR), (False, None, "marks", None), ("off", "off", "triple")),
    "updating": (KioskState(phase=Phase.UPDATING), (False, None, "part", None), ("off", "off", "breathe")),
}


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
def test_each_row_of_the_table(
    row: tuple[KioskState, tuple[bool, str | None, str, str | None], tuple[str, str, str]],
) -> None:
    state, (left, cut, right, left_pill), patterns = row
    light = line(state)
    assert light.left_lit is left
    assert (light.cut.word_key if light.cut else None) == cut
    assert light.right.kind == right
    assert (light.left_pill.word_key if light.left_pill else None) == left_pill
    assert lamps(state) == LampPatterns(*patterns)  # type: ignore[arg-type]


def test_red_says_muted_amber_says_there_is_none_and_a_lock_says_switched_off() -> None:
    muted, absent = line(MUTED).cut, line(replace(IN_ROOM, microphone_absent=True)).cut
    blocked = line(replace(IN_ROOM, blocked=True)).cut
    assert muted is not None
    assert (muted.tone, muted.icon) == ("muted", "mic-off")
    assert absent is not None
    assert (absent.tone, absent.icon) == ("attention", "mic-off")
    assert blocked is not None
    assert (blocked.tone, blocked.icon) == ("muted", "lock")


def test_being_recorded_is_said_before_a_weak_link() -> None:
    weak = replace(IN_ROOM, quality=1)
    recorded = replace(weak, room=replace(ROOM, recording=True))
    assert line(IN_ROOM).right_pill is None
    pills = [line(state).right_pill for state in (weak, recorded)]
    assert [pill.word_key for pill in pills if pill] == ["link.weak", "room.recorded"]


def test_joining_grows_a_step_a_second_and_never_arrives_by_itself() -> None:
    since = datetime(2026, 3, 3, 14, 32, tzinfo=UTC)
    state = replace(JOINING, since=since)
    parts = [line(state, since + timedelta(seconds=s)).right.part for s in (0, 0.9, 1, 2, 5, 30, 3000)]
    assert parts[0] == parts[1]
    assert parts[1:] == sorted(parts[1:])
    assert parts[1] < parts[2] < parts[3]
    assert joining_part(1e9) < 0.95


def test_bars_stand_for_quality_levels() -> None:
    assert [bars(level) for level in (None, 0, 1, 2, 3, 4, 5, 9)] == [None, 0, 1, 2, 2, 3, 4, 4]


def test_the_document_is_json_and_keeps_words_as_keys() -> None:
    told = json.loads(json.dumps(document(line(MUTED))))
    assert told["cut"] == {"icon": "mic-off", "word_key": "mic.muted", "tone": "muted"}
    assert told["right"] == {"kind": "connected", "part": 0.0}
    assert told["sentence_key"] == "line.seen"


states = st.builds(
    KioskState,
    phase=st.sampled_from(Phase),
    visit=st.none() | st.builds(Visit, room_name=st.just("lobby"), attempt=st.just(1), origin=st.sampled_from(Origin),
                                muted=st.booleans(), camera_on=st.booleans()),
    room=st.none() | st.builds(RoomView, name=st.just("lobby"), recording=st.booleans()),
    microphone_absent=st.booleans(), camera_absent=st.booleans(), blocked=st.booleans(), mic_live=st.booleans(),
    camera_live=st.booleans(), talk_held=st.booleans(), quality=st.none() | st.integers(0, 5),
)  # fmt: skip


@given(states)
def test_law_1_the_left_half_is_lit_exactly_when_the_live_lamp_is(state: KioskState) -> None:
    assert line(state).left_lit is (lamps(state).live != "off")
    assert line(state).left_lit is (state.mic_live or state.camera_live)


@given(states)
def test_law_2_the_line_is_cut_exactly_when_in_a_room_and_not_heard(state: KioskState) -> None:
    in_room = state.phase in (Phase.IN_ROOM, Phase.RECONNECTING)
    speaks = state.mic is MicrophoneState.LIVE or (state.talk_held and state.mic is MicrophoneState.MUTED)
    cut = line(state).cut
    assert (cut is not None) is (in_room and not speaks)
    assert cut is None or (cut.icon and cut.word_key in ENGLISH), "a cut always carries icon and word"
    assert (lamps(state).mute == "off") is (cut is None) or state.blocked


@given(states)
def test_law_3_only_the_right_half_ever_takes_time(state: KioskState) -> None:
    now = state.since + timedelta(seconds=7)
    early, late = asdict(line(state)), asdict(line(state, now))
    early.pop("right"), late.pop("right")
    assert early == late
    assert 0 <= line(state, now).right.part <= 1


@given(states)
def test_everything_the_line_says_has_words(state: KioskState) -> None:
    light: LineOfLight = line(state)
    assert light.sentence_key in ENGLISH
    for pill in (light.cut, light.left_pill, light.right_pill):
        assert pill is None or pill.word_key in ENGLISH


@given(states)
def test_a_room_that_hears_us_is_never_told_to_be_muted(state: KioskState) -> None:
    if heard(state):
        assert line(state).cut is None
