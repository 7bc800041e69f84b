"""The PostgreSQL server ends under the running service, and comes back: calls go on, and nothing is lost."""

import asyncio
import subprocess

import pytest

from appliance.client.connect import connect
from appliance.errors import RoomError
from tests.support.faulty_receiver import FaultyReceiver
from tests.support.postgres import Postgres
from tests.support.processes import wait_for
from tests.support.rest_caller import RestCaller, RestFailure
from tests.support.sdk_participant import SdkParticipant
from tests.support.stack import Stack, fetch, status_of

ROOM = "lobby"


def configuration(postgres: Postgres, callback: str, more: str = "") -> str:
    url = postgres.new_database()
    return f'[store]\nurl = "{url}"\n{more}\n[rooms.defaults]\nstatus_callback = "{callback}"\n'


def failure(caller: RestCaller, method: str, path: str) -> tuple[int, int]:
    """Return the HTTP status and the code that a request is refused with; none where it is not."""
    try:
        caller(method, path)
    except RestFailure as error:
        return error.status, int(error.code or 0)
    return 0, 0


def reaches(sender: SdkParticipant, receiver: SdkParticipant, text: str) -> bool:
    """Send; tell whether one of these has arrived."""
    sender.send(text)
    return text in receiver.messages


def test_a_database_that_goes_away_harms_no_call_and_loses_no_event(stack: Stack, postgres: Postgres) -> None:
    with FaultyReceiver() as receiver:
        rooms = stack.start_rooms(configuration(postgres, receiver.url))
        call = RestCaller(stack)
        with (
            SdkParticipant(stack.service, stack.token("ann"), ROOM) as ann,
            SdkParticipant(stack.service, stack.token("bob"), ROOM) as bob,
        ):
            wait_for("they have each other", lambda: ann.has_data_track_of("bob") and bob.has_data_track_of("ann"))
            with SdkParticipant(stack.service, stack.token("cid"), ROOM):
                wait_for("cid's track is told", lambda: len(receiver.heard) == 7)
                pid = rooms.pid
                postgres.stop()
                wait_for("it says so", lambda: status_of(f"{stack.service}/readyz") == 503)
            # cid has left meanwhile, which cannot be written.
            wait_for("ann sees cid go", lambda: ann.identities() == ["bob"])

            assert status_of(f"{stack.service}/healthz") == 200
            assert failure(call, "GET", f"/v1/Rooms/{ROOM}") == (503, 20503)
            wait_for("the store is known to be away", lambda: b"store_healthy 0.0" in fetch(f"{stack.service}/metrics"))
            assert failure(call, "POST", "/v1/Rooms") == (503, 20503)
            with pytest.raises(RoomError) as refused:
                asyncio.run(connect(stack.token("dan"), url=stack.service, name=ROOM))
            assert refused.value.code == 53104
            wait_for("a message arrives", lambda: reaches(ann, bob, "away"), every_s=0.2)

            postgres.start()
            wait_for("it is ready again", lambda: status_of(f"{stack.service}/readyz") == 200)
            wait_for("cid's leaving is told", lambda: len(receiver.heard) == 9)
            assert call("GET", f"/v1/Rooms/{ROOM}")["status"] == "in-progress"
            assert call("POST", "/v1/Rooms")["status"] == "in-progress"
            with SdkParticipant(stack.service, stack.token("dan"), ROOM) as dan:
                assert sorted(dan.identities()) == ["ann", "bob"]
            assert (rooms.running, rooms.pid) == (True, pid)
        wait_for("the end is told", lambda: receiver.heard[-1].name == "room-ended")
        heard = list(receiver.heard)

    assert [each.seq for each in heard] == list(range(len(heard)))
    assert [each.name for each in heard[7:9]] == ["track-removed", "participant-disconnected"]


def test_a_database_that_hangs_harms_no_call_and_loses_no_event(stack: Stack, postgres: Postgres) -> None:
    with FaultyReceiver() as receiver:
        rooms = stack.start_rooms(configuration(postgres, receiver.url, "read_deadline_s = 2.0"))
        call = RestCaller(stack)
        with SdkParticipant(stack.service, stack.token("ann"), ROOM) as ann:
            with SdkParticipant(stack.service, stack.token("bob"), ROOM) as bob:
                wait_for("they have each other", lambda: ann.has_data_track_of("bob") and bob.has_data_track_of("ann"))
                wait_for("both are told", lambda: len(receiver.heard) == 5)
                pid = rooms.pid
                postgres.pause()
                try:
                    wait_for("it says so", lambda: status_of(f"{stack.service}/readyz") == 503)
                    assert status_of(f"{stack.service}/healthz") == 200
                    # The caller itself waits no longer than twenty seconds, and a statement may take thirty.
                    assert failure(call, "GET", f"/v1/Rooms/{ROOM}") == (503, 20503)
                    wait_for("a message arrives", lambda: reaches(ann, bob, "hung"), every_s=0.2)
                    bob.leave()
                    wait_for("ann sees bob go", lambda: ann.identities() == [])
                    assert len(receiver.heard) == 5
                finally:
                    postgres.resume()
            wait_for("bob's leaving is told", lambda: len(receiver.heard) == 7, within_s=60)
            wait_for("it is ready again", lambda: status_of(f"{stack.service}/readyz") == 200)
            assert (rooms.running, rooms.pid) == (True, pid)
        wait_for("the end is told", lambda: receiver.heard[-1].name == "room-ended")

    assert [each.seq for each in receiver.heard] == list(range(len(receiver.heard)))


def test_a_start_without_its_database_is_one_to_be_tried_again(stack: Stack, postgres: Postgres) -> None:
    more = configuration(postgres, "http://127.0.0.1:9/")
    rooms = stack.start_rooms(more)
    rooms.stop()
    postgres.stop()

    # 75 is EX_TEMPFAIL; the unit restarts the service after everything but 66 and 78.
    done = subprocess.run(rooms.arguments, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 75
    assert "store.url" in done.stderr
    assert "Traceback" not in done.stderr
    postgres.start()
    rooms.start()
    assert status_of(f"{stack.service}/readyz") == 200
