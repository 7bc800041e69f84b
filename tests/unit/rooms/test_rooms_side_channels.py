"""What one stay has of media signaling: channels that die and come back, hints, limits."""

import json
from itertools import count
from typing import Any

import pytest

from appliance.media_engine import (
    Dimensions,
    ReceivingHint,
    ReceivingProfile,
    ReceivingWishes,
    TrackKind,
    TrackPriority,
)
from appliance.rooms.room import RoomSettings, RoomType
from appliance.rooms.side_channels import (
    LONGEST_TEXT,
    MESSAGES_PER_S,
    MOST_MESSAGES_AT_ONCE,
    MOST_OPENINGS,
    MOST_REPORTS_AT_ONCE,
    SideChannels,
    granted,
    new_label,
)
from appliance.sids import ParticipantSid, TrackSid
from appliance.signaling.quality import QualityReport
from appliance.signaling.side_channels import (
    ActiveSpeaker,
    Channel,
    EncodingHint,
    HintResult,
    PublisherHint,
    PublisherHints,
    Ready,
    RenderHint,
    RenderHints,
    TrackPriorityWish,
    TrackSwitchOff,
)

ALL = frozenset(channel.value for channel in Channel)
CAMERA, SCREEN, VOICE = TrackSid("MTcamera"), TrackSid("MTscreen"), TrackSid("MTvoice")
KINDS = {CAMERA: TrackKind.VIDEO, SCREEN: TrackKind.VIDEO, VOICE: TrackKind.AUDIO}
RECEIVED = frozenset(KINDS)
ANN = ParticipantSid("PAann")


def channels(*wanted: Channel, profile: ReceivingProfile | None = None) -> SideChannels:
    numbers = count(1)
    return SideChannels(wanted, profile, label_for=lambda channel: f"{channel.value}-{next(numbers)}")


def listening(*wanted: Channel) -> SideChannels:
    """Return channels that are open, and to which the client listens."""
    made = channels(*wanted)
    for label in list(made.wanted):
        made.opened(label)
        made.greet(label)
    return made


def replace_connection(made: SideChannels) -> None:
    for label in list(made.wanted):
        made.closed(label)


# --- grants -----------------------------------------------------------------------------------------------------------


def test_what_is_asked_for_is_granted_but_what_nothing_produces() -> None:
    assert granted(ALL, RoomSettings()) == set(Channel) - {Channel.TRANSCRIPTIONS}
    assert granted(frozenset({"active_speaker", "telepathy"}), RoomSettings()) == {Channel.ACTIVE_SPEAKER}
    assert granted(frozenset(), RoomSettings()) == frozenset()


@pytest.mark.parametrize("kind", [RoomType.GO, RoomType.PEER_TO_PEER])
def test_dominant_speakers_are_for_group_rooms(kind: RoomType) -> None:
    assert Channel.ACTIVE_SPEAKER not in granted(ALL, RoomSettings(type=kind))
    assert Channel.NETWORK_QUALITY in granted(ALL, RoomSettings(type=kind))


@pytest.mark.parametrize("settings", [RoomSettings(video_codecs=("H264",)), RoomSettings(audio_only=True)])
def test_layers_are_hinted_where_there_are_layers(settings: RoomSettings) -> None:
    assert Channel.PUBLISHER_HINTS not in granted(ALL, settings)


def test_every_stay_has_labels_of_its_own() -> None:
    labels = {new_label(Channel.ACTIVE_SPEAKER) for _ in range(100)}

    assert len(labels) == 100
    assert SideChannels(Channel).wanted.isdisjoint(SideChannels(Channel).wanted)


# --- a channel's life -------------------------------------------------------------------------------------------------


def test_a_channel_that_opens_for_the_first_time_was_announced_already() -> None:
    made = channels(Channel.ACTIVE_SPEAKER)

    assert made.labels == {"active_speaker": "active_speaker-1"}
    assert made.opened("active_speaker-1") == {}


