"""The engine and real Chromium: what a browser says, decodes and measures."""

import pytest

from appliance.sfu.engine import EmbeddedEngine
from appliance.sids import TrackSid, new_room_sid
from tests.support.conditions import until_told
from tests.support.sfu_browser import BrowserClient, chromium, page_of

pytestmark = pytest.mark.browser


async def frames(client: BrowserClient, sid: TrackSid) -> int:
    return int((await client.inbound(sid)).get("framesDecoded", 0))


async def test_two_pages_see_hear_and_write_to_each_other() -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    room = new_room_sid()
    try:
        async with chromium() as browser, page_of(browser) as first, page_of(browser) as second:
            alice = BrowserClient(engine, room, "alice", first)
            bob = BrowserClient(engine, room, "bob", second)
            await alice.join()
            await bob.join(receive=frozenset(track.sid for track in alice.tracks.values()))
            assert alice.peer is not None
            assert bob.peer is not None
            alice.peer.receive(frozenset(track.sid for track in bob.tracks.values()))
            pairs = ((alice, bob), (bob, alice))

            for client, other in pairs:
                video, audio = other.tracks["video"].sid, other.tracks["audio"].sid

                async def sees(client: BrowserClient = client, sid: TrackSid = video) -> bool:
                    return await frames(client, sid) > 60

                async def hears(client: BrowserClient = client, sid: TrackSid = audio) -> bool:
                    figures = await client.inbound(sid)
                    return figures.get("totalAudioEnergy", 0) > 0 and figures.get("packetsReceived", 0) > 50

                await until_told(f"{client.name} sees {other.name}", sees)
                await until_told(f"{client.name} hears {other.name}", hears)
                await other.send("hello from " + other.name)

                async def reads(client: BrowserClient = client, other: BrowserClient = other) -> bool:
                    return await client.messages(other.tracks["data"].sid) == ["hello from " + other.name]

                await until_told(f"{client.name} reads {other.name}", reads)

            async def estimates_more() -> bool:
                return float((await alice.figures())["available"]) > 500_000  # Chromium begins with 300 kbit/s

            await until_told("transport-cc feedback lets the estimate grow", estimates_more)
            await alice.leave()
            await bob.leave()
            assert not alice.problems
            assert not bob.problems
    finally:
        await engine.close()


async def test_a_page_publishes_more_restarts_ice_and_takes_over_a_section_that_was_left() -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    room = new_room_sid()
    try:
        async with chromium() as browser, page_of(browser) as first, page_of(browser) as second:
            alice = BrowserClient(engine, room, "alice", first)
            bob = BrowserClient(engine, room, "bob", second)
            await alice.join()
            await bob.join(receive=frozenset({alice.tracks["video"].sid}), publish=False)
            assert alice.peer is not None
            assert bob.peer is not None
            await until_told("bob sees alice", lambda: more(bob, alice.tracks["video"].sid, 20))

            await alice.restart_ice()
            seen = await frames(bob, alice.tracks["video"].sid)
            await until_told(
                "bob sees alice after an ICE restart", lambda: more(bob, alice.tracks["video"].sid, seen + 40)
            )

            screen = await alice.publish_again()
            bob.peer.receive(frozenset({alice.tracks["video"].sid, screen}))
            await until_told("bob sees the second track of alice", lambda: more(bob, screen, 20))

            left = bob.mid_for(alice.tracks["video"].sid)
            bob.peer.receive(frozenset({screen}))

            async def let_go() -> bool:
                return bob.peer is not None and set(bob.subscriptions) == {screen} and bob.is_stable()

            await until_told("the first track unsubscribed", let_go)
            bob.peer.receive(frozenset({alice.tracks["video"].sid, screen}))
            await until_told("subscribed again", lambda: bob_has(bob, alice.tracks["video"].sid))
            before = await frames(bob, alice.tracks["video"].sid)
            await until_told("bob sees alice again", lambda: more(bob, alice.tracks["video"].sid, before + 20))
            assert bob.mid_for(alice.tracks["video"].sid) == left
            await alice.leave()
            await bob.leave()
            assert not alice.problems
            assert not bob.problems
    finally:
        await engine.close()


async def bob_has(client: BrowserClient, sid: TrackSid) -> bool:
    return client.mid_for(sid) is not None


async def more(client: BrowserClient, sid: TrackSid, count: int) -> bool:
    return await frames(client, sid) > count
