"""Who falls silent or answers no offer gets another peer connection, and is given up when that does not help."""

from appliance.media_engine import (
    Description,
    DescriptionType,
    Happening,
    Lost,
    Negotiate,
    PeerFailed,
)
from tests.support.sfu_harness import CHROMIUM_OFFER
from tests.support.sfu_table import AUDIO, NO_TRACKS, VIDEO, Table, answer_to, state


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


async def test_who_lists_another_connection_on_return_has_given_the_one_before_up() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    await alice.told()
    alice.peer.went_away()
    table.now = 2.0

    [answered] = alice.peer.resync((state("offer", 1, CHROMIUM_OFFER, pc="another"),))

    assert answered.id == "another"
    assert answered.description
    assert (answered.description.type, answered.description.revision) == ("answer", 1)
    assert table.router.find(VIDEO.sid) is not None
    await alice.peer.close()


async def test_who_lists_nothing_on_return_keeps_its_connection() -> None:
    alice = Table().seat("PAalice")
    alice.join(offer=CHROMIUM_OFFER)
    await alice.told()
    alice.peer.went_away()

    assert [kept.id for kept in alice.peer.resync(())] == ["pc"]
    await alice.peer.close()


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


async def test_the_farewell_of_a_replaced_connection_says_nothing_of_the_one_that_is_on_its_way() -> None:
    table = Table()
    alice = table.seat("PAalice")
    alice.join((VIDEO,), offer=CHROMIUM_OFFER)
    await alice.told()
    old = alice.peer._connection
    assert old is not None
    alice.peer._patience.heard(1.0)
    table.now = 14.0
    alice.peer.tick(14.0)
    new_id = replacement(await alice.negotiated())
    alice.peer.describe((state("offer", 2, CHROMIUM_OFFER, pc=new_id),))
    await alice.told()

    old._events.ended("DTLS closed by the client")

    assert await alice.told() == []
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
