"""Kill -9 of the rooms service at random moments: no event is lost, and calls go on."""

import base64
import itertools
import json
import random
import threading
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Sequence

import pytest

from tests.support.faulty_receiver import FaultyReceiver, Heard, Mood
from tests.support.processes import wait_for
from tests.support.sdk_participant import SdkParticipant
from tests.support.stack import Stack

MOODS = (Mood.FAILING, Mood.HANGING, Mood.SLOW, Mood.DOWN, Mood.WELL)


class Load:
    """Creates and completes rooms by REST, one after another, on a few threads; keeps what it was promised."""

    def __init__(self, stack: Stack, callback: str, threads: int = 3) -> None:
        self._stack = stack
        self._callback = callback
        keys = stack.credentials
        pair = f"{keys['account_sid']}:{keys['auth_token']}".encode()
        self._login = "Basic " + base64.b64encode(pair).decode()
        self._url = stack.service
        self._over = threading.Event()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.created: set[str] = set()
        self.completed: set[str] = set()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def post(self, path: str, **given: str) -> str | None:
        """Return the SID of the room that a 2xx answers with, None for no answer at all."""
        request = urllib.request.Request(f"{self._url}/v1/{path}", urllib.parse.urlencode(given).encode())
        request.add_header("Authorization", self._login)
        try:
            with self._opener.open(request, timeout=20) as answer:
                return str(json.loads(answer.read())["sid"])
        except (OSError, ValueError):
            return None  # refused, reset, or cut off in the middle: nothing was promised

    def _work(self) -> None:
        while not self._over.is_set():
            sid = self.post("Rooms", StatusCallback=self._callback, UnusedRoomTimeout="60")
            if not sid:
                self._over.wait(0.05)
                continue
            self.created.add(sid)
            if self.post(f"Rooms/{sid}", Status="completed"):
                self.completed.add(sid)
            self._over.wait(0.02)


def check_events(heard: Sequence[Heard], load: Load) -> None:
    """Every event at least once, in order in each room, the same one always under the same id."""
    by_room: dict[str, list[Heard]] = defaultdict(list)
    for each in heard:
        by_room[each.room_sid].append(each)
    for sid in load.created:
        first_times = list(dict.fromkeys(each.seq for each in by_room[sid]))
        assert first_times[:1] == [0], f"{sid}: no room-created"
        assert first_times == list(range(len(first_times))), f"{sid}: {first_times}"
        order = [each.seq for each in by_room[sid]]
        assert order == sorted(order), f"{sid}: {order}"
    for sid in load.completed:
        assert by_room[sid][-1].name == "room-ended", f"{sid}: its end was not told"
    ids: dict[tuple[str, int], set[str]] = defaultdict(set)
    for each in heard:
        ids[each.room_sid, each.seq].add(each.event_id)
    assert all(len(found) == 1 for found in ids.values())
    assert len({next(iter(found)) for found in ids.values()}) == len(ids)


def all_told(receiver: FaultyReceiver, load: Load) -> bool:
    heard = [each for each in list(receiver.heard) if each.answered]
    created = {each.room_sid for each in heard if each.seq == 0}
    ended = {each.room_sid for each in heard if each.name == "room-ended"}
    return load.created <= created and load.completed <= ended


def survive(stack: Stack, kills: int, store: str) -> None:
    chance = random.Random(20_261_122)
    moods = itertools.cycle(MOODS)
    stack.start_rooms(store)
    with FaultyReceiver() as receiver, Load(stack, receiver.url) as load:
        wait_for("the load runs", lambda: len(load.completed) >= 3)
        for _ in range(kills):
            receiver.become(next(moods))
            before = len(load.completed)
            at_least = chance.randint(1, 25)  # the moment is a random amount of work, not of time
            wait_for("more was done", lambda: len(load.completed) >= before + at_least, within_s=60)  # noqa: B023
            stack.rooms.kill()
            stack.rooms.start()
        receiver.become(Mood.WELL)
        load.stop()
        wait_for("all is told", lambda: all_told(receiver, load), within_s=110)
        heard = [each for each in receiver.heard if each.answered]
        assert load.completed
        check_events(heard, load)
        check_events(receiver.heard, load)


def test_no_event_is_lost_when_the_service_is_killed_twice_under_load(stack: Stack, store: str) -> None:
    survive(stack, 2, store)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_event_is_lost_when_the_service_is_killed_twenty_times_under_load(stack: Stack, store: str) -> None:
    survive(stack, 20, store)


def test_a_call_goes_on_after_the_service_was_killed(stack: Stack) -> None:
    stack.start_rooms()
    with (
        SdkParticipant(stack.service, stack.token("ann"), "lobby") as ann,
        SdkParticipant(stack.service, stack.token("bob"), "lobby") as bob,
    ):
        assert ann.room
        assert bob.room
        wait_for("they have each other's data", lambda: ann.has_data_track_of("bob") and bob.has_data_track_of("ann"))
        wait_for("a message arrives", lambda: _send(ann, "before") or "before" in bob.messages, every_s=0.2)
        before = (ann.room.sid, ann.room.local_participant.sid, bob.room.local_participant.sid)
        stack.rooms.kill()
        stack.rooms.start()
        wait_for("a message of ann arrives", lambda: _send(ann, "after") or "after" in bob.messages, every_s=0.2)
        wait_for("a message of bob arrives", lambda: _send(bob, "too") or "too" in ann.messages, every_s=0.2)
        after = (ann.room.sid, ann.room.local_participant.sid, bob.room.local_participant.sid)

    assert after == before


def _send(who: SdkParticipant, text: str) -> None:
    who.send(text)
