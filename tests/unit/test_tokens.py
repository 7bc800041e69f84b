"""Access tokens against the conformance vectors of tokens.md 7 and the cases derived from them."""

import json
import warnings
from pathlib import Path
from typing import Any

import jwt
import pytest
from twilio.jwt.access_token import AccessToken as LibraryToken
from twilio.jwt.access_token.grants import VideoGrant

from appliance.errors import RoomError
from appliance.sids import AccountSid, KeySid, RoomSid
from appliance.tokens import (
    AccessToken,
    KeyKind,
    SigningKey,
    claims_to_log,
    encode_base64url,
    mint,
    read_identity,
    verify,
)

NOW = 1_700_000_000
ACCOUNT = AccountSid("AC0123456789abcdef0123456789abcdef")
KEY = SigningKey(
    sid=KeySid("SKfedcba9876543210fedcba9876543210"),
    secret="kiosk-example-secret-0123456789ab",
    account_sid=ACCOUNT,
)
VECTORS = [
    json.loads(line) for line in Path(__file__).with_name("token_vectors.jsonl").read_text().splitlines() if line
]


def find(sid: str) -> SigningKey | None:
    return KEY if sid == KEY.sid else None


def outcome(token: str, key: SigningKey = KEY) -> str:
    """`ok`, or the code of the error."""
    try:
        verify(token, lambda sid: key if sid == key.sid else None, now=NOW)
    except RoomError as error:
        return str(error.code)
    return "ok"


def forged(claims: dict[str, Any] | None = None, drop: str = "", headers: dict[str, Any] | None = None) -> str:
    """A well signed token whose claims differ from a valid one."""
    body: dict[str, Any] = {
        "jti": "1",
        "iss": KEY.sid,
        "sub": ACCOUNT,
        "nbf": NOW,
        "exp": NOW + 3600,
        "grants": {"identity": "kiosk-7", "video": {}},
    }
    body |= claims or {}
    body.pop(drop, None)
    return jwt.encode(body, KEY.secret, "HS256", headers={"cty": "twilio-fpa;v=1", **(headers or {})})


def with_identity(identity: object) -> str:
    return forged({"grants": {"identity": identity, "video": {}}})


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["case"] for vector in VECTORS])
def test_every_conformance_vector_has_its_outcome(vector: dict[str, str]) -> None:
    assert outcome(vector["jwt"]) == vector["expect"]


def test_the_vectors_are_all_there() -> None:
    assert len(VECTORS) == 15


def test_a_minted_token_says_what_was_put_in() -> None:
    token = mint(KEY, "kiosk-7", now=NOW, room="lobby", lifetime_s=600)

    assert verify(token, find, now=NOW) == AccessToken(
        key_sid=KEY.sid, account_sid=ACCOUNT, identity="kiosk-7", room="lobby", expires_at=NOW + 600
    )


def test_a_token_of_the_unmodified_library_is_accepted() -> None:
    library = LibraryToken(ACCOUNT, KEY.sid, KEY.secret, identity="kiosk-7", ttl=3600, nbf=NOW, valid_until=NOW + 3600)
    library.add_grant(VideoGrant(room="lobby"))

    token = verify(library.to_jwt(), find, now=NOW)

    assert (token.identity, token.room) == ("kiosk-7", "lobby")


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_flipped_bit_goes_unnoticed(part: int) -> None:
    parts = mint(KEY, "kiosk-7", now=NOW).split(".")
    for place in range(len(parts[part])):
        for bit in range(7):
            flipped = chr(ord(parts[part][place]) ^ 1 << bit)
            changed = parts[part][:place] + flipped + parts[part][place + 1 :]
            assert outcome(".".join([*parts[:part], changed, *parts[part + 1 :]])) != "ok"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": str(NOW + 60)}, "20104"),
        ({"exp": (NOW + 60) * 1000}, "20104"),
        ({"exp": NOW + 60.5}, "20104"),
        ({"exp": True}, "20104"),
        ({"exp": None}, "20104"),
        ({"nbf": "now"}, "20105"),
        ({"nbf": None}, "20105"),
        ({"iat": NOW + 61}, "20105"),
        ({"grants": []}, "20106"),
        ({"grants": {"identity": "a", "video": True}}, "20106"),
        ({"grants": {"identity": "a", "video": {"room": ""}}}, "20106"),
        ({"grants": {"identity": "a", "video": {"room": 7}}}, "20106"),
        ({"grants": {"identity": "a", "video": {"room": None}}}, "20106"),
        ({"iss": 7}, "20103"),
        ({"iss": ["SK"]}, "20103"),
        ({"iss": "SK" + "0" * 32}, "20103"),
        ({"sub": "AC" + "0" * 32}, "20103"),
    ],
)
def test_a_claim_that_breaks_a_rule_has_the_code_of_that_rule(claims: dict[str, Any], code: str) -> None:
    try:
        token = forged(claims)
    except TypeError:  # PyJWT will not sign an issuer that is no string
        body = {"iss": claims["iss"], "sub": ACCOUNT, "exp": NOW + 60}
        token = jwt.api_jws.encode(json.dumps(body).encode(), KEY.secret, "HS256", headers={"cty": "twilio-fpa;v=1"})
    assert outcome(token) == code