def test_a_channel_that_died_comes_back_under_a_new_label_which_is_told_once_it_is_open() -> None:
    made = listening(Channel.ACTIVE_SPEAKER)

    replace_connection(made)

    assert made.wanted == {"active_speaker-2"}
    assert made.opened("active_speaker-2") == {"active_speaker": "active_speaker-2"}


def test_a_channel_that_never_opened_keeps_the_label_that_the_client_waits_for() -> None:
    made = channels(Channel.ACTIVE_SPEAKER)

    made.closed("active_speaker-1")

    assert made.labels == {"active_speaker": "active_speaker-1"}
    assert made.opened("active_speaker-1") == {"active_speaker": "active_speaker-1"}, "who heard of it has lost it"


def test_a_client_that_closes_for_ever_is_left_alone_at_last() -> None:
    made = channels(Channel.ACTIVE_SPEAKER, Channel.RENDER_HINTS)

    for _ in range(MOST_OPENINGS):
        label = made.labels["active_speaker"]
        made.opened(label)
        made.closed(label)

    assert made.labels.keys() == {"render_hints"}


def test_what_happens_on_labels_of_the_past_is_nothing() -> None:
    made = listening(Channel.ACTIVE_SPEAKER)
    replace_connection(made)

    assert made.opened("active_speaker-1") == {}
    assert made.greet("active_speaker-1") == []
    assert made.read("active_speaker-1", '{"type":"ready"}', 0.0) is None
    made.closed("active_speaker-1")
    assert made.wanted == {"active_speaker-2"}


# --- limits -----------------------------------------------------------------------------------------------------------


def test_what_makes_no_sense_is_ignored() -> None:
    made = listening(Channel.RENDER_HINTS)
    (label,) = made.wanted

    assert made.read(label, "not json", 0.0) is None
    assert made.read(label, '{"type":"network_quality"}', 0.0) is None
    assert made.read(label, '{"type":"ready"}', 0.0) == Ready()


def test_a_text_that_is_too_long_is_not_even_read() -> None:
    made = listening(Channel.RENDER_HINTS)
    (label,) = made.wanted
    filler = " " * (LONGEST_TEXT - len('{"type":"ready"}'))

    assert made.read(label, '{"type":"ready"}' + filler, 0.0) == Ready()
    assert made.read(label, '{"type":"ready"}' + filler + " ", 0.0) is None


def test_who_says_too_much_is_not_heard_for_a_while_on_any_channel() -> None:
    made = listening(Channel.NETWORK_QUALITY, Channel.RENDER_HINTS)
    quality, hints = made.labels["network_quality"], made.labels["render_hints"]

    heard = [made.read(quality, '{"type":"ready"}', 7.0) for _ in range(10 * MOST_MESSAGES_AT_ONCE)]

    assert sum(message is not None for message in heard) == MOST_MESSAGES_AT_ONCE
    assert made.read(hints, '{"type":"ready"}', 7.0) is None
    assert made.read(hints, '{"type":"ready"}', 7.0 + 2 / MESSAGES_PER_S) == Ready()


def test_reports_of_quality_are_taken_as_often_as_a_client_sends_them_and_hardly_more() -> None:
    made = listening(Channel.NETWORK_QUALITY)
    (label,) = made.wanted
    report = '{"type":"network_quality"}'

    at_once = [made.read(label, report, 0.0) for _ in range(100)]
    later = [made.read(label, report, 100.0 + second) for second in range(100)]

    assert sum(message is not None for message in at_once) == MOST_REPORTS_AT_ONCE
    assert None not in later


# --- the speaker ------------------------------------------------------------------------------------------------------


def test_the_speaker_is_told_on_change_only() -> None:
    made = listening(Channel.ACTIVE_SPEAKER)

    assert made.speaker(None) == []
    assert made.speaker(ANN) == [ActiveSpeaker(participant=ANN)]
    assert made.speaker(ANN) == []
    assert made.speaker(None) == [ActiveSpeaker(participant=None)]


