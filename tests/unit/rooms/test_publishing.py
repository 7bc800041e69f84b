"""Which tracks a client may publish."""

from datetime import UTC, datetime
from itertools import count

import pytest

from appliance.media_engine import TrackKind
from appliance.rooms.publishing import PublishingLimits, PublishingOutcome, Track, TrackWish, publish
from appliance.sids import TrackSid

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FREE = PublishingLimits(room_for=None)


def wish(track_id: str, name: str | None = None, kind: TrackKind = TrackKind.AUDIO, enabled: bool = True) -> TrackWish:
    return TrackWish(id=track_id, kind=kind, name=track_id if name is None else name, enabled=enabled)


def published(*wishes: TrackWish, before: tuple[Track, ...] = (), limits: PublishingLimits = FREE) -> PublishingOutcome:
    numbers = count(len(before))
    return publish(before, wishes, limits, NOW, lambda: TrackSid(f"MT{next(numbers)}"))


def codes(outcome: PublishingOutcome) -> dict[str, int]:
    return {client_id: error.code for client_id, error in outcome.refused.items()}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("x" * 128, None),
        ("x" * 129, 53302),
        ("tab\t", 53303),
        ("half \ud83d", 53303),
        ("Küche 🎥", None),
    ],
)
def test_a_name_has_rules(name: str, code: int | None) -> None:
    assert codes(published(wish("1", name))) == ({} if code is None else {"1": code})


def test_a_second_track_of_one_name_is_refused_and_the_first_stays() -> None:
    outcome = published(wish("1", "cam"), wish("2", "cam"))

    assert ([track.client_id for track in outcome.tracks], codes(outcome)) == (["1"], {"2": 53304})


def test_a_name_that_gets_free_in_the_same_list_can_be_used() -> None:
    before = published(wish("1", "cam")).tracks

    outcome = published(wish("2", "cam"), before=before)

    assert ([track.client_id for track in outcome.removed], [track.client_id for track in outcome.added]) == (
        ["1"],
        ["2"],
    )
    assert not outcome.refused


def test_a_track_without_a_name_is_called_by_its_sid() -> None:
    (track,) = published(wish("1", "")).tracks

    assert track.name == track.sid


def test_two_tracks_without_names_do_not_collide() -> None:
    assert not published(wish("1", ""), wish("2", "")).refused


@pytest.mark.parametrize("client_id", ["", "with space", "x" * 257])
def test_an_id_that_could_not_stand_in_sdp_is_refused(client_id: str) -> None:
    assert codes(published(TrackWish(id=client_id, kind=TrackKind.AUDIO, name="mic"))) == {client_id: 53300}


def test_video_is_refused_in_an_audio_only_room_and_the_rest_is_taken() -> None:
    outcome = published(
        wish("1"), wish("2", kind=TrackKind.VIDEO), limits=PublishingLimits(room_for=None, audio_only=True)
    )

    assert (len(outcome.added), codes(outcome)) == (1, {"2": 53125})


def test_what_the_client_can_send_in_no_codec_of_the_room_is_refused_and_the_rest_is_taken() -> None:
    limits = PublishingLimits(room_for=None, unusable=frozenset({TrackKind.VIDEO}))

    outcome = published(wish("1"), wish("2", kind=TrackKind.VIDEO), limits=limits)

    assert (len(outcome.added), codes(outcome)) == (1, {"2": 53404})


def test_a_participant_publishes_sixteen_tracks_at_most() -> None:
    outcome = published(*(wish(str(n)) for n in range(17)))

    assert (len(outcome.tracks), codes(outcome)) == (16, {"16": 53203})


def test_a_removed_track_makes_room_in_a_full_room() -> None:
    before = published(wish("1")).tracks

    outcome = published(wish("2"), before=before, limits=PublishingLimits(room_for=0))

    assert not outcome.refused


def test_a_data_track_cannot_be_disabled() -> None:
    (track,) = published(wish("1", kind=TrackKind.DATA, enabled=False)).tracks

    assert track.enabled


def test_kind_and_name_of_a_published_track_stay() -> None:
    before = published(wish("1", "cam")).tracks

    (track,) = published(wish("1", "other", TrackKind.VIDEO), before=before).tracks

    assert (track.name, track.kind) == ("cam", TrackKind.AUDIO)


def test_of_two_wishes_with_one_id_the_first_counts() -> None:
    outcome = published(wish("1", "first"), wish("1", "second"))

    assert [track.name for track in outcome.tracks] == ["first"]


def test_the_order_of_the_wishes_is_kept() -> None:
    assert [track.client_id for track in published(wish("b"), wish("a"), wish("c")).tracks] == ["b", "a", "c"]