@pytest.mark.parametrize(
    "headers",
    [{"cty": "JWT"}, {"typ": "JOSE"}, {"typ": 7}, {"crit": ["exp"]}],
    ids=["cty", "typ", "type of typ", "crit"],
)
def test_a_header_that_breaks_a_rule_is_20102(headers: dict[str, Any]) -> None:
    assert outcome(forged(headers=headers)) == "20102"


def test_the_type_may_be_written_in_any_case() -> None:
    assert outcome(forged(headers={"typ": "jwt"})) == "ok"


def test_a_duplicate_key_makes_the_token_invalid() -> None:
    body = f'{{"iss":"{KEY.sid}","sub":"{ACCOUNT}","exp":{NOW + 60},"exp":{NOW + 70}}}'
    token = jwt.api_jws.encode(body.encode(), KEY.secret, "HS256", headers={"cty": "twilio-fpa;v=1"})

    assert outcome(token) == "20101"


def test_a_token_over_8_kib_is_invalid() -> None:
    assert outcome(forged({"jti": "x" * 9000})) == "20101"


def test_deep_nesting_is_invalid_and_harms_nothing() -> None:
    body = ("[" * 5000).encode()
    token = jwt.api_jws.encode(body, KEY.secret, "HS256", headers={"cty": "twilio-fpa;v=1"})

    assert outcome(token) == "20101"


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        ("a" * 128, "ok"),
        ("é" * 64, "ok"),
        ("é" * 65, "53201"),
        (7, "ok"),
        (True, "53200"),
        (None, "53200"),
        (1.5, "53200"),
        ("tab\there", "53202"),
        ("half \ud800", "53202"),
    ],
)
def test_the_identity_rules(identity: object, code: str) -> None:
    assert outcome(with_identity(identity)) == code


def test_an_integer_identity_becomes_its_digits() -> None:
    assert read_identity(7) == "7"


def test_an_astronomic_integer_is_no_identity() -> None:
    with pytest.raises(RoomError) as caught:
        read_identity(10**5000)
    assert caught.value.code == 53200


@pytest.mark.parametrize("kind_or_state", ["restricted", "revoked", "another account"])
def test_a_key_that_may_not_sign_is_20103(kind_or_state: str) -> None:
    key = SigningKey(
        sid=KEY.sid,
        secret=KEY.secret,
        account_sid=AccountSid("AC" + "1" * 32) if kind_or_state == "another account" else ACCOUNT,
        kind=KeyKind.RESTRICTED if kind_or_state == "restricted" else KeyKind.STANDARD,
        active=kind_or_state != "revoked",
    )
    assert outcome(mint(KEY, "a", now=NOW), key) == "20103"


