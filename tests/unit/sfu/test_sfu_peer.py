"""One participant's exchanges: the client's end is written by hand, nothing goes over a network."""

import re

from appliance.media_engine import (
    Negotiate,
    PeerConnectionState,
    PeerFailed,
    PublishedTrack,
    RoomMediaPolicy,
    TrackFailed,
    TrackKind,
)
from appliance.sids import new_track_sid
from tests.support.sfu_harness import CHROMIUM_OFFER
from tests.support.sfu_table import AUDIO, NO_TRACKS, VIDEO, Table, answer_to, sections, state


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
    assert alice.peer.unusable == {TrackKind.VIDEO}


async def test_kinds_that_the_client_did_not_describe_or_refuses_may_be_usable_yet() -> None:
    alice = Table().seat("PAalice")
    assert alice.peer.unusable == frozenset()

    alice.join((AUDIO,), offer=re.sub(r"m=video 9 (\S+) .*", r"m=video 0 \1 0", CHROMIUM_OFFER))

    assert alice.peer.unusable == frozenset()


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
