"""All peer connections of a room: what is closed stays closed, and something else takes its place."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from appliance.client import peer_connection, room_media
from appliance.client.local_tracks import LocalTrack
from appliance.client.peer_connection import PeerConnectionSettings
from appliance.client.room_media import RoomMedia
from appliance.errors import MediaConnectionError, RoomError
from appliance.media_engine import Description, DescriptionType, PeerConnectionState
from tests.support.conditions import until


@dataclass
class Told:
    """A RoomMediaListener: what goes to the service, and what the room hears."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    recoveries: int = 0

    def send(self, state: PeerConnectionState) -> None:
        assert state.description is not None
        self.sent.append((state.description.type, state.id))

    def media_changed(self) -> None:
        return

    def media_connected(self) -> None:
        self.recoveries += 1

    def media_failed(self, error: RoomError) -> None:
        self.failures.append(str(error))

    def track_failed(self, track: LocalTrack, error: RoomError) -> None:
        raise AssertionError("there are no tracks here")


def said(kind: DescriptionType, id: str) -> PeerConnectionState:
    return PeerConnectionState(id=id, description=Description(type=kind, revision=1))


async def test_once_closed_neither_the_service_nor_a_late_retry_makes_a_connection() -> None:
    media = RoomMedia(PeerConnectionSettings(), cast(Any, None))
    await media.close()

    media.replace()
    by_service = media.connections
    media.handle(
        [PeerConnectionState(id="new", description=Description(type=DescriptionType.CREATE_OFFER, revision=1))]
    )

    assert (by_service, media.connections) == ((), ())


async def test_an_offer_that_nobody_answers_is_made_again_over_another_connection_with_twice_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(peer_connection, "ANSWER_DEADLINE_S", 0.02)
    monkeypatch.setattr(room_media, "KIOSK_RECONNECT_STEPS_S", (0.0,))
    expect = peer_connection.PeerConnection.expect_answer

    def note(connection: peer_connection.PeerConnection, within_s: float) -> None:
        waits.append(within_s)
        expect(connection, within_s)

    monkeypatch.setattr(peer_connection.PeerConnection, "expect_answer", note)
    told = Told()
    media = RoomMedia(PeerConnectionSettings(), told)

    media.replace()
    await until("three offers", lambda: len(waits) >= 3)
    await media.close()

    assert waits[:3] == [0.02, 0.04, 0.08]
    assert told.failures[:2] == [f"the service answered no offer within {within_s} s" for within_s in (0.02, 0.04)]
    closed = [id for kind, id in told.sent if kind == "close"]
    assert len(set(closed)) == len(waits) - 1


async def test_the_connection_that_the_service_asks_for_takes_the_place_of_one_that_it_did_not_answer() -> None:
    told = Told()
    media = RoomMedia(PeerConnectionSettings(), told)
    media.replace()
    [ours] = media.connections
    await until("our offer", lambda: told.sent == [("offer", ours.id)])

    media.handle([said(DescriptionType.CREATE_OFFER, "theirs")])
    await until("their offer", lambda: told.sent[1:] == [("close", ours.id), ("offer", "theirs")])
    ids = [connection.id for connection in media.connections]
    await media.close()

    assert ids == ["theirs"]
    assert told.failures == []


async def test_one_that_was_given_up_and_makes_it_after_all_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_media, "KIOSK_RECONNECT_STEPS_S", (0.0,))
    told = Told()
    media = RoomMedia(PeerConnectionSettings(), told)
    media.replace()
    [first] = media.connections

    media.failed(first, MediaConnectionError("too late"))
    media.connected(first)
    await until("its offer is out", lambda: told.sent == [("offer", first.id)])
    kept = media.connections
    await media.close()

    assert kept == (first,)
    assert (told.failures, told.recoveries) == (["too late"], 1)


async def test_where_the_service_closes_all_there_is_another_one_is_offered() -> None:
    told = Told()
    media = RoomMedia(PeerConnectionSettings(), told)
    media.replace()
    [first] = media.connections

    media.handle([said(DescriptionType.CLOSE, first.id)])
    assert media.connections == ()
    await until("another", lambda: [kind for kind, id in told.sent if id != first.id] == ["offer"])
    await media.close()


async def test_a_living_connection_that_the_service_closes_is_missed_only_where_none_follows_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_media, "REPLACEMENT_S", 0.0)
    told = Told()
    media = RoomMedia(PeerConnectionSettings(), told)
    media.replace()
    [first] = media.connections
    first.is_connected = True

    media.handle([said(DescriptionType.CLOSE, first.id), said(DescriptionType.CREATE_OFFER, "next")])
    before = list(told.failures)
    await until("it is told", lambda: bool(told.failures))
    await media.close()

    assert (before, told.failures) == ([], ["the service gave the media connection up"])
