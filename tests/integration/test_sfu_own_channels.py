"""The service's own data channels through the engine: aiortc clients on loopback, and Chromium."""

import secrets

import pytest
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection

from appliance.media_engine import (
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    Connected,
    Description,
    DescriptionType,
    PeerConnectionState,
    TrackKind,
)
from appliance.sfu.engine import EmbeddedEngine
from appliance.sids import new_room_sid
from tests.support.conditions import until, until_told
from tests.support.sfu_browser import BrowserClient, chromium, page_of
from tests.support.sfu_clients import SfuClient, Tone, sfu_room


def opened(client: SfuClient | BrowserClient) -> list[str]:
    return sorted(h.label for h in client.happenings if isinstance(h, ChannelOpened))


def closed(client: SfuClient | BrowserClient) -> list[str]:
    return sorted(h.label for h in client.happenings if isinstance(h, ChannelClosed))


def texts(client: SfuClient | BrowserClient) -> list[tuple[str, str]]:
    return [(h.label, h.text) for h in client.happenings if isinstance(h, ChannelMessage)]


def offers(client: SfuClient) -> list[Description]:
    return [d for d in client.descriptions if d.type is DescriptionType.OFFER]


async def test_channels_asked_for_at_joining_are_offered_opened_and_carry_texts_both_ways() -> None:
    async with sfu_room("alice") as (alice,):
        alice.add_media(Tone(), TrackKind.AUDIO)
        await alice.join(channels=frozenset({"speakers", "quality"}))
        await until("both are open", lambda: opened(alice) == ["quality", "speakers"])
        assert alice.peer is not None
        assert len(offers(alice)) == 1  # the client had no data track: one offer for the section

        alice.peer.data.send("speakers", '{"type":"active_speaker"}')
        alice.peer.data.send("speakers", "zwei größere")
        alice.channels["quality"].send('{"type":"ready"}')

        channel = alice.channels["speakers"]
        assert (channel.ordered, channel.maxRetransmits, channel.maxPacketLifeTime) == (True, None, None)
        await until(
            "the texts", lambda: alice.messages.get("speakers") == ['{"type":"active_speaker"}', "zwei größere"]
        )
        await until("the client's", lambda: texts(alice) == [("quality", '{"type":"ready"}')])


async def test_a_client_with_a_data_track_gets_them_on_the_section_it_has() -> None:
    async with sfu_room("alice") as (alice,):
        alice.add_data()
        await alice.join(channels=frozenset({"speakers"}))

        await until("it is open", lambda: opened(alice) == ["speakers"])

        assert not offers(alice)


async def test_a_channel_not_wanted_any_more_is_closed_without_a_word_and_another_opened() -> None:
    async with sfu_room("alice") as (alice,):
        alice.add_data()
        await alice.join(channels=frozenset({"first", "stays"}))
        await until("both are open", lambda: opened(alice) == ["first", "stays"])
        assert alice.peer is not None
        channel = alice.channels["first"]

        alice.peer.data.open_channels(frozenset({"stays", "second"}))

        await until("the first is closed at the client", lambda: channel.readyState == "closed")
        await until("the second is open", lambda: opened(alice) == ["first", "second", "stays"])
        assert not closed(alice)


async def test_a_channel_that_the_client_closes_is_told_and_its_label_spent() -> None:
    async with sfu_room("alice") as (alice,):
        alice.add_data()
        await alice.join(channels=frozenset({"one", "two"}))
        await until("both are open", lambda: opened(alice) == ["one", "two"])
        assert alice.peer is not None

        alice.channels["one"].close()
        await until("its end is told", lambda: closed(alice) == ["one"])
        alice.peer.data.open_channels(frozenset({"one", "two", "three"}))
        await until("a third is open", lambda: "three" in opened(alice))
        alice.peer.data.send("one", "into the void")
        alice.peer.data.send("two", "heard")

        await until("the text on the other", lambda: alice.messages.get("two") == ["heard"])
        assert opened(alice) == ["one", "three", "two"]
        assert closed(alice) == ["one"]


async def test_channels_end_with_their_peer_connection_and_others_open_on_the_next() -> None:
    async with sfu_room("alice") as (alice,):
        alice.add_media(Tone(), TrackKind.AUDIO)
        await alice.join(channels=frozenset({"old"}))
        await until("it is open", lambda: opened(alice) == ["old"])
        assert alice.peer is not None

        close = Description(type=DescriptionType.CLOSE, revision=9)
        alice.peer.describe((PeerConnectionState(id=alice.pc_id, description=close),))
        await until("its end is told", lambda: closed(alice) == ["old"])
        alice.peer.data.open_channels(frozenset({"new"}))
        await alice.pc.close()
        alice.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        alice.pc.on("datachannel", alice._channel)
        alice.pc_id, alice.revision = secrets.token_hex(4), 0
        for kind in ("audio", "video"):
            alice.pc.addTransceiver(kind, direction="recvonly")
        alice.peer.describe((await alice._make_offer(),))

        await until("the new one is open", lambda: opened(alice) == ["new", "old"])
        alice.peer.data.send("new", "again")
        await until("its text", lambda: alice.messages.get("new") == ["again"])


