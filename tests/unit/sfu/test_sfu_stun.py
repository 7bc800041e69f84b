"""Connectivity checks: aioice writes them and reads our answers."""

import pytest
from aioice import stun as aioice_stun

from appliance.sfu.stun import binding_success, read_binding_request

PASSWORD = "our-password-of-24-signs"


def check(*, username: str = "ours:theirs", nominates: bool = False, password: str = PASSWORD) -> bytes:
    message = aioice_stun.Message(
        message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST, transaction_id=b"t" * 12
    )
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 12345
    message.attributes["ICE-CONTROLLING"] = 7
    if nominates:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return bytes(message)


def test_a_check_names_both_user_fragments_and_proves_the_password() -> None:
    request = read_binding_request(check())

    assert request is not None
    assert (request.local_ufrag, request.remote_ufrag, request.nominates) == ("ours", "theirs", False)
    assert request.is_authentic(PASSWORD)
    assert not request.is_authentic("another password of ours")


def test_a_nomination_is_seen() -> None:
    request = read_binding_request(check(nominates=True))

    assert request is not None
    assert request.nominates
    assert request.is_authentic(PASSWORD)


def test_one_changed_bit_makes_a_check_unauthentic() -> None:
    data = bytearray(check())
    data[25] ^= 1  # in the user name

    request = read_binding_request(bytes(data))

    assert request is None or not request.is_authentic(PASSWORD)


@pytest.mark.parametrize("address", [("192.0.2.7", 40255), ("2001:db8::7", 40255), ("127.0.0.1", 9)])
def test_the_answer_tells_the_address_and_is_signed(address: tuple[str, int]) -> None:
    data = binding_success(b"t" * 12, address, PASSWORD)

    answer = aioice_stun.parse_message(data)

    assert answer.check_message_integrity(PASSWORD.encode())
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == address
    assert answer.message_class is aioice_stun.Class.RESPONSE
    assert answer.transaction_id == b"t" * 12


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01\x00\x00",
        check()[:-8],  # the length field disagrees
        check(username="no colon"),
        b"\x01\x01" + check()[2:],  # a response
        check()[:4] + b"\0\0\0\0" + check()[8:],  # no magic cookie
    ],
)
def test_what_is_no_check_is_none(data: bytes) -> None:
    assert read_binding_request(data) is None


def test_what_follows_the_integrity_is_not_believed() -> None:
    plain = check()
    forged = bytearray(plain[:-8] + b"\x00\x25\x00\x00" + plain[-8:])  # USE-CANDIDATE, unsigned
    forged[2:4] = (len(forged) - 20).to_bytes(2, "big")

    request = read_binding_request(bytes(forged))

    assert request is not None
    assert not request.nominates
