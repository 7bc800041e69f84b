"""What the engine measures of a participant's links, over a relay that loses."""

from appliance.media_engine import Connected, Direction, LinkFigures, TrackKind
from tests.support.conditions import until
from tests.support.lossy_relay import LossyRelay, Weather
from tests.support.sfu_clients import NumberedVideo, SfuClient, sfu_room

UP, DOWN = (Direction.SEND, TrackKind.VIDEO), (Direction.RECEIVE, TrackKind.VIDEO)


def link(client: SfuClient, which: tuple[Direction, TrackKind]) -> LinkFigures:
    assert client.peer is not None
    return client.peer.figures().links.get(which, LinkFigures())


async def test_a_lossy_way_down_shows_at_the_receiver_alone_with_rate_and_round_trip() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        server = ("127.0.0.1", alice.engine.port)
        async with LossyRelay(server, Weather(loss=0.15, delay_s=0.02), seed=3) as relay:
            direct, relayed = f"127.0.0.1 {bob.engine.port} ", f"127.0.0.1 {relay.address[1]} "
            bob.rewrite = lambda sdp: sdp.replace(direct, relayed)
            video = alice.add_media(NumberedVideo(640, 480), TrackKind.VIDEO)
            await alice.join()
            await until("alice connected", lambda: bool(alice.saw(Connected)))
            await bob.join(receive=frozenset({video}))

            await until("losses at bob", lambda: link(bob, DOWN).fraction_lost > 0.03)
            await until("a round trip at bob", lambda: (link(bob, DOWN).rtt_s or 0) > 0.02)

            assert link(alice, UP).bitrate_bps > 0
            assert link(alice, UP).fraction_lost == 0
            assert link(alice, UP).available_bps is not None  # aiortc takes REMB: we know what we told it
            assert DOWN not in (alice.peer.figures().links if alice.peer is not None else {})
            await until("the rates agree", lambda: 0.5 < link(bob, DOWN).bitrate_bps / link(alice, UP).bitrate_bps < 2)
