"""One participant's exchanges: the client's end is written by hand, nothing goes over a network."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from appliance.media_engine import (
    Description,
    DescriptionType,
    Happening,
    Lost,
    Negotiate,
    PeerConnectionState,
    PeerFailed,
    PublishedTrack,
    RoomMediaPolicy,
    TrackFailed,
    TrackKind,
)
from appliance.sfu.connection import Connection
from appliance.sfu.peer import Peer
from appliance.sfu.router import Router
from appliance.sids import ParticipantSid, TrackSid, new_track_sid
from tests.support.sfu_harness import CERTIFICATE, CHROMIUM_OFFER, Harness

NO_TRACKS = CHROMIUM_OFFER.replace("a=sendrecv", "a=recvonly")
AUDIO = PublishedTrack(sid=new_track_sid(), client_id="aud-a", kind=TrackKind.AUDIO)
VIDEO = PublishedTrack(sid=new_track_sid(), client_id="vid-a", kind=TrackKind.VIDEO)


def state(kind: str, revision: int, sdp: str | None = None, pc: str = "pc") -> PeerConnectionState:
    return PeerConnectionState(id=pc, description=Description(type=DescriptionType(kind), revision=revision, sdp=sdp))


@dataclass
class Table:
    """A room and its members on a network of lists."""

    harness: Harness = field(default_factory=Harness)
    router: Router = field(default_factory=Router)
    now: float = 0.0

    def seat(self, name: str, policy: RoomMediaPolicy | None = None) -> "Seat":
        seat = Seat(name)
        seat.peer = Peer(
            ParticipantSid(name),
            self.router,
            policy or RoomMediaPolicy(),
            seat.happenings.append,
            lambda policy, events: Connection(self.harness.port, CERTIFICATE, policy, events, Random(1)),
            lambda: self.now,
            lambda peer: None,
        )
        self.router.enter(seat.peer)
        return seat


@dataclass
class Seat:
    name: str
    happenings: list[Happening] = field(default_factory=list)
    peer: Peer = field(init=False)

    async def told(self) -> list[Happening]:
        """Return and forget what was told, when the loop has come to rest."""
        for _ in range(6):
            await asyncio.sleep(0)
        told, self.happenings[:] = list(self.happenings), []
        return told

    async def negotiated(self) -> Negotiate:
        [happening] = await self.told()
        assert isinstance(happening, Negotiate)
        return happening

    def join(
        self, tracks: Sequence[PublishedTrack] = (), want: Sequence[TrackSid] = (), offer: str = NO_TRACKS
    ) -> None:
        self.peer.publish(tracks)
        self.peer.receive(frozenset(want))
        self.peer.describe((state("offer", 1, offer),))


def sections(negotiate: Negotiate) -> list[str]:
    """Return the sections of the one description in it."""
    [entry] = negotiate.peer_connections
    assert entry.description is not None
    assert entry.description.sdp is not None
    return re.split(r"\r\n(?=m=)", entry.description.sdp)[1:]


def answer_to(negotiate: Negotiate, direction: str = "recvonly") -> PeerConnectionState:
    """Answer an offer as a browser would: our directions turned round, in the new sections `direction`."""
    [entry] = negotiate.peer_connections
    assert entry.description is not None
    turned = {"sendonly": direction, "recvonly": "sendonly", "sendrecv": "sendrecv", "inactive": "inactive"}
    lines = [
        "a=" + turned[line[2:]] if line[2:] in turned else line
        for line in (entry.description.sdp or "").split("\r\n")
        if not line.startswith(("a=ssrc", "a=msid:", "a=candidate"))
    ]
    return state("answer", entry.description.revision, "\r\n".join(lines))


async def test_the_first_offer_is_answered_with_its_revision_and_serves_who_is_there_already() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    alice.join((AUDIO, VIDEO), offer=CHROMIUM_OFFER)
    await alice.told()

    bob.join(want=(AUDIO.sid, VIDEO.sid))

    told = await bob.negotiated()
    [entry] = told.peer_connections
    assert entry.id == "pc"
    assert entry.description is not None
    assert (entry.description.type, entry.description.revision) == ("answer", 1)
    assert told.subscriptions is not None
    ids = {entry.track_sid: entry.id for entry in told.subscriptions}
    audio, video, _ = sections(told)
    assert f"a=msid:PAalice {ids[AUDIO.sid]}" in audio
    assert f"a=msid:PAalice {ids[VIDEO.sid]}" in video
    assert "a=sendonly" in video
    assert "a=setup:passive" in video


async def test_those_who_are_there_get_an_offer_with_the_clients_numbers() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    bob.join(want=(VIDEO.sid,), offer=CHROMIUM_OFFER.replace("a=sendrecv", "a=sendonly"))
    await bob.told()

    alice.join((VIDEO,), offer=CHROMIUM_OFFER)

    told = await bob.negotiated()
    [entry] = told.peer_connections
    assert entry.description is not None
    assert (entry.description.type, entry.description.revision) == ("offer", 2)
    assert "a=setup:actpass" in sections(told)[1]
    assert "a=rtpmap:96 VP8/90000" in sections(told)[1]
    assert "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid" in sections(told)[1]


async def test_while_our_offer_is_open_the_clients_is_ignored_and_made_again() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    bob.join(want=(VIDEO.sid,))
    await bob.told()
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    offer = await bob.negotiated()

    bob.peer.describe((state("offer", 2, NO_TRACKS),))
    assert await bob.told() == []
    bob.peer.describe((answer_to(offer),))
    bob.peer.describe((state("offer", 3, NO_TRACKS),))

    [entry] = (await bob.negotiated()).peer_connections
    assert entry.description is not None
    assert (entry.description.type, entry.description.revision) == ("answer", 3)


async def test_changes_during_an_exchange_wait_and_come_together_after_it() -> None:
    table = Table()
    alice, bob, carol = (table.seat(f"PA{name}") for name in ("alice", "bob", "carol"))
    other = PublishedTrack(sid=new_track_sid(), client_id="vid-a", kind=TrackKind.VIDEO)
    bob.join(want=(VIDEO.sid, other.sid, AUDIO.sid))
    await bob.told()
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    first = await bob.negotiated()

    carol.join((other,), offer=CHROMIUM_OFFER)
    alice.peer.publish((VIDEO, AUDIO))
    assert await bob.told() == []
    bob.peer.describe((answer_to(first),))

    second = await bob.negotiated()
    assert second.subscriptions is not None
    assert {entry.track_sid for entry in second.subscriptions} == {VIDEO.sid, other.sid, AUDIO.sid}
    assert len(sections(second)) == 4


async def test_a_section_is_inactive_for_one_exchange_before_it_gets_another_track() -> None:
    table = Table()
    alice, bob, carol = (table.seat(f"PA{name}") for name in ("alice", "bob", "carol"))
    other = PublishedTrack(sid=new_track_sid(), client_id="vid-a", kind=TrackKind.VIDEO)
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    carol.join((other,), offer=CHROMIUM_OFFER)
    bob.join(want=(VIDEO.sid,))
    ssrc = re.findall(r"a=ssrc:(\d+)", sections(await bob.negotiated())[1])[0]

    bob.peer.receive(frozenset((other.sid,)))
    moved = await bob.negotiated()
    assert "a=inactive" in sections(moved)[1]
    assert "a=sendonly" in sections(moved)[3]
    bob.peer.describe((answer_to(moved),))
    await bob.told()
    bob.peer.receive(frozenset((other.sid, VIDEO.sid)))

    back = await bob.negotiated()
    assert "a=sendonly" in sections(back)[1]
    # Chromium shows nothing of a stream that comes back under the SSRC it had before.
    assert f"a=ssrc:{ssrc} " not in sections(back)[1]
    assert len(sections(back)) == 4


async def test_an_unsubscription_is_told_at_once_even_while_an_exchange_runs() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    bob.join(want=(VIDEO.sid,))
    await bob.told()
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    await bob.told()

    alice.peer.publish(())

    told = await bob.negotiated()
    assert told == Negotiate(subscriptions=())


async def test_a_section_that_the_client_refuses_is_not_used_again_and_in_the_end_the_track_is_given_up() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    bob.join(want=(VIDEO.sid,))
    await bob.told()
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)

    first = await bob.negotiated()
    bob.peer.describe((answer_to(first, direction="inactive"),))
    bob_told = await bob.told()
    second = next(h for h in bob_told if isinstance(h, Negotiate) and h.peer_connections)
    bob.peer.describe((answer_to(second, direction="inactive"),))

    last = [h for h in await bob.told() if isinstance(h, Negotiate) and h.subscriptions][-1]
    assert last.subscriptions is not None
    assert [(entry.id, entry.error_code) for entry in last.subscriptions] == [(None, 53404)]


async def test_an_unusable_description_fails_the_participant_with_the_reason() -> None:
    alice = Table().seat("PAalice")

    alice.join(offer="v=0\r\n")

    [failed] = await alice.told()
    assert isinstance(failed, PeerFailed)
    assert failed.code == 53403
    assert "media section" in failed.message


async def test_a_track_whose_codecs_we_do_not_know_fails_alone() -> None:
    alice = Table().seat("PAalice", RoomMediaPolicy(video_codecs=("AV1",)))

    alice.join((AUDIO, VIDEO), offer=CHROMIUM_OFFER)

    told = await alice.told()
    assert [h for h in told if isinstance(h, TrackFailed)] == [
        TrackFailed(track_sid=VIDEO.sid, code=53404, message="No supported codec")
    ]
    [answer] = [h for h in told if isinstance(h, Negotiate)]
    assert sections(answer)[1].startswith("m=video 0 ")


async def test_in_an_audio_only_room_no_video_is_taken_in() -> None:
    table = Table()
    alice = table.seat("PAalice", RoomMediaPolicy(audio_only=True))

    alice.join((AUDIO, VIDEO), offer=CHROMIUM_OFFER)

    assert "a=inactive" in sections(await alice.negotiated())[1]
    assert table.router.find(VIDEO.sid) is None
    assert table.router.find(AUDIO.sid) is not None


async def test_a_reused_section_carries_the_track_that_the_client_names_now() -> None:
    table = Table()
    alice = table.seat("PAalice")
    later = PublishedTrack(sid=new_track_sid(), client_id="scr-a", kind=TrackKind.VIDEO)
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    await alice.told()

    alice.peer.publish((later,))
    alice.peer.describe((state("offer", 2, CHROMIUM_OFFER.replace("vid-a", "scr-a")),))

    producer = table.router.find(later.sid)
    assert producer is not None
    assert [stream.ssrc for stream in producer.streams] == [2001]
    assert producer.streams[0].producer is producer
    assert table.router.find(VIDEO.sid) is None


async def test_a_restart_of_ice_is_answered_with_new_credentials_and_the_old_ones_stay_valid() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join(offer=CHROMIUM_OFFER)
    first = re.findall("a=ice-ufrag:(.*)\r", sections(await alice.negotiated())[0])[0]

    alice.peer.describe((state("offer", 2, CHROMIUM_OFFER.replace("Bj7u", "New1")),))

    second = re.findall("a=ice-ufrag:(.*)\r", sections(await alice.negotiated())[0])[0]
    connection = alice.peer._connection
    assert connection is not None
    assert second != first
    assert connection.password_of(first)
    assert connection.password_of(second)


async def test_after_a_lost_socket_an_open_offer_is_repeated_and_an_answered_one_answered_again() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    bob.join(want=(VIDEO.sid,))
    answered = await bob.negotiated()
    assert bob.peer.resync((state("offer", 1, NO_TRACKS),)) == answered.peer_connections
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    offered = await bob.negotiated()

    assert bob.peer.resync((state("offer", 1, NO_TRACKS),)) == offered.peer_connections
    assert bob.peer.resync((answer_to(offered),)) == (PeerConnectionState(id="pc"),)
    assert await bob.told() == []


async def test_a_client_that_replaces_its_peer_connection_gets_its_tracks_on_the_new_one() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    bob.join(want=(VIDEO.sid,))
    before = await bob.negotiated()

    bob.peer.describe((state("close", 2), state("offer", 1, NO_TRACKS, pc="pc2")))

    after = await bob.negotiated()
    assert [entry.id for entry in after.peer_connections] == ["pc2"]
    assert after.subscriptions is not None
    assert before.subscriptions is not None
    assert after.subscriptions[0].id != before.subscriptions[0].id
    bob.peer.describe((state("offer", 5, NO_TRACKS),))
    assert await bob.told() == []
    await bob.peer.close()


def replacement(negotiate: Negotiate) -> str:
    """Return the id of the peer connection that is asked for in place of `pc`, which is closed in the same message."""
    close, request = negotiate.peer_connections
    assert (close.id, close.description and close.description.type) == ("pc", DescriptionType.CLOSE)
    assert request.description == Description(type=DescriptionType.CREATE_OFFER, revision=1)
    return request.id


async def test_thirty_silent_seconds_are_the_end_and_told_once() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join()
    await alice.told()

    alice.peer.tick(29)
    assert not [h for h in await alice.told() if isinstance(h, Lost)]
    alice.peer.tick(31)
    alice.peer.tick(32)

    assert await alice.told() == [Lost(reason="silent for 31 s")]
    await alice.peer.close()


async def test_a_client_that_never_answers_an_offer_gets_another_connection_with_all_that_it_wants() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    bob.join(want=(VIDEO.sid,))
    await bob.told()
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    offered = await bob.negotiated()

    bob.peer.tick(7.0)
    assert await bob.told() == []
    table.now = 9.0
    bob.peer.tick(9.0)

    told = await bob.negotiated()
    new_id = replacement(told)
    assert told.subscriptions == ()
    bob.peer.describe((answer_to(offered),))
    bob.peer.describe((state("offer", 3, NO_TRACKS),))
    assert await bob.told() == [], "what is said of the old connection does not matter any more"
    bob.peer.describe((state("offer", 2, NO_TRACKS, pc=new_id),))
    [answer] = (await bob.negotiated()).peer_connections
    assert answer.id == new_id
    assert answer.description
    assert (answer.description.type, answer.description.revision) == ("answer", 2)
    assert "a=sendonly" in (answer.description.sdp or "")
    await bob.peer.close()


async def test_who_answers_no_offer_on_any_connection_is_told_53402() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    bob.join()
    await bob.told()
    alice.join((VIDEO, AUDIO), offer=CHROMIUM_OFFER)
    told: list[Happening] = []
    pc, revision = "pc", 1
    for _ in range(3):
        bob.peer.receive(frozenset((VIDEO.sid,)))
        told += await bob.told()
        table.now += 40
        bob.peer._patience.heard(table.now)
        bob.peer.tick(table.now)
        for happening in await bob.told():
            told.append(happening)
            for entry in happening.peer_connections if isinstance(happening, Negotiate) else ():
                if entry.description and entry.description.type is DescriptionType.CREATE_OFFER:
                    pc, revision = entry.id, 2
                    bob.peer.receive(frozenset())
                    bob.peer.describe((state("offer", revision, NO_TRACKS, pc=pc),))

    assert [h.code for h in told if isinstance(h, PeerFailed)] == [53402]
    await bob.peer.close()


async def test_a_transport_that_is_silent_while_the_signaling_lives_is_replaced_once() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    await alice.told()
    alice.peer._patience.heard(1.0)
    table.now = 14.0

    alice.peer.tick(14.0)
    alice.peer.tick(15.0)

    new_id = replacement(await alice.negotiated())
    assert table.router.find(VIDEO.sid) is None
    alice.peer.describe((state("offer", 2, CHROMIUM_OFFER, pc=new_id),))
    assert table.router.find(VIDEO.sid) is not None
    await alice.peer.close()


async def test_who_takes_another_path_by_itself_is_not_asked_for_one() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    await alice.told()
    alice.peer._patience.heard(1.0)
    table.now = 9.0
    alice.peer.describe((state("offer", 2, CHROMIUM_OFFER.replace("Bj7u", "New1")),))
    await alice.told()

    table.now = 20.0
    alice.peer.tick(20.0)

    assert await alice.told() == []


async def test_whose_signaling_is_away_is_neither_replaced_nor_given_up_and_gets_a_new_connection_on_return() -> None:
    table = Table()
    alice, bob = table.seat("PAalice"), table.seat("PAbob")
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    bob.join(want=(VIDEO.sid,))
    await bob.told()

    bob.peer.went_away()
    for seconds in (10, 20, 50):
        bob.peer.tick(seconds)
    assert await bob.told() == []
    table.now = 50.0
    [asked] = bob.peer.resync((state("offer", 1, NO_TRACKS),))

    assert asked.id != "pc"
    assert asked.description == Description(type=DescriptionType.CREATE_OFFER, revision=1)
    assert (await bob.negotiated()).subscriptions == ()
    bob.peer.describe((state("offer", 2, NO_TRACKS, pc=asked.id),))
    assert (await bob.negotiated()).subscriptions
    await bob.peer.close()


async def test_who_restarts_ice_on_return_keeps_its_connection() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join(offer=CHROMIUM_OFFER)
    await alice.told()
    alice.peer.went_away()
    table.now = 20.0

    [answered] = alice.peer.resync((state("offer", 2, CHROMIUM_OFFER.replace("Bj7u", "New1")),))

    assert answered.id == "pc"
    assert answered.description
    assert (answered.description.type, answered.description.revision) == ("answer", 2)


async def test_a_second_peer_connection_beside_a_living_one_is_ignored() -> None:
    alice = Table().seat("PAalice")
    alice.join(offer=CHROMIUM_OFFER)
    await alice.told()

    alice.peer.describe((state("offer", 1, CHROMIUM_OFFER, pc="stranger"), state("close", 9, pc="unheard-of")))
    alice.peer.describe((state("answer", 1, CHROMIUM_OFFER, pc="stranger"),))

    assert await alice.told() == []


async def test_who_closed_its_connection_and_makes_none_is_asked_for_one() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join(offer=CHROMIUM_OFFER)
    await alice.told()
    alice.peer._patience.heard(1.0)
    alice.peer.describe((state("close", 2),))
    assert await alice.told() == []
    table.now = 14.0

    alice.peer.tick(14.0)

    [asked] = (await alice.negotiated()).peer_connections
    assert asked.description == Description(type=DescriptionType.CREATE_OFFER, revision=1)
    assert asked.id != "pc"
    await alice.peer.close()


async def test_a_handshake_that_fails_ends_the_stay_with_53407_and_a_farewell_does_not() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join(offer=CHROMIUM_OFFER)
    await alice.told()

    alice.peer._ended("DTLS: certificate does not match")
    assert await alice.told() == [PeerFailed(code=53407, message="DTLS: certificate does not match")]

    connection = alice.peer._connection
    assert connection is not None
    connection.srtp_send = object()  # it had been up
    alice.peer._ended("DTLS: closed")
    assert await alice.told() == []
