"""The request of a status callback, against the vectors of callbacks.md 5.1 and the validator of the library."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from appliance.rooms.callback_request import build_request, read_target, sign

TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://hub.example.com:8443/hooks/rooms?tenant=a%20b"
PARAMS: dict[str, str | int] = {
    "AccountSid": "AC0123456789abcdef0123456789abcdef",
    "RoomName": "lobby",
    "RoomSid": "RM00112233445566778899aabbccddeeff",
    "RoomStatus": "in-progress",
    "RoomType": "group",
    "StatusCallbackEvent": "participant-connected",
    "Timestamp": "2025-10-27T18:16:01.876Z",
    "SequenceNumber": 1,
    "ParticipantSid": "PAffeeddccbbaa99887766554433221100",
    "ParticipantStatus": "connected",
    "ParticipantIdentity": "kiosk 7 é",
}


def request(url: str = URL, method: str = "POST") -> Any:
    return build_request(
        read_target(url), method, PARAMS, auth_token=TOKEN, event_id="EV1", user_agent="room-kiosk/0.1.0"
    )


@pytest.mark.parametrize(
    ("method", "signature"), [("POST", "kinCG2NfYDXfv3lNJdvAvPFEMZ4="), ("GET", "BnHDEpwDhR80nKY6H4LxjcDkhQM=")]
)
def test_the_signature_vectors_hold(method: str, signature: str) -> None:
    assert request(method=method).headers["X-Twilio-Signature"] == signature


def test_the_public_vector_holds() -> None:
    params = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }

    assert sign("12345", "https://example.com/myapp.php?foo=1&bar=2", params) == "L/OH5YylLD5NRKLltdqwSvS0BnU="


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://192.168.1.7/hook",
        "https://hub.example.com",
        "https://hub.example.com?x=1",
        "https://user:pa%20ss@hub.example.com/a/?b=C&a=%C3%A9",
        "https://hub.example.com:443/hook/",
        "http://[fd00::1]:9000/h",
        "https://hub.example.com/hook#rc=2&ct=1000",
    ],
)
def test_the_validator_of_the_library_accepts_every_form_of_address(url: str, method: str) -> None:
    made = request(url, method)
    received = dict(parse_qsl(made.body.decode(), keep_blank_values=True)) if made.body else {}

    assert RequestValidator(TOKEN).validate(made.url, received, made.headers["X-Twilio-Signature"])


def test_a_post_carries_the_parameters_with_percent_20() -> None:
    made = request()

    assert b"ParticipantIdentity=kiosk%207%20%C3%A9" in made.body
    assert made.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=utf-8"


def test_a_get_has_neither_body_nor_content_type() -> None:
    made = request(method="GET")

    assert made.body is None
    assert "Content-Type" not in made.headers
    assert made.url.startswith(URL + "&AccountSid=AC")


def test_an_event_keeps_its_idempotency_token() -> None:
    assert request().headers["I-Twilio-Idempotency-Token"] == "EV1"


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ("https://a.example", "https://a.example/"),
        ("https://a.example?x=1", "https://a.example/?x=1"),
        ("https://A.example/X/../y?b=%7e", "https://A.example/X/../y?b=%7e"),
        ("https://u:p@a.example:8443/x#ct=1", "https://a.example:8443/x"),
        ("https://a.example/x@y", "https://a.example/x@y"),
    ],
)
def test_an_address_is_sent_as_configured_but_for_three_things(configured: str, sent: str) -> None:
    assert read_target(configured).url == sent


def test_user_information_becomes_http_basic() -> None:
    assert read_target("https://user:pa%20ss@a.example/").login == "Basic dXNlcjpwYSBzcw=="


def test_timeouts_in_the_fragment_are_honoured_within_their_limits() -> None:
    target = read_target("https://a.example/#ct=250&rt=20000&tt=abc&rc=3")

    assert (target.connect_timeout_s, target.answer_timeout_s, target.total_timeout_s) == (0.25, 15.0, 15.0)


@pytest.mark.parametrize("configured", ["", "nothing", "https://", "https://user@/x"])
def test_what_is_no_address_is_refused(configured: str) -> None:
    with pytest.raises(ValueError, match="address"):
        read_target(configured)


@pytest.mark.parametrize(
    ("fragment", "cause", "quick"),
    [
        ("rc=3", "ct", 3),
        ("rc=3", "5xx", 0),
        ("rc=5&rp=5xx,rt", "5xx", 5),
        ("rc=5&rp=all", "4xx", 5),
        ("rc=6", "ct", 0),
        ("rp=all", "ct", 0),
        ("rc=2&rp=nonsense", "ct", 2),
    ],
)
def test_overrides_of_retries_are_read_from_the_fragment(fragment: str, cause: str, quick: int) -> None:
    assert read_target(f"https://hub.example.com/x#{fragment}").retries_after(cause) == quick
