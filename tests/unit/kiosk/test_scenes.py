"""From state to scene: each phase says what it must, in the language asked for, and when it will say something else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.screens.base import (
    CallScene,
    DimScene,
    ErrorScene,
    IdleScene,
    JoiningScene,
    ReconnectingScene,
    SetupScene,
    StandbyScene,
    StartingScene,
    UpdatingScene,
    Wall,
)
from appliance.kiosk.scenes import Rest, next_change, scene
from appliance.kiosk.state import (
    Device,
    Guest,
    Issue,
    KioskState,
    Next,
    Origin,
    Person,
    Phase,
    RoomView,
    Visit,
)
from appliance.kiosk.words import Words

NOW = datetime(2026, 3, 3, 14, 32, 10, 500_000, tzinfo=UTC)
ENGLISH, GERMAN = Words("en"), Words("de")
DEVICE = Device(id="harbour", name="Harbour", default_room="Harbour", front_panel="virtual", panel_url="https://h:8090")
IDLE = KioskState(device=DEVICE, phase=Phase.IDLE, since=NOW - timedelta(minutes=1))
VISIT = Visit(room_name="Product planning", attempt=1, origin=Origin.BUTTON, muted=False, camera_on=True)
PEOPLE = (Person(sid="PA1", name="Amara Okafor", microphone="on", video="MT1"), Person(sid="PA2", name="Jonas Weber"))
IN_ROOM = replace(
    IDLE,
    phase=Phase.IN_ROOM,
    visit=VISIT,
    room=RoomView(name="Product planning", sid="RM1", people=PEOPLE),
    mic_live=True,
    camera_live=True,
    quality=5,
)


@pytest.mark.parametrize(
    ("room", "kiosk", "shown"),
    [("lobby", "Lobby", "Lobby"), ("HARBOUR", "Harbour", "Harbour"), ("lobby", "Hall 2", "lobby")],
)
def test_a_room_that_the_kiosk_is_named_after_is_called_as_the_kiosk_is(room: str, kiosk: str, shown: str) -> None:
    device = replace(DEVICE, name=kiosk, default_room=room)
    idle = scene(replace(IDLE, device=device), NOW, ENGLISH)
    in_room = scene(replace(IN_ROOM, device=device, room=RoomView(name=room, sid="RM1")), NOW, ENGLISH)
    assert idle.bar.hint == f"Hold [Leave] 2 s to join {shown}"
    assert in_room.bar.left == shown


def test_on_the_way_in_a_muted_microphone_that_is_open_is_not_called_off() -> None:
    unseen = replace(VISIT, muted=True, camera_on=False)
    joining = replace(IN_ROOM, phase=Phase.JOINING, room=None, visit=unseen, camera_live=False)
    assert scene(joining, NOW, ENGLISH).bar.left == "Muted, camera off"
    assert scene(replace(joining, visit=replace(VISIT, muted=True)), NOW, ENGLISH).bar.left == "Camera on, muted"
    assert scene(replace(joining, mic_live=False), NOW, ENGLISH).bar.left == "Microphone and camera off"


def test_idle_says_name_date_time_how_to_join_and_that_nothing_is_open() -> None:
    guest = Guest(link="https://rooms.example/join/harbour#secret", address="rooms.example/join/harbour")
    made = scene(replace(IDLE, guest=guest), NOW, ENGLISH)
    assert isinstance(made, IdleScene)
    assert (made.name, made.date, made.clock) == ("Harbour", "Tuesday, 3 March", "14:32")
    assert made.bar.hint == "Hold [Leave] 2 s to join Harbour"
    assert made.bar.left == "Camera and microphone are off"
    assert made.invitation is not None
    assert made.invitation.link == guest.link
    assert made.invitation.lines == ("rooms.example", "/join/harbour")
    assert made.booking is None


def test_idle_tells_the_gravest_of_what_wants_a_look() -> None:
    issues = tuple(Issue(code=code) for code in ("mqtt_disconnected", "speaker_absent", "duplicate_identity"))
    made = scene(replace(IDLE, issues=issues), NOW, ENGLISH)
    quiet = scene(replace(IDLE, issues=issues[:1]), NOW, ENGLISH)
    assert isinstance(made, IdleScene)
    assert isinstance(quiet, IdleScene)
    assert (made.notice, quiet.notice) == ("Another device uses this name", "")


def test_german_is_spoken_throughout() -> None:
    made = scene(IDLE, NOW, GERMAN)
    assert isinstance(made, IdleScene)
    assert (made.date, made.bar.left) == ("Dienstag, 3. März", "Kamera und Mikrofon sind aus")


def test_without_buttons_nothing_is_said_about_them() -> None:
    for phase in (Phase.IDLE, Phase.JOINING, Phase.RECONNECTING, Phase.ERROR):
        state = replace(IN_ROOM, phase=phase, device=replace(DEVICE, front_panel="none"))
        assert "[" not in scene(state, NOW, ENGLISH).bar.hint


def test_a_device_still_open_in_idle_is_not_called_off() -> None:
    made = scene(replace(IDLE, camera_live=True), NOW, ENGLISH)
    assert made.line.left_lit
    assert made.bar.left != "Camera and microphone are off"


def test_joining_shows_our_picture_the_room_and_how_to_cancel() -> None:
    state = replace(IN_ROOM, phase=Phase.JOINING, since=NOW - timedelta(seconds=2))
    made = scene(state, NOW, ENGLISH)
    assert isinstance(made, JoiningScene)
    assert (made.label, made.room, made.self_view.slot) == ("Joining", "Product planning", "self")
    assert made.bar.hint == "Press [Leave] to cancel"
    assert made.bar.left == "Camera and microphone on"


def test_after_eight_seconds_joining_takes_longer_than_usual() -> None:
    labels = []
    for seconds in (7, 8):
        state = replace(IN_ROOM, phase=Phase.JOINING, since=NOW - timedelta(seconds=seconds))
        made = scene(state, NOW, ENGLISH)
        assert isinstance(made, JoiningScene)
        labels.append(made.label)
    assert labels == ["Joining", "Taking longer than usual"]


def test_a_full_room_says_so_and_when_it_is_tried_again() -> None:
    again = Next(action="retry", at=NOW + timedelta(seconds=11.2))
    made = scene(replace(IN_ROOM, phase=Phase.JOINING, reason="room_full", next=again), NOW, ENGLISH)
    assert isinstance(made, JoiningScene)
    assert made.label == "Full. Next try in 12 s"


def test_a_join_without_camera_shows_no_picture_and_says_which_is_on() -> None:
    state = replace(IN_ROOM, phase=Phase.JOINING, visit=replace(VISIT, camera_on=False))
    made = scene(state, NOW, ENGLISH)
    assert isinstance(made, JoiningScene)
    assert made.self_view.slot is None
    assert (made.bar.left, made.bar.left_icons) == ("Microphone on, camera off", ("camera-off", "mic"))


def test_a_call_shows_people_the_room_who_hears_and_the_time() -> None:
    made = scene(IN_ROOM, NOW, ENGLISH)
    assert isinstance(made, CallScene)
    assert [tile.name for tile in made.tiles] == ["Amara Okafor", "Jonas Weber"]
    assert (made.bar.left, made.bar.middle, made.bar.people) == ("Product planning", "Microphone on", 3)
    assert (made.bar.quality, made.bar.time) == (4, "14:32")


def test_muted_takes_microphone_on_away_and_cuts_the_line_with_the_word() -> None:
    made = scene(replace(IN_ROOM, visit=replace(VISIT, muted=True)), NOW, GERMAN)
    assert made.line.cut is not None
    assert made.line.cut.word == "Stumm"
    assert made.bar.middle == ""


def test_alone_says_so_and_when_it_leaves() -> None:
    assert IN_ROOM.room is not None
    alone = replace(IN_ROOM, room=replace(IN_ROOM.room, people=()))
    waiting = scene(alone, NOW, ENGLISH)
    leaving = scene(replace(alone, next=Next(action="leave", at=NOW + timedelta(seconds=29))), NOW, ENGLISH)
    assert isinstance(waiting, CallScene)
    assert isinstance(leaving, CallScene)
    assert (waiting.notice, leaving.notice) == ("Nobody else is here yet", "Alone. Leaves in 29 s")


def test_reconnecting_counts_the_time_without_link_and_to_the_next_attempt() -> None:
    state = replace(
        IN_ROOM,
        phase=Phase.RECONNECTING,
        since=NOW - timedelta(seconds=67),
        next=Next(action="retry", at=NOW + timedelta(seconds=2)),
    )
    made = scene(state, NOW, ENGLISH)
    assert isinstance(made, ReconnectingScene)
    assert (made.label, made.title) == ("No link for 1:07", "Reconnecting")
    assert made.notes == ("Your room is kept as it was.", "Next attempt in 2 s")
    assert made.bar.hint == "Press [Leave] to give up"


def test_an_error_says_what_why_one_remedy_the_code_and_when_it_tries_again() -> None:
    state = replace(
        IDLE, phase=Phase.ERROR, reason="service_unreachable", next=Next(action="retry", at=NOW + timedelta(seconds=12))
    )
    made = scene(state, NOW, ENGLISH)
    assert isinstance(made, ErrorScene)
    assert (made.title, made.headline) == ("Cannot join rooms", "The rooms service does not answer")
    assert made.remedies[0] == "Check that the network cable is plugged in."
    assert made.code == "service_unreachable"
    assert made.bar.hint == "Retry in 12 s, or press [Leave] now"


def test_the_cable_is_not_blamed_for_what_it_cannot_do() -> None:
    made = scene(replace(IDLE, phase=Phase.ERROR, reason="token_rejected"), NOW, ENGLISH)
    assert isinstance(made, ErrorScene)
    assert not any("cable" in remedy for remedy in made.remedies)


@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        (Phase.BOOTING, StartingScene),
        (Phase.LEAVING, StartingScene),
        (Phase.STOPPING, StartingScene),
        (Phase.SETUP, SetupScene),
        (Phase.UPDATING, UpdatingScene),
    ],
)
def test_every_other_phase_has_its_scene(phase: Phase, kind: type) -> None:
    assert isinstance(scene(replace(IDLE, phase=phase), NOW, ENGLISH), kind)


def test_idle_dims_then_sleeps_and_wakes_by_being_told_since_when() -> None:
    rest = Rest(NOW)
    kinds = [type(scene(IDLE, NOW + timedelta(seconds=s), ENGLISH, rest=rest)) for s in (119, 120, 599, 600)]
    assert kinds == [IdleScene, DimScene, DimScene, StandbyScene]
    awake = scene(IDLE, NOW + timedelta(seconds=600), ENGLISH, rest=Rest(NOW + timedelta(seconds=599)))
    assert isinstance(awake, IdleScene)


def test_a_screen_never_sleeps_over_an_open_device_or_a_call() -> None:
    late = NOW + timedelta(hours=5)
    assert isinstance(scene(replace(IDLE, mic_live=True), late, ENGLISH, rest=Rest(NOW)), IdleScene)
    assert isinstance(scene(IN_ROOM, late, ENGLISH, rest=Rest(NOW)), CallScene)


def test_the_mark_of_standby_visits_all_its_places() -> None:
    marks = set()
    for minute in range(11, 37):
        made = scene(IDLE, NOW + timedelta(minutes=minute), ENGLISH, rest=Rest(NOW))
        assert isinstance(made, StandbyScene)
        marks.add(made.mark)
    assert marks == set(range(26))
    dark = scene(IDLE, NOW + timedelta(minutes=11), ENGLISH, rest=Rest(NOW, heartbeat=False))
    assert isinstance(dark, StandbyScene)
    assert dark.mark is None


def test_the_picture_shifts_every_minute_but_not_as_a_call_begins() -> None:
    shifts = [scene(IDLE, NOW + timedelta(minutes=n), ENGLISH).shift for n in range(4)]
    assert sorted(shifts) == [0, 1, 2, 3]
    for n in range(4):
        began = NOW + timedelta(minutes=n)
        assert scene(replace(IN_ROOM, since=began), began + timedelta(seconds=9), ENGLISH).shift == 0


def test_the_next_change_is_the_next_minute_or_the_next_second_while_something_counts() -> None:
    assert next_change(IDLE, NOW) == NOW.replace(minute=33, second=0, microsecond=0)
    assert next_change(replace(IDLE, phase=Phase.RECONNECTING), NOW) == NOW.replace(second=11, microsecond=0)
    counting = replace(IDLE, phase=Phase.ERROR, next=Next(action="retry", at=NOW + timedelta(seconds=30)))
    assert next_change(counting, NOW) == NOW.replace(second=11, microsecond=0)


@given(
    st.sampled_from(Phase),
    st.sampled_from(["en", "de", "en-XA", "fr"]),
    st.booleans(),
    st.booleans(),
    st.none() | st.just(VISIT),
    st.none() | st.just(IN_ROOM.room),
    st.sampled_from([Wall(), Wall(100, touch=True), Wall(320)]),
)
def test_every_state_can_be_shown(
    phase: Phase, locale: str, live: bool, blocked: bool, visit: Visit | None, room: RoomView | None, wall: Wall
) -> None:
    state = replace(IDLE, phase=phase, mic_live=live, blocked=blocked, visit=visit, room=room)
    made = scene(state, NOW, Words(locale), wall)
    assert made.line.left_lit is live
    assert made.name
