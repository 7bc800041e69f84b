"""Data tracks through the engine: aiortc clients on loopback."""

import asyncio
import logging

import pytest

from appliance.media_engine import Connected, TrackFlowing, TrackKind
from tests.support.conditions import until
from tests.support.sfu_clients import SfuClient, Tone, sfu_room


def is_open(client: SfuClient, sid: str) -> bool:
    return client.channel_of(sid).readyState == "open"  # type: ignore[arg-type]


async def test_text_stays_text_and_bytes_stay_bytes_in_both_directions() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        from_alice, from_bob = alice.add_data(), bob.add_data()
        await alice.join(receive=frozenset({from_bob}))
        await bob.join(receive=frozenset({from_alice}))
        await until("both subscribed", lambda: bool(alice.subscriptions) and bool(bob.subscriptions))

        sent = ["hello", b"\x00\xff", "", b"", "größer"]
        for client, sid in ((alice, from_alice), (bob, from_bob)):
            for message in sent:
                client.channel_of(sid).send(message)

        await until("messages at bob", lambda: bob.messages_of(from_alice) == sent)
        await until("messages at alice", lambda: alice.messages_of(from_bob) == sent)
        assert [h.track_sid for h in alice.saw(TrackFlowing)] == [from_alice]


async def test_a_client_without_a_data_section_is_offered_one() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        bob.add_media(Tone(), TrackKind.AUDIO)
        await bob.join()
        await until("bob connected", lambda: bool(bob.saw(Connected)))
        chat = alice.add_data(ordered=False, maxRetransmits=3)
        assert bob.peer is not None
        bob.peer.receive(frozenset({chat}))
        await alice.join()
        await until("bob subscribed", lambda: chat in bob.subscriptions)

        alice.channel_of(chat).send("late but here")

        await until("the message at bob", lambda: bob.messages_of(chat) == ["late but here"])
        channel = bob.channels[bob.subscriptions[chat].id or ""]
        assert (channel.ordered, channel.maxRetransmits, channel.maxPacketLifeTime) == (False, 3, None)


async def test_unsubscribing_closes_the_channel_and_subscribing_again_opens_another() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        chat = alice.add_data(maxPacketLifeTime=500)
        await alice.join()
        await bob.join(receive=frozenset({chat}))
        await until("a channel", lambda: chat in bob.subscriptions and bob.subscriptions[chat].id in bob.channels)
        first = bob.channels[bob.subscriptions[chat].id or ""]
        assert bob.peer is not None

        bob.peer.receive(frozenset())
        await until("the channel closed", lambda: first.readyState == "closed")
        bob.peer.receive(frozenset({chat}))
        await until("another", lambda: chat in bob.subscriptions and bob.subscriptions[chat].id in bob.channels)
        alice.channel_of(chat).send("again")

        await until("the message at bob", lambda: bob.messages_of(chat) == ["again"])
        assert bob.channels[bob.subscriptions[chat].id or ""].maxPacketLifeTime == 500


async def test_a_client_that_hangs_up_without_a_word_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with sfu_room("alice", "bob", "carol") as (alice, bob, carol):
        chat = alice.add_data()
        for client in (alice, bob, carol):
            await client.join(receive=frozenset() if client is alice else frozenset({chat}))
        await until("both subscribed", lambda: chat in bob.subscriptions and chat in carol.subscriptions)
        alice.channel_of(chat).send("first")
        await until("the first message", lambda: bob.messages_of(chat) == carol.messages_of(chat) == ["first"])

        await bob.pc.sctp.transport.stop()  # DTLS says goodbye, SCTP does not: as a page that is closed
        for number in range(20):
            alice.channel_of(chat).send(f"{number}")
            await asyncio.sleep(0.01)

        await until("the last message at carol", lambda: carol.messages_of(chat)[-1] == "19")
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