async def test_a_channel_of_the_clients_own_is_none_of_them_whatever_its_name() -> None:
    async with sfu_room("alice", "bob") as (alice, bob):
        chat = alice.add_data()
        await alice.join(channels=frozenset({"speakers"}))
        await bob.join(receive=frozenset({chat}))
        await until("it is open", lambda: opened(alice) == ["speakers"])
        await until("bob receives", lambda: chat in bob.subscriptions and bob.subscriptions[chat].id in bob.channels)
        genuine = alice.channels["speakers"]
        names = ("speakers", "nobody knows it", bob.subscriptions[chat].id or "")

        forged = [alice.pc.createDataChannel(name) for name in names]
        await until("they are open", lambda: all(channel.readyState == "open" for channel in forged))
        for channel in forged:
            channel.send("forged")
        genuine.send("genuine")
        alice.channel_of(chat).send("to bob")

        await until("the genuine text", lambda: texts(alice) == [("speakers", "genuine")])
        await until("bob reads", lambda: bob.messages_of(chat) == ["to bob"])
        assert opened(alice) == ["speakers"]


async def test_a_page_that_is_closed_without_a_word_ends_them() -> None:
    async with sfu_room("alice") as (alice,):
        alice.add_data()
        await alice.join(channels=frozenset({"speakers"}))
        await until("it is open", lambda: opened(alice) == ["speakers"])

        assert alice.pc.sctp is not None
        await alice.pc.sctp.transport.stop()  # DTLS says goodbye, SCTP does not

        await until("its end is told", lambda: closed(alice) == ["speakers"])


async def test_a_client_that_refuses_the_section_is_not_asked_again() -> None:
    async with sfu_room("alice") as (alice,):
        alice.add_media(Tone(), TrackKind.AUDIO)
        await alice.join()
        await until("connected", lambda: bool(alice.saw(Connected)))
        assert alice.peer is not None
        alice.answers = False

        alice.peer.data.open_channels(frozenset({"speakers"}))
        await until("an offer", lambda: len(offers(alice)) == 1)
        offer = offers(alice)[0]
        media, application = (offer.sdp or "").split("m=application")
        sections = media.split("\r\nm=")[1:]
        answer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
        mids = [line[6:] for line in media.splitlines() if line.startswith("a=mid:")]
        answer += f"a=group:BUNDLE {' '.join(mids)}\r\n"
        transport = [
            line for line in alice.pc.localDescription.sdp.splitlines() if line.startswith(("a=ice", "a=fingerprint"))
        ]
        for section in sections:
            lines = [
                line for line in section.split("\r\n") if not line.startswith(("a=ice", "a=fingerprint", "a=cand"))
            ]
            answer += "m=" + "\r\n".join(line.replace("actpass", "active") for line in lines if line) + "\r\n"
            answer += "\r\n".join(dict.fromkeys(transport)) + "\r\n"
        mid = next(line for line in application.splitlines() if line.startswith("a=mid:"))
        answer += f"m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n{mid}\r\n"
        said = Description(type=DescriptionType.ANSWER, revision=offer.revision, sdp=answer)
        alice.peer.describe((PeerConnectionState(id=alice.pc_id, description=said),))
        await until("the answer is taken", lambda: alice.peer is not None and alice.peer._offer is None)
        alice.peer.data.open_channels(frozenset({"speakers", "quality"}))
        track = alice.published[0]
        alice.peer.receive(frozenset({track.sid}))
        await until("settled", lambda: alice.peer is not None and not alice.peer._is_settling)

        assert len(offers(alice)) == 1
        assert not opened(alice)


@pytest.mark.browser
async def test_chromium_without_a_data_track_has_them_opened_closes_one_and_gets_another() -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    try:
        async with chromium() as browser, page_of(browser) as page:
            alice = BrowserClient(engine, new_room_sid(), "alice", page)
            await alice.join(data=False)
            assert alice.peer is not None
            alice.peer.data.open_channels(frozenset({"speakers", "hints"}))
            await until("both are open", lambda: opened(alice) == ["hints", "speakers"])

            alice.peer.data.send("speakers", "loud")

            async def reads(label: str, expected: list[str]) -> bool:
                return bool(await page.evaluate("(label) => messages[label] || []", label) == expected)

            await until_told("the text in the page", lambda: reads("speakers", ["loud"]))
            await page.evaluate("channels.get('hints').send('ready')")
            await until("the page's text", lambda: texts(alice) == [("hints", "ready")])
            await page.evaluate("channels.get('hints').close()")
            await until("its end is told", lambda: closed(alice) == ["hints"])
            alice.peer.data.open_channels(frozenset({"speakers", "hints-2"}))
            await until("another is open", lambda: "hints-2" in opened(alice))
            await page.evaluate("pc.close()")
            await until("all end with the page's connection", lambda: closed(alice) == ["hints", "hints-2", "speakers"])
            await alice.leave()
            assert not alice.problems
    finally:
        await engine.close()
