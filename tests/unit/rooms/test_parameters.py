"""What a request to create a room may say, and the code of each violation (rest.md 6.2)."""

from typing import Any
from urllib.parse import urlencode

import pytest

from appliance.errors import RoomError
from appliance.rooms.parameters import CreationPolicy, Parameters, room_to_create
from appliance.rooms.problems import RestError
from appliance.rooms.room import RoomSettings, RoomType


def create(policy: CreationPolicy | None = None, /, **given: Any) -> tuple[str | None, RoomSettings]:
    return room_to_create(Parameters.parse(urlencode(given, doseq=True)), policy or CreationPolicy())


def code(policy: CreationPolicy | None = None, /, **given: Any) -> int | None:
    try:
        create(policy, **given)
    except (RoomError, RestError) as error:
        return error.code
    return None


def test_without_parameters_the_defaults_hold() -> None:
    assert create() == (None, RoomSettings())


def test_every_parameter_is_taken() -> None:
    name, settings = create(
        UniqueName="lobby",
        Type="group",
        StatusCallback="https://hub.example.com/x",
        StatusCallbackMethod="get",
        MaxParticipants="7",
        MaxParticipantDuration="600",
        EmptyRoomTimeout="60",
        UnusedRoomTimeout="1",
        VideoCodecs=["H264", "VP8", "H264"],
        MediaRegion="de1",
        AudioOnly="FALSE",
        EnableTurn="false",
        LargeRoom="true",
    )

    assert name == "lobby"
    assert settings == RoomSettings(
        max_participants=7,
        max_participant_duration_s=600,
        empty_timeout_min=60,
        unused_timeout_min=1,
        video_codecs=("H264", "VP8"),
        media_region="de1",
        large_room=True,
        status_callback="https://hub.example.com/x",
        status_callback_method="GET",
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"UniqueName": "x" * 128}, None),
        ({"UniqueName": "é" * 129}, 53101),
        ({"UniqueName": "bell\x07"}, 53102),
        ({"UniqueName": b"\xff\xfe"}, 53102),
        ({"UniqueName": "RM" + "0" * 32}, 53100),
        ({"Type": "party"}, 53108),
        ({"StatusCallback": "hub.example.com"}, 53111),
        ({"StatusCallback": "ftp://hub.example.com"}, 53111),
        ({"StatusCallback": "https:///x"}, 53111),
        ({"StatusCallback": "https://h/" + "x" * 1014}, 53111),
        ({"StatusCallback": "https://h/" + "x" * 1013}, None),
        ({"StatusCallback": "https://[::1"}, 53111),
        ({"StatusCallback": "https://h:99999/"}, 53111),
        ({"StatusCallbackMethod": "PUT"}, 53110),
        ({"MaxParticipants": "0"}, 53107),
        ({"MaxParticipants": "51"}, 53107),
        ({"MaxParticipants": "3.0"}, 53107),
        ({"MaxParticipants": "1e1"}, 53107),
        ({"MaxParticipants": "-1"}, 53107),
        ({"MaxParticipants": "٣"}, 53107),
        ({"MaxParticipants": "9" * 5000}, 53107),
        ({"Type": "go", "MaxParticipants": "3"}, 53107),
        ({"MaxParticipantDuration": "599"}, 53123),
        ({"MaxParticipantDuration": "86401"}, 53123),
        ({"EmptyRoomTimeout": "61"}, 53109),
        ({"UnusedRoomTimeout": "0.5"}, 53109),
        ({"VideoCodecs": "AV1"}, 20001),
        ({"MediaRegion": "mars1"}, 53115),
        ({"AudioOnly": "yes"}, 20001),
        ({"AudioOnly": "true", "Type": "go"}, 53124),
        ({"EnableTurn": "1"}, 20001),
        ({"LargeRoom": "maybe"}, 20001),
        ({"RecordParticipantsOnConnect": "true"}, 53122),
        ({"RecordParticipantsOnConnect": "false"}, None),
        ({"RecordingRules": "["}, 53120),
        ({"RecordingRules": "[" * 3000}, 53120),
        ({"RecordingRules": "[]"}, 53120),
        ({"RecordingRules": '[{"type":"exclude","all":"true"}]'}, 53120),
        ({"RecordingRules": '[{"type":"exclude","all":true}]'}, None),
        ({"RecordingRules": '{"rules":[{"type":"include","kind":"audio"}]}'}, 53122),
        ({"TranscribeParticipantsOnConnect": "true"}, 53114),
        ({"UniqueName": "", "Type": ""}, None),
        ({"Unknown": "x"}, None),
        ({"uniquename": "RM" + "0" * 32}, None),
    ],
)
def test_a_violation_has_its_code(given: dict[str, Any], expected: int | None) -> None:
    assert code(**given) == expected


def test_the_first_violation_in_the_order_of_the_table_is_told() -> None:
    assert code(Type="party", MaxParticipants="0", UniqueName="x" * 129) == 53101
    assert code(Type="party", MaxParticipants="0") == 53108
    assert code(RecordParticipantsOnConnect="true", RecordingRules="[") == 53122
    assert code(RecordingRules="[", TranscribeParticipantsOnConnect="true") == 53120


@pytest.mark.parametrize(
    ("kind", "participants", "tracks"),
    [("group", 50, 170), ("group-small", 4, 170), ("peer-to-peer", 10, 0), ("go", 2, 0)],
)
def test_the_type_decides_how_many(kind: str, participants: int, tracks: int) -> None:
    _, settings = create(Type=kind)

    assert (settings.max_participants, settings.max_published_tracks) == (participants, tracks)


def test_an_audio_only_room_has_no_codecs() -> None:
    assert create(AudioOnly="true")[1].video_codecs == ()


def test_legacy_types_can_be_refused() -> None:
    assert code(CreationPolicy(reject_legacy_types=True), Type="go") == 53126
    assert create(Type="go")[1].type is RoomType.GO


def test_unsupported_features_can_be_ignored() -> None:
    policy = CreationPolicy(ignore_unsupported=True)

    assert code(policy, RecordParticipantsOnConnect="true", TranscribeParticipantsOnConnect="true") is None


def test_the_nearest_region_is_the_configured_one() -> None:
    assert create(CreationPolicy(media_region="attic"), MediaRegion="gll")[1].media_region == "attic"


def test_a_scalar_sent_twice_counts_last() -> None:
    assert create(UniqueName=["one", "two"])[0] == "two"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-05-01T10:20:30Z", "2024-05-01T10:20:30+00:00"),
        ("2024-05-01", "2024-05-01T00:00:00+00:00"),
        ("", None),
        ("yesterday", 20001),
        ("2024-05-01T10:20:30+02:00", 20001),
        ("2024-13-01", 20001),
    ],
)
def test_dates_have_two_forms(value: str, expected: Any) -> None:
    given = Parameters.parse(urlencode({"DateCreatedAfter": value}))
    try:
        moment = given.moment("DateCreatedAfter")
        outcome: Any = moment.isoformat() if moment else None
    except RestError as error:
        outcome = error.code

    assert outcome == expected


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(RestError):
        Parameters.parse("&".join(f"a{n}=1" for n in range(1001)))


def test_a_text_to_search_for_must_be_utf_8() -> None:
    with pytest.raises(RestError):
        Parameters.parse("UniqueName=%FF").text("UniqueName")
