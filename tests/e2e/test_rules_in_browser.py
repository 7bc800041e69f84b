"""What a server says by REST reaches the unmodified SDK in a browser: rules, removal, the end of a room."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Application
from tests.support.processes import wait_for
from tests.support.rest_caller import RestCaller
from tests.support.stack import Stack
from tests.support.wire_pages import module_stack

pytestmark = pytest.mark.browser

SMALL = [320, 180, 10]
_numbers = count(1)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = module_stack(tmp_path_factory.mktemp("stack"), "")
    yield running
    running.close()


class Meeting:
    """A room of its own, in which Anna publishes sound, picture and data, and Bert watches."""

    def __init__(self, stack: Stack, open_application: Callable[[], Application]) -> None:
        self.call = RestCaller(stack)
        name = f"room-{next(_numbers)}"
        self.room = self.call("POST", "/v1/Rooms", {"UniqueName": name})
        self.path = f"/v1/Rooms/{name}"
        self.anna, self.bert = open_application(), open_application()
        where = {"service": stack.service, "room": name, "size": SMALL}
        self.anna.join(token=stack.token("anna", name), **where)
        self.bert.join(token=stack.token("bert", name), **where, media=False, data=False)
        wait_for("Bert receives everything of Anna's", lambda: self.received() == ["audio", "data", "video"])

    def received(self) -> list[str]:
        """Return the kinds of the tracks that Bert has been given and not been taken."""
        kinds: list[str] = []
        for name, detail in self.bert.events():
            if name == "trackSubscribed":
                kinds.append(detail["kind"])
            if name == "trackUnsubscribed":
                kinds.remove(detail["kind"])
        return sorted(kinds)

    def set_rules(self, *rules: dict[str, Any]) -> None:
        answer = self.call("POST", f"{self.path}/Participants/bert/SubscribeRules", {"Rules": json.dumps(rules)})
        assert len(answer["rules"]) == len(rules)

    def listed(self) -> list[str]:
        """Return the kinds of the tracks that the REST API says Bert receives."""
        page = self.call("GET", f"{self.path}/Participants/bert/SubscribedTracks")
        return sorted(track["kind"] for track in page["subscribed_tracks"])


@pytest.fixture
def meeting(stack: Stack, open_application: Callable[[], Application]) -> Meeting:
    return Meeting(stack, open_application)


def test_rules_take_tracks_and_give_them_back_by_every_filter(meeting: Meeting) -> None:
    published = meeting.call("GET", f"{meeting.path}/Participants/anna/PublishedTracks")["published_tracks"]
    sid = {track["kind"]: track["sid"] for track in published}
    anna = meeting.call("GET", f"{meeting.path}/Participants/anna")["sid"]
    everything = {"type": "include", "all": True}
    steps: list[tuple[list[dict[str, Any]], list[str]]] = [
        ([{"type": "include", "kind": "audio"}], ["audio"]),
        ([everything, {"type": "exclude", "kind": "audio"}], ["data", "video"]),
        ([{"type": "include", "track": "chat"}], ["data"]),
        ([{"type": "include", "track": sid["video"]}], ["video"]),
        ([everything, {"type": "exclude", "publisher": "anna"}], []),
        ([{"type": "include", "publisher": anna, "kind": "video"}], ["video"]),
        ([{"type": "include", "priority": "high"}], []),
        ([{"type": "include", "priority": "standard"}], ["audio", "data", "video"]),
    ]
    for rules, expected in steps:
        meeting.set_rules(*rules)

        assert meeting.listed() == expected, "the list follows before the answer is sent"
        wait_for(f"the SDK follows {rules}", lambda wanted=expected: meeting.received() == wanted)

    shown = meeting.bert.call("decoded", "anna")
    wait_for("the picture moves again", lambda: meeting.bert.call("decoded", "anna") > shown + 5)
    assert meeting.bert.errors == []


def test_rules_apply_to_tracks_that_come_later(meeting: Meeting) -> None:
    meeting.set_rules({"type": "include", "track": "tone"})
    wait_for("nothing is left", lambda: meeting.received() == [])

    meeting.anna.call("publishTone", 700)

    wait_for("the tone arrives", lambda: meeting.received() == ["audio"])
    assert meeting.listed() == ["audio"]


def test_who_is_removed_is_told_so_without_an_error(meeting: Meeting) -> None:
    answer = meeting.call("POST", f"{meeting.path}/Participants/bert", {"Status": "disconnected"})

    assert answer["status"] == "disconnected"
    wait_for("Bert is out", lambda: meeting.bert.events("room:disconnected") == [{"code": None}])
    wait_for("Anna sees it", lambda: meeting.anna.events("participantDisconnected") == [{"identity": "bert"}])
    assert meeting.anna.events("room:disconnected") == []


def test_when_the_room_is_completed_everybody_is_told_53118(meeting: Meeting) -> None:
    answer = meeting.call("POST", f"/v1/Rooms/{meeting.room['sid']}", {"Status": "completed"})

    assert answer["status"] == "completed"
    for page in (meeting.anna, meeting.bert):
        wait_for("it is over", lambda page=page: page.events("room:disconnected") == [{"code": 53118}])
    listed = meeting.call("GET", f"/v1/Rooms/{meeting.room['sid']}/Participants")["participants"]
    assert {each["identity"]: each["status"] for each in listed} == {"anna": "disconnected", "bert": "disconnected"}


def test_who_has_been_in_the_room_for_as_long_as_it_allows_is_told_53216(
    stack: Stack, open_application: Callable[[], Application]
) -> None:
    call = RestCaller(stack)
    call("POST", "/v1/Rooms", {"UniqueName": "short", "MaxParticipantDuration": "600"})
    bert = open_application()
    bert.join(token=stack.token("bert", "short"), service=stack.service, room="short", media=False, data=False)

    stack.rooms.kill()
    came_in_nearly_ten_minutes_ago(stack.folder / "rooms" / "rooms.sqlite3")
    stack.rooms.start()

    wait_for("it is over for Bert", lambda: bert.events("room:disconnected") == [{"code": 53216}], within_s=40)
    # Nobody waited for the store when time was up, as a request would have.
    path = "/v1/Rooms/short/Participants?Status=disconnected"
    (gone,) = wait_for("the record tells it too", lambda: call("GET", path)["participants"])
    assert (gone["identity"], gone["duration"] >= 600) == ("bert", True)
    assert call("GET", "/v1/Rooms/short")["status"] == "in-progress"


def came_in_nearly_ten_minutes_ago(store: Path) -> None:
    """Let the store of a service that is down say so of everybody: nobody can wait for ten minutes here.

    What is left of them is about what the service and the SDK take to find each other again.
    """
    started = datetime.now(UTC) - timedelta(seconds=600 - 5)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE participant SET started = ?", (started.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),))
