"""Where a participant is: learnt from authenticated checks alone, moved by a nomination."""

from aioice import stun as aioice_stun

from tests.support.sfu_harness import Harness, Participant, write_rtp
from tests.unit.sfu.test_sfu_packet_path import DELTA, KEYFRAME, VIDEO, VP8, producer_of, subscribe

ELSEWHERE = ("127.0.0.2", 40000)


def check(participant: Participant, address: tuple[str, int], *, nominates: bool, password: str | None = None) -> None:
    """Let a connectivity check of this participant come from an address."""
    connection = participant.connection
    ufrag, right_password = next(iter(connection._passwords.items()))
    message = aioice_stun.Message(
        message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST, transaction_id=b"t" * 12
    )
    message.attributes["USERNAME"] = f"{ufrag}:Bj7u"
    if nominates:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity((password or right_password).encode())
    participant.harness.socket.arriving.append((bytes(message), address))
    participant.harness.run()


def received_at(harness: Harness, address: tuple[str, int]) -> int:
    """Count and forget the media datagrams sent to an address."""
    found = [data for data, to in harness.socket.sent if to == address and 128 <= data[0] < 192]
    harness.socket.sent.clear()
    return len(found)


def test_a_nomination_from_another_address_moves_what_is_sent_and_both_addresses_are_heard() -> None:
    harness = Harness()
    alice, bob = harness.participants(2)
    subscribe(bob, producer_of(alice))
    alice.send(write_rtp(VP8, 1, 0, VIDEO, KEYFRAME))
    assert received_at(harness, bob.address) == 1

    check(bob, ELSEWHERE, nominates=False)
    alice.send(write_rtp(VP8, 2, 3000, VIDEO, DELTA))
    assert received_at(harness, bob.address) == 1
    check(bob, ELSEWHERE, nominates=True)
    alice.send(write_rtp(VP8, 3, 6000, VIDEO, DELTA))

    assert received_at(harness, ELSEWHERE) == 1
    assert harness.port.path.connections[bob.address] is bob.connection
    assert harness.port.path.connections[ELSEWHERE] is bob.connection


def test_a_check_with_a_wrong_password_moves_nothing_and_is_not_answered() -> None:
    harness = Harness()
    [alice] = harness.participants(1)

    check(alice, ELSEWHERE, nominates=True, password="a password that is not ours")

    assert alice.connection.address == alice.address
    assert ELSEWHERE not in harness.port.path.connections
    assert harness.socket.sent == []


def test_addresses_that_are_only_tried_are_forgotten_when_there_are_too_many() -> None:
    harness = Harness()
    [alice] = harness.participants(1)

    for port in range(41000, 41100):
        check(alice, ("127.0.0.3", port), nominates=False)

    assert len(harness.port.path.connections) <= 16
    assert alice.address in harness.port.path.connections


def test_a_connection_that_is_forgotten_answers_no_check() -> None:
    harness = Harness()
    [alice] = harness.participants(1)
    harness.port.forget(alice.connection)

    check(alice, ELSEWHERE, nominates=True)

    assert harness.socket.sent == []
    assert not harness.port.path.connections