def test_a_speaker_that_nobody_could_be_told_of_is_told_later() -> None:
    made = channels(Channel.ACTIVE_SPEAKER)
    assert made.speaker(ANN) == []
    made.opened("active_speaker-1")
    made.greet("active_speaker-1")

    assert made.speaker(ANN, repeat=True) == [ActiveSpeaker(participant=ANN)]
    replace_connection(made)
    assert made.speaker(None) == []
    made.greet("active_speaker-2")
    assert made.speaker(None, repeat=True) == [ActiveSpeaker(participant=None)], "it still shows the one before"


# --- switched off -----------------------------------------------------------------------------------------------------


def test_switching_off_and_on_is_told_as_it_happens() -> None:
    made = listening(Channel.TRACK_SWITCH_OFF)

    assert made.switched(frozenset({CAMERA, SCREEN}), frozenset()) == [TrackSwitchOff(off=(CAMERA, SCREEN))]
    assert made.switched(frozenset(), frozenset({SCREEN})) == [TrackSwitchOff(on=(SCREEN,))]
    assert made.switched(frozenset({CAMERA}), frozenset()) == []


def test_a_channel_that_opens_anew_tells_what_is_off_now_and_what_is_not_any_more() -> None:
    made = listening(Channel.TRACK_SWITCH_OFF)
    made.switched(frozenset({CAMERA}), frozenset())
    replace_connection(made)
    assert made.switched(frozenset({SCREEN}), frozenset({CAMERA})) == []

    both = [TrackSwitchOff(off=(SCREEN,), on=(CAMERA,))]
    assert made.greet("track_switch_off-2") == both
    assert made.greet("track_switch_off-2") == both


def test_what_was_on_again_is_told_anew_in_case_it_was_lost_with_the_connection() -> None:
    made = listening(Channel.TRACK_SWITCH_OFF)
    made.switched(frozenset({CAMERA}), frozenset())
    made.switched(frozenset(), frozenset({CAMERA}))

    replace_connection(made)

    assert made.greet("track_switch_off-2") == [TrackSwitchOff(on=(CAMERA,))]


def test_a_track_that_is_not_received_any_more_is_not_off_any_more() -> None:
    made = listening(Channel.TRACK_SWITCH_OFF)
    made.switched(frozenset({CAMERA}), frozenset())

    assert made.receives(frozenset({VOICE})) == ([TrackSwitchOff(on=(CAMERA,))], False)


# --- what a client says of what it receives ---------------------------------------------------------------------------


def test_a_priority_overrides_until_it_is_taken_back() -> None:
    made = listening(Channel.TRACK_PRIORITY)
    high = TrackPriorityWish(track=CAMERA, subscribe=TrackPriority.HIGH)

    assert made.prefer(high, RECEIVED)
    assert not made.prefer(high, RECEIVED)
    assert made.wishes.hints == {CAMERA: ReceivingHint(priority=TrackPriority.HIGH)}
    assert made.prefer(TrackPriorityWish(track=CAMERA, subscribe=None), RECEIVED)
    assert made.wishes == ReceivingWishes()


def test_a_priority_for_a_track_that_is_not_received_is_nothing() -> None:
    made = listening(Channel.TRACK_PRIORITY)

    assert not made.prefer(TrackPriorityWish(track="MTunknown", subscribe=TrackPriority.LOW), RECEIVED)
    assert made.wishes.hints == {}


