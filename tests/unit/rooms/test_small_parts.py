"""Deadlines, names, scopes, addresses, invitations, credentials, passwords: small rules, one by one."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import AccessTokenGrantsInvalidError, ConfigurationError, RoomError
from appliance.rooms.addresses import base_url
from appliance.rooms.authentication import FailureCount, read_basic
from appliance.rooms.credentials import FILE_NAME, Credentials, load, load_or_make
from appliance.rooms.deadlines import room_deadline, stays_over
from appliance.rooms.events import EndReason, LeaveReason
from appliance.rooms.ice import TurnServer
from appliance.rooms.invitations import Invitation, read_invitation, write_invitation
from appliance.rooms.key_ring import KeyRing
from appliance.rooms.problems import RestError
from appliance.rooms.room import Participant, Room, RoomSettings, create_room
from appliance.rooms.room_names import check_room_name, check_scope, wanted_room
from appliance.rooms.settings import RoomsSettings
from appliance.settings import parse_settings
from appliance.sids import AccountSid, KeySid, ParticipantSid, RoomSid
from appliance.tokens import AccessToken, KeyKind
from tests.support.manual_clock import ManualClock

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACCOUNT = AccountSid("AC" + "0" * 32)
SID = RoomSid("RM" + "1" * 32)


def new_room(ad_hoc: bool = False) -> Room:
    return create_room(SID, ACCOUNT, "lobby", RoomSettings(), NOON, ad_hoc=ad_hoc).room


def ann() -> Participant:
    return Participant(sid=ParticipantSid("PA1"), identity="ann", key_sid=KeySid("SK1"), started=NOON, updated=NOON)


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_a_room_that_nobody_joins_ends_unused() -> None:
    deadline = room_deadline(new_room())

    assert (deadline.at, deadline.reason) == (NOON + timedelta(minutes=5), EndReason.UNUSED_TIMEOUT)


def test_a_room_ends_some_time_after_the_last_one_left() -> None:
    room = new_room().join(ann(), NOON).room
    left = NOON + timedelta(hours=1)

    deadline = room_deadline(room.disconnect(room.participants[0], LeaveReason.LEFT, left).room)

    assert (deadline.at, deadline.reason) == (left + timedelta(minutes=5), EndReason.EMPTY_TIMEOUT)


def test_somebody_inside_keeps_a_room_until_it_is_a_day_old() -> None:
    deadline = room_deadline(new_room().join(ann(), NOON).room)

    assert (deadline.at, deadline.reason) == (NOON + timedelta(hours=24), EndReason.MAX_AGE)


def test_coming_back_cancels_the_empty_timeout() -> None:
    room = new_room().join(ann(), NOON).room
    room = room.disconnect(room.participants[0], LeaveReason.LEFT, NOON).room

    assert room_deadline(room.join(ann(), NOON).room).reason is EndReason.MAX_AGE


def test_a_stay_is_over_when_the_room_says_so() -> None:
    room = new_room().join(ann(), NOON).room
    longest = timedelta(seconds=room.settings.max_participant_duration_s)

    assert stays_over(room, NOON + longest - timedelta(seconds=1)) == ()
    assert [each.identity for each in stays_over(room, NOON + longest)] == ["ann"]


# --- names and scopes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"), [("lobby", None), ("", 53100), ("x" * 129, 53101), ("a\nb", 53102), ("RM" + "f" * 32, 53100)]
)
def test_room_names_have_rules(name: str, code: int | None) -> None:
    try:
        check_room_name(name)
        outcome = None
    except RoomError as error:
        outcome = error.code
    assert outcome == code


def token(room: str | None) -> AccessToken:
    return AccessToken(key_sid=KeySid("SK1"), account_sid=ACCOUNT, identity="ann", room=room, expires_at=0)


def test_a_client_that_asks_for_nothing_gets_the_room_of_its_token() -> None:
    assert [wanted_room(token("lobby"), None), wanted_room(token("lobby"), "hall"), wanted_room(token(None), "")] == [
        "lobby",
        "hall",
        None,
    ]


@pytest.mark.parametrize(
    ("grant", "wanted", "found", "allowed"),
    [
        (None, "anything", False, True),
        ("lobby", "lobby", False, True),
        ("lobby", SID, True, True),
        ("lobby", "hall", False, False),
        ("lobby", "RM" + "2" * 32, False, False),
        (SID, "lobby", True, True),
        (SID, SID, True, True),
        ("RM" + "2" * 32, "lobby", True, False),
        (SID, "lobby", False, True),
    ],
)
def test_a_token_reaches_what_its_grant_says(grant: str | None, wanted: str, found: bool, allowed: bool) -> None:
    status = None
    try:
        check_scope(token(grant), wanted, new_room() if found else None)
    except AccessTokenGrantsInvalidError as error:
        status = error.http_status
    assert status == (None if allowed else 403)


# --- addresses --------------------------------------------------------------------------------------------------------

PROXY = (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("headers", "peer", "expected"),
    [
        ({"Host": "hub.example:8080"}, "1.2.3.4", "http://hub.example:8080"),
        ({"Host": "[fd00::1]:8080"}, "1.2.3.4", "http://[fd00::1]:8080"),
        ({"Host": "in", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "out"}, "10.1.1.1", "https://out"),
        ({"Host": "in", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "out"}, "1.2.3.4", "http://in"),
        ({"Host": "in", "Forwarded": 'for=x;proto=https;host="out:1"'}, "::ffff:10.1.1.1", "https://out:1"),
    ],
)
def test_the_address_of_the_service(headers: dict[str, str], peer: str, expected: str) -> None:
    assert base_url("http", headers, peer=peer, trusted_proxies=PROXY) == expected


def test_a_configured_address_wins() -> None:
    assert base_url("http", {"Host": "x"}, peer=None, public_base_url="https://a.example/v/") == "https://a.example/v"


@pytest.mark.parametrize("host", ["", "a b", "evil.example/path", "a@b", "[::1", "a:b"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(RestError) as caught:
        base_url("http", {"Host": host}, peer="1.2.3.4")
    assert caught.value.code == 20001


# --- invitations ------------------------------------------------------------------------------------------------------

SECRET = b"service secret"


def refusal(text: object, room: str = "lobby", now: float = 50) -> tuple[int, Any]:
    with pytest.raises(RestError) as caught:
        read_invitation(text, room, SECRET, now)
    assert caught.value.details
    return caught.value.status, caught.value.details["reason"]


def test_an_invitation_opens_its_room_until_it_expires() -> None:
    text = write_invitation(Invitation(room="Küche 1", expires_at=100), SECRET)

    assert read_invitation(text, "Küche 1", SECRET, now=99.9).room == "Küche 1"
    assert refusal(text, "Küche 1", now=100) == (410, "expired")
    assert refusal(text, "other") == (403, "other_room")


@pytest.mark.parametrize("text", [None, "", 7, "not base64!", "AAAA", "x" * 5000])
def test_what_is_no_invitation_is_refused(text: object) -> None:
    assert refusal(text) == (403, "invalid")


def test_a_changed_invitation_is_refused() -> None:
    text = write_invitation(Invitation(room="lobby", expires_at=100), SECRET)
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert refusal(changed) == (403, "invalid")


# --- credentials and passwords ----------------------------------------------------------------------------------------


def test_credentials_are_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    made, is_new = load_or_make(tmp_path / "state")
    again, is_new_again = load_or_make(tmp_path / "state")

    assert (made, is_new, is_new_again) == (again, True, False)
    assert (tmp_path / "state" / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert made.api_key_secret not in repr(made)


def test_credentials_that_others_can_read_are_refused(tmp_path: Path) -> None:
    load_or_make(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o644)

    with pytest.raises(ConfigurationError, match=r"readable by others \(mode 0644\); expected 0600"):
        load_or_make(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"account_sid": "AC1"}', "{" * 5000])
def test_damaged_credentials_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(ConfigurationError, match="damaged"):
        load(path)


def test_the_auth_token_and_the_key_open_the_account() -> None:
    keys = Credentials.new()

    ring = KeyRing(keys, ManualClock())
    assert ring.kind_of(keys.account_sid, keys.auth_token) is KeyKind.MAIN
    assert ring.kind_of(keys.api_key_sid, keys.api_key_secret) is KeyKind.STANDARD
    assert ring.kind_of(keys.account_sid, keys.api_key_secret) is None
    assert ring.kind_of(keys.api_key_sid, keys.auth_token) is None
    assert ring.kind_of("AC" + "0" * 32, keys.auth_token) is None


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (basic(b"user:pa:ss"), ("user", "pa:ss")),
        (basic(b"user:pass").replace("Basic", "basic"), ("user", "pass")),
        (None, None),
        ("", None),
        ("Bearer abc", None),
        ("Basic", None),
        ("Basic %%%", None),
        (basic(b"\xff\xff:x"), None),
        (basic(b"no colon"), None),
    ],
)
def test_basic_authentication_is_read(header: str | None, expected: tuple[str, str] | None) -> None:
    assert read_basic(header) == expected


def test_twenty_failures_in_a_minute_are_too_many_of_one_address() -> None:
    failures = FailureCount()

    assert [failures.note("a", now=n) for n in range(21)] == [False] * 20 + [True]
    assert not failures.note("b", now=21)
    assert not failures.note("a", now=90)


def test_turn_credentials_are_those_of_coturn() -> None:
    server = TurnServer(urls=("turn:t.example",), secret="s").for_client("ann", now=1000)

    digest = hmac.new(b"s", b"87400:ann", hashlib.sha1).digest()
    assert (server.username, server.credential) == ("87400:ann", base64.b64encode(digest).decode())


# --- rooms.toml -------------------------------------------------------------------------------------------------------


def settings(text: str) -> RoomsSettings:
    return parse_settings(RoomsSettings, [("rooms.toml", text)])


def test_an_empty_file_gives_the_documented_defaults() -> None:
    assert settings("") == RoomsSettings()
    assert (RoomsSettings().server.http, RoomsSettings().media.port) == ("127.0.0.1:8080", 8444)


def test_defaults_of_ad_hoc_rooms_are_taken() -> None:
    made = settings('[rooms.defaults]\nstatus_callback = "http://h/x"\nmax_participants = 3').rooms.ad_hoc_settings()

    assert (made.status_callback, made.max_participants, made.empty_timeout_min) == ("http://h/x", 3, 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('server.http = "8080"', "rooms.toml:1: server.http"),
        ('server.http = "1.2.3.4:70000"', "a port is at most 65535"),
        ('server.http = ""\nserver.https = ""', "http and https cannot both be off"),
        ('server.certificate = "/x"', "certificate and key are set together"),
        ('server.trusted_proxies = ["x"]', "'x' is no address or network"),
        ("server.htp = 1", "rooms.toml:1: server.htp: unknown key; did you mean server.http?"),
        ("rooms.max_rooms = 0", "must be between 1 and 1000000"),
        ('rooms.defaults.type = "go"\nrooms.defaults.max_participants = 3', "a room of type go holds at most 2"),
        ('rooms.defaults.status_callback = "x"', "must be an absolute http or https address"),
        ("tokens.leeway_s = 301", "must be between 0 and 300"),
        ('media.engine = "livekit"', "must be one of embedded"),
        ('media.advertised_addresses = ["host.example"]', "is no IP address"),
        ('media.turn_urls = ["turn:x"]', "needs turn_secret_file"),
        ('mqtt.url = "mqtt://user:pw@host"', 'mqtt.url = "mqtt://...": must be'),
        ('mqtt.prefix = "/a"', "must be topic levels"),
        ('mqtt.prefix = "a/+"', "must be topic levels"),
        ('store.url = "mysql://x"', "unknown store"),
        ('callbacks.deny = ["300.0.0.0/8"]', "is no address or network"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(text)

    assert problem in str(caught.value)
    assert str(caught.value).startswith("rooms.toml:")


def test_a_changed_ad_hoc_default_does_not_touch_the_rest() -> None:
    changed = settings("rooms.defaults.audio_only = true")

    assert replace(changed, rooms=RoomsSettings().rooms) == RoomsSettings()
    assert changed.rooms.ad_hoc_settings().video_codecs == ()
    assert json.dumps(list(RoomsSettings().rooms.ad_hoc_settings().video_codecs)) == '["VP8", "H264"]'
