"""What strangers can send the rooms service: any of it gets an answer of its own kind, and never a bug."""

import asyncio
import base64
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from yarl import URL

from appliance.errors import RoomError
from appliance.media_engine import TrackKind
from appliance.rooms.addresses import base_url
from appliance.rooms.authentication import read_basic
from appliance.rooms.callback_request import build_request, read_target
from appliance.rooms.events import EndReason, LeaveReason, RoomEvent
from appliance.rooms.invitations import read_invitation
from appliance.rooms.parameters import CreationPolicy, Parameters, is_callback_url, room_to_create
from appliance.rooms.problems import RestError
from appliance.rooms.publishing import TrackWish
from appliance.rooms.room import Change, Participant, ParticipantStatus, Room, RoomSettings, RoomStatus, create_room
from appliance.sids import AccountSid, KeySid, RoomSid, new_participant_sid, new_track_sid
from appliance.tokens import SigningKey, verify
from tests.support.rooms_running import running_rooms

NOW = 1_700_000_000
KEY = SigningKey(sid=KeySid("SK" + "0" * 32), secret="s" * 32, account_sid=AccountSid("AC" + "0" * 32))

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def find(sid: str) -> SigningKey | None:
    return KEY if sid == KEY.sid else None


# --- tokens -----------------------------------------------------------------------------------------------------------


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,3}", fullmatch=True))
def test_any_text_as_a_token_is_refused_by_number(text: str) -> None:
    with pytest.raises(RoomError) as caught:
        verify(text, find, now=NOW)
    assert 20101 <= caught.value.code <= 20107


@given(st.dictionaries(st.sampled_from(["iss", "sub", "exp", "nbf", "iat", "grants", "jti"]), anything), anything)
def test_well_signed_claims_of_any_kind_are_taken_or_refused_by_number(claims: dict[str, Any], video: Any) -> None:
    body = {
        "iss": KEY.sid,
        "sub": KEY.account_sid,
        "exp": NOW + 60,
        "grants": {"identity": "a", "video": video},
    } | claims
    payload = json.dumps(body).encode()
    token = jwt.api_jws.encode(payload, KEY.secret, "HS256", headers={"cty": "twilio-fpa;v=1"})
    try:
        outcome = verify(token, find, now=NOW).identity
    except RoomError as error:
        outcome = str(error.code)
    assert outcome


# --- texts in headers, addresses, forms -------------------------------------------------------------------------------


@given(st.text())
def test_any_authorization_header_is_read_or_not(text: str) -> None:
    found = read_basic(text)

    assert found is None or len(found) == 2


@given(st.text(), st.text(), st.text())
def test_any_host_gives_an_address_that_stays_one_or_20001(host: str, proto: str, forwarded: str) -> None:
    headers = {"Host": host, "X-Forwarded-Proto": proto, "Forwarded": forwarded}
    try:
        address = base_url("http", headers, peer="1.2.3.4")
    except RestError as error:
        address = str(error.code)
    assert address == "20001" or address == f"http://{host}"


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_an_address_that_was_accepted_can_be_called(rest: str) -> None:
    url = f"http://{rest}"
    if is_callback_url(url):
        made = build_request(read_target(url), "POST", {"A": "b"}, auth_token="t", event_id="EV", user_agent="x")
        assert URL(made.url, encoded=True).host


@given(st.from_regex(r"https?://[!-~]{1,30}(:[0-9]{0,6})?[/?#]?[!-~]{0,20}", fullmatch=True))
def test_an_ascii_address_that_was_accepted_can_be_called(url: str) -> None:
    if is_callback_url(url):
        made = build_request(read_target(url), "GET", {"A": "b"}, auth_token="t", event_id="EV", user_agent="x")
        assert URL(made.url, encoded=True).host


@given(st.text())
def test_any_query_makes_a_room_or_says_why_not(query: str) -> None:
    try:
        outcome: object = room_to_create(Parameters.parse(query), CreationPolicy())
    except (RestError, RoomError) as error:
        outcome = error.code
    assert outcome


@given(
    st.dictionaries(
        st.sampled_from(
            ["UniqueName", "Type", "StatusCallback", "MaxParticipants", "RecordingRules", "VideoCodecs", "AudioOnly"]
        ),
        st.lists(st.text() | anything.map(json.dumps), max_size=3),
    )
)
def test_any_value_of_a_known_parameter_is_taken_or_refused(values: dict[str, list[str]]) -> None:
    try:
        name, made = room_to_create(Parameters(values), CreationPolicy())
    except (RestError, RoomError) as error:
        assert error.code  # noqa: PT017  any code is fine, any other exception is not
        return
    assert name is None or 1 <= len(name) <= 128
    assert 1 <= made.max_participants <= 50


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")) | anything)
def test_any_invitation_is_refused(value: Any) -> None:
    with pytest.raises(RestError) as caught:
        read_invitation(value, "lobby", b"secret", NOW)
    assert caught.value.status == 403


# --- whole requests ---------------------------------------------------------------------------------------------------