def test_hints_add_up_and_every_one_is_answered() -> None:
    profile = ReceivingProfile(max_tracks=3)
    made = channels(Channel.RENDER_HINTS, profile=profile)
    size = Dimensions(width=320, height=180)
    first = RenderHints(id=4, hints=(RenderHint(track=CAMERA, enabled=True, render_dimensions=size),))

    answer, changed = made.show(first, RECEIVED, KINDS)
    again, changed_again = made.show(
        RenderHints(id=5, hints=(RenderHint(track=CAMERA, enabled=False),)), RECEIVED, KINDS
    )

    assert (answer.id, again.id) == (4, 5)
    assert [each.result for each in (*answer.hints, *again.hints)] == [HintResult.OK, HintResult.OK]
    assert changed
    assert changed_again
    assert made.wishes == ReceivingWishes(
        profile=profile, hints={CAMERA: ReceivingHint(visible=False, dimensions=size)}
    )
    assert not made.show(RenderHints(id=6), RECEIVED, KINDS)[1]


def test_a_hint_gets_the_result_that_it_deserves() -> None:
    made = channels(Channel.RENDER_HINTS)
    hints = (
        RenderHint(track="MTunknown", enabled=True),
        RenderHint(track=VOICE, enabled=True),
        RenderHint(track=CAMERA),
        RenderHint(track=SCREEN, enabled=True),
    )

    answer, _ = made.show(RenderHints(id=1, hints=hints), RECEIVED, KINDS)

    assert [each.result.value for each in answer.hints] == ["UNKNOWN_TRACK", "INVALID_HINT", "INVALID_HINT", "OK"]


def test_what_was_said_of_a_track_is_forgotten_with_its_subscription() -> None:
    """The SDK forgets it as well, and says nothing when it receives the track again."""
    made = channels(Channel.RENDER_HINTS, Channel.TRACK_PRIORITY)
    made.show(RenderHints(id=1, hints=(RenderHint(track=CAMERA, enabled=False),)), RECEIVED, KINDS)
    made.prefer(TrackPriorityWish(track=SCREEN, subscribe=TrackPriority.LOW), RECEIVED)

    assert made.receives(RECEIVED) == ([], False)
    assert made.receives(frozenset({VOICE})) == ([], True)
    assert made.wishes.hints == {}


# --- layers -----------------------------------------------------------------------------------------------------------


def test_layers_are_hinted_with_ids_that_grow() -> None:
    made = listening(Channel.PUBLISHER_HINTS)

    first = made.layers_wanted(CAMERA, (True, False))
    second = made.layers_wanted(CAMERA, None)

    layers = (EncodingHint(layer_index=0, enabled=True), EncodingHint(layer_index=1, enabled=False))
    assert first == [PublisherHints(id=1, hints=(PublisherHint(track=CAMERA, encodings=layers),))]
    assert second == [PublisherHints(id=2, hints=(PublisherHint(track=CAMERA, encodings=None),))]


def test_a_new_connection_is_hinted_anew_what_it_still_publishes() -> None:
    made = listening(Channel.PUBLISHER_HINTS)
    made.layers_wanted(CAMERA, (True,))
    made.layers_wanted(SCREEN, (False,))
    replace_connection(made)
    made.publishes([CAMERA])
    assert made.layers_wanted(CAMERA, (False,)) == []

    (hints,) = made.greet("publisher_hints-2")

    assert isinstance(hints, PublisherHints)
    assert hints.id == 3
    assert [hint.track for hint in hints.hints] == [CAMERA]


def test_layers_that_the_client_forgot_are_not_repeated() -> None:
    made = listening(Channel.PUBLISHER_HINTS)
    made.layers_wanted(CAMERA, (True,))

    made.reset(CAMERA)

    assert made.greet("publisher_hints-1") == []


def test_a_report_is_forgotten_with_its_channel() -> None:
    made = listening(Channel.NETWORK_QUALITY)
    made.report = QualityReport()

    replace_connection(made)

    assert made.report is None


@pytest.mark.parametrize("body", [{"type": "render_hints"}, {"type": "render_hints", "subscriber": {"hints": [3]}}])
def test_hints_without_an_id_cannot_be_answered(body: dict[str, Any]) -> None:
    made = listening(Channel.RENDER_HINTS)

    assert made.read("render_hints-1", json.dumps(body), 0.0) is None