@pytest.mark.parametrize(
    ("seconds_past_expiry", "code"), [(59, "ok"), (60, "20104")], ids=["inside the leeway", "at its end"]
)
def test_the_leeway_ends_where_it_says(seconds_past_expiry: int, code: str) -> None:
    assert outcome(mint(KEY, "a", now=NOW - 100 - seconds_past_expiry, lifetime_s=100)) == code


@pytest.mark.parametrize(
    ("grant", "name", "sid", "covered"),
    [
        (None, "lobby", None, True),
        ("lobby", "lobby", None, True),
        ("lobby", "Lobby", None, False),
        ("lobby", "hall", "RM" + "0" * 32, False),
        ("RM" + "0" * 32, "hall", "RM" + "0" * 32, True),
    ],
)
def test_a_grant_covers_exactly_its_room(grant: str | None, name: str, sid: str | None, covered: bool) -> None:
    token = AccessToken(key_sid=KEY.sid, account_sid=ACCOUNT, identity="a", room=grant, expires_at=NOW)

    assert token.covers(name=name, sid=RoomSid(sid) if sid else None) is covered


@pytest.mark.parametrize("lifetime_s", [0, -1, 86_401])
def test_a_lifetime_out_of_range_is_refused(lifetime_s: int) -> None:
    with pytest.raises(ValueError, match="a token lives"):
        mint(KEY, "a", now=NOW, lifetime_s=lifetime_s)


def test_a_secret_does_not_show_in_a_log() -> None:
    assert KEY.secret not in repr(KEY)


def test_what_a_token_claims_fits_into_one_line_of_a_log_and_is_not_the_token() -> None:
    token = mint(KEY, "ann", now=NOW, room="lobby")

    told = claims_to_log(token)

    assert told == f"iss '{KEY.sid}', sub '{KEY.account_sid}', identity 'ann', room 'lobby'"
    assert not any(part in told for part in token.split("."))


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "." * 50, "x" * 9000, "e30.e30.x", "x.eyJncmFudHMiOiBbXX0.x", "x.W10.x"]
)
def test_what_claims_nothing_is_told_so(token: str) -> None:
    assert claims_to_log(token) == "iss None, sub None, identity None, room None"


def test_no_claim_breaks_the_line_of_a_log() -> None:
    payload = {"iss": "a\nb\u2028\x1b[2J", "grants": {"identity": "x" * 5000, "video": {"room": {"x": 1}}}}
    told = claims_to_log(f"x.{encode_base64url(json.dumps(payload).encode())}.x")

    assert told.isascii()
    assert told.isprintable()
    assert len(told) < 700


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_every_algorithm_of_the_libraries_is_taken(algorithm: str) -> None:
    claims = {"iss": KEY.sid, "sub": ACCOUNT, "exp": NOW + 60, "grants": {"identity": "ann", "video": {}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 32 bytes are few for HS512, and harmless here
        token = jwt.encode(claims, KEY.secret, algorithm, headers={"cty": "twilio-fpa;v=1"})

    assert outcome(token) == "ok"
    assert outcome(token, SigningKey(sid=KEY.sid, secret=KEY.secret[::-1], account_sid=ACCOUNT)) == "20107"


def test_of_several_defects_the_first_in_the_order_of_the_steps_is_told() -> None:
    """Each step takes one defect away; what is left is told by its own code."""
    claims: dict[str, Any] = {
        "sub": "AC" + "0" * 32,
        "exp": NOW - 3600,
        "nbf": NOW + 3600,
        "grants": {"identity": "", "video": {"room": 7}},
    }
    told = [outcome("x" + forged(claims, headers={"typ": "x"})), outcome(forged(claims, headers={"typ": "x"}))]
    told.append(outcome(forged(claims)))
    claims["sub"] = ACCOUNT
    told.append(outcome(forged(claims)[:-3] + "AAA"))
    told.append(outcome(forged(claims)))
    claims["exp"] = NOW + 60
    told.append(outcome(forged(claims)))
    claims["nbf"] = NOW
    told.append(outcome(forged(claims)))
    claims["grants"]["video"] = {}
    told.append(outcome(forged(claims)))

    assert told == ["20101", "20102", "20103", "20107", "20104", "20105", "20106", "53200"]
