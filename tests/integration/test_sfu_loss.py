"""The engine over bad links: a relay of our own loses, delays and reorders media, seeded."""

from appliance.media_engine import Connected, TrackKind
from tests.support.conditions import until
from tests.support.lossy_relay import LossyRelay, Weather
from tests.support.sfu_clients import NumberedVideo, SfuClient, sfu_room


def through(client: SfuClient, relay: LossyRelay) -> None:
    """Let the client believe that the relay is the engine."""
    direct, relayed = f"127.0.0.1 {client.engine.port} ", f"127.0.0.1 {relay.address[1]} "
    client.rewrite = lambda sdp: sdp.replace(direct, relayed)


async def test_five_percent_loss_on_both_hops_is_repaired_by_retransmission() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        server = ("127.0.0.1", alice.engine.port)
        weather = Weather(loss=0.05, delay_s=0.005, reorder=0.02)
        async with LossyRelay(server, weather, seed=7) as up, LossyRelay(server, weather, seed=8) as down:
            through(alice, up)
            through(bob, down)
            source = NumberedVideo(640, 480)
            video = alice.add_media(source, TrackKind.VIDEO)
            await alice.join()
            await until("alice connected", lambda: bool(alice.saw(Connected)))
            await bob.join(receive=frozenset({video}))
            await until("first frames at bob", lambda: bob.frames_of(video) > 10)
            assert alice.peer is not None
            assert bob.peer is not None
            sent, got = source.sent, bob.frames_of(video)
            arrived, forwarded = alice.peer.figures().published[video].packets, bob.peer.figures().packets_forwarded

            await until("eight more seconds of video", lambda: source.sent >= sent + 240)
            await until("both hops have lost some of it", lambda: min(up.up.lost, down.down.lost) > 5)
            await until("nearly all frames decoded", lambda: bob.frames_of(video) - got > 0.9 * (source.sent - sent))

            figures = alice.peer.figures().published[video]
            assert figures.lost < up.up.lost / 2, "most of what was lost on the way up came again"
            assert bob.peer.figures().packets_forwarded - forwarded > (figures.packets - arrived) * 0.9
