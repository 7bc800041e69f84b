"""The unmodified Node helper library drives every operation of the REST API."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import RoomError
from tests.support.processes import appliance, wait_for
from tests.support.programs_found import program
from tests.support.rest_caller import RestCaller
from tests.support.sdk_participant import SdkParticipant
from tests.support.stack import Stack, running_stack

NODE = Path(__file__).parent / "node"
DEADLINE_S = 90
ALL_RULE = {"type": "include", "all": True, "publisher": None, "track": None, "kind": None, "priority": None}

pytestmark = pytest.mark.skipif(
    not (NODE / "node_modules" / "twilio").exists(), reason="Node's twilio is not there: ./run test fetches it"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("rooms")) as stack:
        stack.start_rooms('[callbacks]\nallow = ["127.0.0.0/8"]\n')
        yield stack


def drive(service: Stack, part: str, **more: str) -> Any:
    """Run one part of drive.mjs, which is told `more`; return what it prints."""
    keys = service.credentials
    settings = {
        "service": service.service,
        "accountSid": keys["account_sid"],
        "authToken": keys["auth_token"],
        "apiKeySid": keys["api_key_sid"],
        "apiKeySecret": keys["api_key_secret"],
        "more": more,
    }
    unwanted = ("twilio_region", "twilio_edge", "http_proxy", "https_proxy", "all_proxy")
    done = subprocess.run(
        [program("node"), "drive.mjs", part],
        cwd=NODE,
        input=json.dumps(settings),
        env={name: value for name, value in os.environ.items() if name.lower() not in unwanted},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_room_is_made_found_listed_and_completed(service: Stack) -> None:
    told = drive(service, "rooms")

    assert told["same"]
    assert told["dates"] == [True, None, True]
    assert told["ended"] == ["completed", "number"]
    assert told["later"] == 0
    made = told["made"]
    assert (made["uniqueName"], made["maxParticipants"], made["maxParticipantDuration"]) == ("node", 5, 600)
    assert (made["emptyRoomTimeout"], made["unusedRoomTimeout"], made["videoCodecs"]) == (7, 8, ["H264"])
    assert (made["mediaRegion"], made["statusCallbackMethod"], made["enableTurn"]) == ("de1", "GET", True)
    assert made["url"] == f"{service.service}/v1/Rooms/{made['sid']}"
    assert [name for name, value in made.items() if value is None] == ["endTime", "duration"]


def test_a_hundred_and_twenty_rooms_make_three_pages(service: Stack) -> None:
    told = drive(service, "paging")

    names = [name for page in told["walked"] for name in page if name.startswith("page-")]
    assert names == [f"page-{number}" for number in reversed(range(120))]
    assert [len(page) for page in told["walked"]][:2] == [50, 50]
    assert told["back"] == told["walked"][-2]
    assert told["each"] == [name for page in told["walked"] for name in page]
    assert told["all"] == told["many"] == len(told["each"])
    assert told["limited"] == 30


def test_participants_tracks_and_rules(service: Stack) -> None:
    with (
        SdkParticipant(service.service, service.token("bob"), "lobby"),
        SdkParticipant(service.service, service.token("ann"), "lobby") as ann,
    ):
        assert ann.room
        told = drive(service, "participants")

    assert told["present"] == ["ann", "bob"]
    assert told["ann"]["sid"] == ann.room.local_participant.sid
    assert (told["ann"]["status"], told["ann"]["endTime"], told["ann"]["duration"]) == ("connected", None, None)
    assert (told["published"], told["subscribed"]) == (["chat"], [told["track"]["sid"]])
    assert (told["track"]["kind"], told["track"]["enabled"], told["track"]["dateUpdated"]) == ("data", True, None)
    assert told["received"]["publisherSid"] == told["ann"]["sid"] == told["track"]["participantSid"]
    assert told["before"] == [ALL_RULE]
    assert told["changed"][0] == ALL_RULE | {"type": "exclude", "all": None, "publisher": "ann"}
    assert told["dates"] == [None, True]
    assert (told["after"], told["again"]) == (0, 1)
    assert told["early"] == [409, 20409]
    assert told["removed"] == ["disconnected", "disconnected"]
    assert told["gone"] == [told["ann"]["sid"]]
    assert told["anonymous"]


def test_nothing_is_recorded_and_nothing_breaks(service: Stack) -> None:
    with SdkParticipant(service.service, service.token("ann"), "lobby") as ann:
        assert ann.room
        sid = ann.room.sid
        told = drive(service, "outOfScope")

    assert told == {
        "lists": [0] * 5,
        "rules": [{"type": "exclude", "all": True}],
        "excluded": sid,
        "kept": [{"type": "exclude", "kind": "video"}],
        "included": [400, 53122],
        "settings": [404, 20404],
    }


def test_every_error_has_its_status_and_code(service: Stack) -> None:
    call = RestCaller(service)
    call("POST", "/v1/Rooms", {"UniqueName": "pair", "Type": "go"})
    with SdkParticipant(service.service, service.token("ann", None), "over") as left:
        assert left.room
        over, gone = left.room.sid, left.room.local_participant.sid
    wait_for("the room is over", lambda: call("GET", f"/v1/Rooms/{over}")["status"] == "completed")
    with (
        SdkParticipant(service.service, service.token("ann", None), "pair"),
        SdkParticipant(service.service, service.token("ann"), "lobby"),
        SdkParticipant(service.service, service.token("bob"), "lobby"),
    ):
        told = drive(service, "errors", over=over, left=gone)

    assert told == {
        "unknownUser": [401, 20003],
        "notFound": [404, 20404],
        "nobody": [404, 20404],
        "noTrack": [404, 20404],
        "endedByName": [404, 20404],
        "exists": [400, 53113],
        "namedLikeSid": [400, 53100],
        "longName": [400, 53101],
        "controlName": [400, 53102],
        "type": [400, 53108],
        "callback": [400, 53111],
        "callbackMethod": [400, 53110],
        "maxParticipants": [400, 53107],
        "duration": [400, 53123],
        "emptyTimeout": [400, 53109],
        "unusedTimeout": [400, 53109],
        "codec": [400, 20001],
        "region": [400, 53115],
        "audioOnly": [400, 53124],
        "recording": [400, 53122],
        "transcribing": [400, 53114],
        "recordingRules": [400, 53120],
        "completedTwice": [400, 53112],
        "otherStatus": [400, 53112],
        "participantStatus": [400, 53209],
        "rules": [400, 53215],
        "rulesOfNobody": [404, 20404],
        "rulesOfGo": [400, 53117],
        "rulesOfEnded": [400, 53118],
        "rulesMissing": [400, 20001],
        "anonymizedTooEarly": [409, 20409],
        "recordingRulesOfEnded": [400, 53118],
        "filter": [400, 20001],
        "pageSize": [400, 20001],
        "pageToken": [400, 21481],
    }


def test_a_strict_service_refuses_by_number_and_a_suspended_account_everything(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        stack.start_rooms(
            "[server]\nrate_limit = true\n"
            '[rooms]\nmax_rooms = 1\nmax_participants_in_account = 1\nlegacy_room_types = "reject"\n'
        )

        assert drive(stack, "strict") == {
            "quota": [400, 53119],
            "legacy": [400, 53126],
            "guesses": ["401,20003", "429,20429"],
            "often": [429, 20429],
        }

        (room,) = RestCaller(stack)("GET", "/v1/Rooms")["rooms"]
        with SdkParticipant(stack.service, stack.token("ann", None), room["sid"]), pytest.raises(RoomError) as caught:
            SdkParticipant(stack.service, stack.token("bob", None), room["sid"]).__enter__()
        assert caught.value.code == 53206

        command = appliance("rooms", "--state-dir", str(stack.folder / "rooms"), "account", "suspend")
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        wait_for("nobody is let in", lambda: drive(stack, "everything") == ["403,20403"])
