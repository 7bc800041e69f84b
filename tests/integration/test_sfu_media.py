"""Media from one aiortc client to others through the engine, on loopback."""

from appliance.media_engine import Connected, Negotiate, PeerFailed, TrackFlowing, TrackKind
from tests.support.conditions import until
from tests.support.sfu_clients import NumberedVideo, SfuClient, Tone, sfu_room


def sids(client: SfuClient) -> frozenset:
    return frozenset(track.sid for track in client.published)


async def test_a_track_reaches_whoever_joins_later_with_the_first_answer() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        audio, video = alice.add_media(Tone(), TrackKind.AUDIO), alice.add_media(NumberedVideo(), TrackKind.VIDEO)
        await alice.join()
        await until("alice connected", lambda: bool(alice.saw(Connected)))

        await bob.join(receive=frozenset({audio, video}))

        await until("frames at bob", lambda: bob.frames_of(audio) > 20 and bob.frames_of(video) > 20)
        assert [d.type for d in bob.descriptions] == ["answer"]
        assert {h.track_sid for h in alice.saw(TrackFlowing)} == {audio, video}
        assert bob.saw(Negotiate)[0].subscriptions is not None


async def test_those_who_are_there_are_offered_what_a_newcomer_publishes() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        for client in (alice, bob):
            client.add_media(Tone(), TrackKind.AUDIO)
            client.add_media(NumberedVideo(), TrackKind.VIDEO)

        await alice.join(receive=sids(bob))
        await bob.join(receive=sids(alice))

        await until("frames at alice", lambda: all(alice.frames_of(sid) > 20 for sid in sids(bob)))
        await until("frames at bob", lambda: all(bob.frames_of(sid) > 20 for sid in sids(alice)))
        assert [d.type for d in alice.descriptions] == ["answer", "offer"]


async def test_a_track_published_later_is_answered_and_offered_to_the_others() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        alice.add_media(Tone(), TrackKind.AUDIO)
        await bob.join()
        await alice.join()
        await until("both connected", lambda: bool(alice.saw(Connected)) and bool(bob.saw(Connected)))

        screen = alice.add_media(NumberedVideo(), TrackKind.VIDEO)
        assert bob.peer is not None
        bob.peer.receive(frozenset({screen}))
        await alice.offer_again()

        await until("frames of the later track", lambda: bob.frames_of(screen) > 20)


async def test_a_section_goes_through_inactive_before_it_carries_another_track() -> None:
    async with sfu_room("alice", "bob", "carol") as (alice, bob, carol):
        first, second = (client.add_media(NumberedVideo(), TrackKind.VIDEO) for client in (alice, carol))
        await alice.join()
        await carol.join()
        await bob.join(receive=frozenset({first}))
        await until("frames of the first", lambda: bob.frames_of(first) > 5)
        place, first_id = bob.mid_for(first), bob.subscriptions[first].id
        assert bob.peer is not None

        bob.peer.receive(frozenset())
        await until("let go", lambda: not bob.subscriptions and bob.descriptions[-1].type == "offer")
        bob.peer.receive(frozenset({second}))
        await until("frames of the second", lambda: bob.frames_of(second) > 5)
        before = bob.frames_of(second)
        await until("frames of the second go on", lambda: bob.frames_of(second) > before + 20)

        assert bob.mid_for(second) == place
        assert bob.subscriptions[second].id != first_id
        assert not bob.saw(PeerFailed)


async def test_unpublishing_ends_the_subscription_and_leaving_ends_all() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        audio, video = alice.add_media(Tone(), TrackKind.AUDIO), alice.add_media(NumberedVideo(), TrackKind.VIDEO)
        await alice.join()
        await bob.join(receive=frozenset({audio, video}))
        await until("frames at bob", lambda: bob.frames_of(audio) > 5 and bob.frames_of(video) > 5)
        assert alice.peer is not None

        alice.peer.publish([track for track in alice.published if track.sid == audio])
        await until("video unsubscribed", lambda: set(bob.subscriptions) == {audio})
        await alice.peer.close()
        await until("audio unsubscribed", lambda: not bob.subscriptions)


async def test_counters_tell_what_was_published_and_forwarded() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        video = alice.add_media(NumberedVideo(), TrackKind.VIDEO)
        await alice.join()
        await bob.join(receive=frozenset({video}))
        assert alice.peer is not None
        assert bob.peer is not None
        await until("frames at bob", lambda: bob.frames_of(video) > 40)
        await until("a round trip time", lambda: bob.peer is not None and bob.peer.figures().rtt_s is not None)

        sent, got = alice.peer.figures(), bob.peer.figures()

        assert sent.connected
        assert sent.address == "127.0.0.1"
        assert sent.published[video].packets > 40
        assert sent.published[video].bytes > sent.published[video].packets
        assert sent.published[video].lost == 0
        assert 0 < got.packets_forwarded <= sent.published[video].packets + 1
        assert got.rtt_s is not None
        assert got.rtt_s < 1