known_parts = st.sampled_from(["Rooms", "lobby", "Participants", "%00", "%FF", "%2F", ".."])
path_part = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?# "), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
            st.lists(
                path_part | st.sampled_from(["Rooms", "lobby", "Participants", "%00", "%FF", "%2F", ".."]), max_size=5
            ),
            st.dictionaries(st.sampled_from(["Status", "PageSize", "PageToken", "UniqueName"]), st.text(max_size=10)),
            st.binary(max_size=40),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_request_makes_the_api_fail(tmp_path: Path, requests: list[Any]) -> None:
    async def send_all() -> list[tuple[int, Any]]:
        answers = []
        async with running_rooms(tmp_path) as running, aiohttp.ClientSession() as http:
            keys = running.credentials
            pair = base64.b64encode(f"{keys.account_sid}:{keys.auth_token}".encode()).decode()
            headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
            for method, parts, query, body in requests:
                url = URL(f"{running.url}/v1/{'/'.join(parts)}", encoded=True).update_query(
                    {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
                )
                async with http.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                    answers.append((answer.status, await answer.json()))
        return answers

    for status, body in asyncio.run(send_all()):
        assert status < 500
        assert not 300 <= status < 400
        assert status < 400 or set(body) == {"code", "message", "more_info", "status"}


# --- a room lives through anything ------------------------------------------------------------------------------------

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
names = st.sampled_from(["ann", "bob", "cid", "dan"])
wishes = st.lists(
    st.builds(
        TrackWish,
        id=st.sampled_from(["1", "2", "3", "4"]),
        kind=st.sampled_from(TrackKind),
        name=st.sampled_from(["mic", "cam", "", "x" * 129]),
        enabled=st.booleans(),
    ),
    max_size=4,
)


class RoomLife(RuleBasedStateMachine):
    """Joins, publishes, drops and ends in any order; the events must always tell one consistent story."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[RoomEvent] = []
        self.revisions: dict[str, int] = {}
        self.now = START

    def take(self, change: Change) -> None:
        for participant in change.participants.values():
            assert participant.revision > self.revisions.get(participant.sid, 0)
            self.revisions[participant.sid] = participant.revision
        self.events += change.events
        self.room: Room = change.room

    @initialize(ad_hoc=st.booleans())
    def create(self, ad_hoc: bool) -> None:
        rules = RoomSettings(max_participants=3, max_published_tracks=5)
        self.take(create_room(RoomSid("RM"), AccountSid("AC"), "lobby", rules, START, ad_hoc=ad_hoc))

    @rule(seconds=st.integers(-5, 60))
    def time_passes_or_steps_back(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(name=names, wished=wishes)
    def join(self, name: str, wished: list[TrackWish]) -> None:
        outcome = self.room.plan_tracks(None, wished, self.now, new_track_sid)
        newcomer = Participant(
            sid=new_participant_sid(),
            identity=name,
            key_sid=KEY.sid,
            started=self.now,
            updated=self.now,
            tracks=outcome.tracks,
        )
        try:
            self.take(self.room.join(newcomer, self.now))
        except RoomError as error:
            assert error.code in (53105, 53118)  # noqa: PT017

    @precondition(lambda self: self.room.participants)
    @rule(data=st.data(), wished=wishes)
    def publish(self, data: st.DataObject, wished: list[TrackWish]) -> None:
        who = data.draw(st.sampled_from(self.room.participants))
        self.take(self.room.publish(who, self.room.plan_tracks(who, wished, self.now, new_track_sid), self.now))

    @precondition(lambda self: self.room.participants)
    @rule(data=st.data(), status=st.sampled_from([ParticipantStatus.RECONNECTING, ParticipantStatus.CONNECTED]))
    def link(self, data: st.DataObject, status: ParticipantStatus) -> None:
        self.take(self.room.set_status(data.draw(st.sampled_from(self.room.participants)), status, self.now))

    @precondition(lambda self: self.room.participants)
    @rule(data=st.data(), reason=st.sampled_from(LeaveReason))
    def leave(self, data: st.DataObject, reason: LeaveReason) -> None:
        self.take(self.room.disconnect(data.draw(st.sampled_from(self.room.participants)), reason, self.now))

    @precondition(lambda self: self.room.status is RoomStatus.IN_PROGRESS)
    @rule()
    def end(self) -> None:
        self.take(self.room.end(RoomStatus.COMPLETED, EndReason.API, self.now))

    @invariant()
    def numbers_have_no_gap_and_time_never_goes_back(self) -> None:
        assert [event.seq for event in self.events] == list(range(len(self.events)))
        times = [event.occurred_at for event in self.events]
        assert times == sorted(times)

    @invariant()
    def the_story_is_consistent(self) -> None:
        present: dict[Any, Counter[Any]] = {}
        for event in self.events:
            who, track = event.params.get("ParticipantSid"), event.params.get("TrackSid")
            match event.name:
                case "participant-connected":
                    present[who] = Counter()
                case "participant-disconnected":
                    assert not +present.pop(who)
                case "track-added":
                    present[who][track] += 1
                case "track-removed":
                    present[who][track] -= 1
                    assert present[who][track] == 0
                case "track-enabled" | "track-disabled":
                    assert present[who][track] == 1
                case "room-ended":
                    assert not present
        assert present.keys() == {participant.sid for participant in self.room.participants}
        assert [event.name for event in self.events].count("room-ended") == (self.room.status != "in-progress")
        assert self.room.status == "in-progress" or self.events[-1].name == "room-ended"

    @invariant()
    def the_limits_hold(self) -> None:
        assert len(self.room.participants) <= 3
        assert self.room.published_tracks <= 5
        assert len({participant.identity for participant in self.room.participants}) == len(self.room.participants)


RoomLife.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestRoomLife = RoomLife.TestCase
