"""What the unmodified SDK publishes, is refused, and negotiates against others who do the same at once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, WebSocket

from tests.support.browser import OLDER_SDK, Application
from tests.support.processes import wait_for
from tests.support.rest_caller import RestCaller
from tests.support.stack import Stack
from tests.support.wire_pages import Meeting, meeting_in, module_stack, moves, subscribed

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = module_stack(tmp_path_factory.mktemp("stack"), "")
    yield running
    running.close()


def has(page: Application, identity: str, tracks: list[str]) -> None:
    """Wait until a page has exactly these tracks of somebody."""
    seen: list[str] = []

    def look() -> bool:
        seen[:] = subscribed(page, identity)
        return seen == tracks

    try:
        wait_for(f"{tracks} of {identity}", look)
    except AssertionError as error:
        error.add_note(f"it has {seen}; its errors: {page.page.evaluate('app.errors')}")
        raise


# --- negotiating ------------------------------------------------------------------------------------------------------


def test_everybody_publishes_everything_at_once_and_everybody_has_all_of_it(meeting: Meeting) -> None:
    with meeting.proxy() as proxy:
        names = ("anna", "bert", "carl")
        pages = {name: meeting.join(name, proxy.url, media=False, data=False) for name in names}
        for name, page in pages.items():
            page.page.evaluate(
                "name => { window.all = Promise.all(['card', 'tone', 'data'].map((k) => app.publish(k, k + name))); }",
                name,
            )

        for page in pages.values():
            assert page.page.evaluate("window.all") == [None, None, None]
        for name, page in pages.items():
            for other in names:
                if other != name:
                    has(page, other, [kind + other for kind in ("card", "data", "tone")])
                    moves(page, other)
        pages["anna"].call("sayOn", "dataanna", "the first data track came later")
        wait_for("it arrives", lambda: pages["carl"].page.evaluate("app.messages.length") == 1)


def test_publishing_and_unpublishing_against_each_other_reuses_sections_and_ends_well(meeting: Meeting) -> None:
    with meeting.proxy() as proxy:
        anna = meeting.join("anna", proxy.url, media=False, data=False)
        bert = meeting.join("bert", proxy.url, media=False, data=False)
        script = """async (who) => {
          for (let round = 0; round < 5; round += 1) {
            const codes = [await app.publish('card', who + round), await app.publish('tone', who + 't' + round)];
            if (codes.some((code) => code !== null)) return codes;
            app.unpublish(who + round);
            app.unpublish(who + 't' + round);
          }
          return app.publish('card', who);
        }"""
        for page, who in ((anna, "a"), (bert, "b")):
            page.page.evaluate(f"who => {{ window.rounds = ({script})(who); }}", who)

        assert [page.page.evaluate("window.rounds") for page in (anna, bert)] == [None, None]
        for page, other, left in ((anna, "bert", ["b"]), (bert, "anna", ["a"])):
            has(page, other, left)
            moves(page, other)
        sdps = [each["sdp"] for kind in ("offer", "answer") for each in proxy.descriptions("down", kind)]
        assert max(sdp.count("\r\nm=") for sdp in sdps) <= 8, "eleven tracks each way went over few sections"


def test_whoever_subscribes_to_nothing_gets_nothing_until_rules_say_so(meeting: Meeting) -> None:
    anna = meeting.join("anna", data=False)
    bert = meeting.join("bert", media=False, data=False, options={"automaticSubscription": False})
    wait_for("they are in the room", lambda: anna.call("people") == ["bert"] and bert.call("people") == ["anna"])
    anna.call("publish", "tone", "tone")
    wait_for("bert knows of it", lambda: bert.events("trackPublished"))
    assert subscribed(bert, "anna") == []

    path = f"/v1/Rooms/{meeting.room}/Participants/bert/SubscribeRules"
    RestCaller(meeting.stack)("POST", path, {"Rules": json.dumps([{"type": "include", "track": "tone"}])})

    wait_for("now he has it", lambda: subscribed(bert, "anna") == ["tone"])


def test_an_older_sdk_and_a_newer_one_meet(meeting: Meeting, application_address: str) -> None:
    if not OLDER_SDK.exists():
        pytest.skip("the older Video SDK is not there: ./run test fetches it where npm is installed")
    newer = meeting.join("newer")
    older = meeting.open(application_address.replace("app.html", "app-2.32.html"))
    older.join(**meeting.ticket("older"), service=meeting.stack.service, size=[320, 180, 10])
    assert older.page.evaluate("Twilio.Video.version").startswith("2.32.")

    moves(newer, "older")
    moves(older, "newer")
    newer.call("say", "hello")
    wait_for("data", lambda: older.page.evaluate("app.messages") == ["hello"])
    assert older.call("publish", "tone", "tone") is None
    wait_for("a later track", lambda: "tone" in subscribed(newer, "older"))
    older.call("leave")
    wait_for("it has left", lambda: newer.events("participantDisconnected") == [{"identity": "older"}])


# --- refusing ---------------------------------------------------------------------------------------------------------


def test_a_track_that_may_not_be_published_fails_with_its_code_and_the_others_stay(meeting: Meeting) -> None:
    anna = meeting.join("anna", media=False, data=False)
    bert = meeting.join("bert", media=False, data=False)
    assert anna.call("publish", "data", "one") is None

    assert anna.call("publish", "data", "one") == 53304
    assert anna.call("publish", "data", "x" * 129) == 53302
    assert anna.call("publish", "data", "x" * 128) is None
    assert [anna.call("publish", "data", f"more {number}") for number in range(14)] == [None] * 14
    assert anna.call("publish", "data", "the seventeenth") == 53203

    anna.call("unpublish", "one")
    assert anna.call("publish", "tone", "one") is None, "name and place are free again"
    wait_for("bert has sixteen", lambda: len(subscribed(bert, "anna")) == 16)


def test_in_an_audio_only_room_a_picture_fails_with_53125_and_the_sound_is_heard(meeting: Meeting) -> None:
    RestCaller(meeting.stack)("POST", "/v1/Rooms", {"UniqueName": meeting.room, "AudioOnly": "true"})
    anna = meeting.join("anna", media=False, data=False)
    bert = meeting.join("bert", media=False, data=False)

    assert anna.call("publish", "card", "card") == 53125
    assert anna.call("publish", "tone", "tone") is None

    wait_for("bert has the sound", lambda: subscribed(bert, "anna") == ["tone"])


def test_who_may_not_come_in_is_told_why(meeting: Meeting) -> None:
    call = RestCaller(meeting.stack)
    full = call("POST", "/v1/Rooms", {"UniqueName": meeting.room, "MaxParticipants": "1"})
    first = meeting.join("first", media=False, data=False)

    assert meeting.refused("second") == 53105
    assert meeting.refused("second", room="RM" + "0" * 32) == 53106
    assert meeting.refused("second", room="x" * 129) == 53101
    assert meeting.refused("second", token="nonsense") == 20101
    twin = meeting.join("first", media=False, data=False)
    wait_for("the older one is out", lambda: first.events("room:disconnected") == [{"code": 53205}])
    call("POST", f"/v1/Rooms/{full['sid']}", {"Status": "completed"})
    wait_for("it is over", lambda: twin.events("room:disconnected") == [{"code": 53118}])
    assert meeting.refused("second", room=full["sid"]) == 53118


@pytest.mark.parametrize(("kind", "most"), [("go", 2), ("group-small", 4), ("peer-to-peer", 10)])
def test_every_type_of_room_is_served_and_holds_as_many_as_it_may(meeting: Meeting, kind: str, most: int) -> None:
    room = RestCaller(meeting.stack)("POST", "/v1/Rooms", {"UniqueName": meeting.room, "Type": kind})
    anna = meeting.join("anna", media=False)
    bert = meeting.join("bert", media=False)
    wait_for("anna has bert's track", lambda: subscribed(anna, "bert") == ["chat"])

    bert.call("say", "hello")

    wait_for("it arrives", lambda: anna.page.evaluate("app.messages") == ["hello"])
    assert (room["type"], room["max_participants"]) == (kind, most)
    if kind == "go":
        assert meeting.refused("carl") == 53105


# --- coming in when there is no room ----------------------------------------------------------------------------------


def test_no_room_for_more_makes_the_sdk_wait_and_come_in_by_itself(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser, application_address: str
) -> None:
    limits = "[signaling]\nmax_participants = 1\nmax_waiting = 1\n"
    small = module_stack(tmp_path_factory.mktemp("small"), limits)
    try:
        with meeting_in(small, browser, application_address) as meeting:
            inside = meeting.join("first", media=False, data=False)
            open_one, sent_away = Waiting(meeting, "open"), Waiting(meeting, "sent-away")
            wait_for("it has come back twice", lambda: sent_away.sockets() >= 3)
            assert (open_one.sockets(), open_one.busy_kinds()) == (1, {True})
            assert sent_away.busy_kinds() == {False}

            for waiting in (open_one, sent_away):
                assert not waiting.is_in()
                inside.call("leave")
                wait_for("the next one is in", waiting.is_in)
                inside = waiting.page
            assert open_one.sockets() == 1
    finally:
        small.close()


class Waiting:
    """A page that is told to join and does not get in at once; what came over its sockets."""

    def __init__(self, meeting: Meeting, identity: str) -> None:
        self.page = meeting.open()
        self._sockets = 0
        self._frames: list[Any] = []
        self.page.page.on("websocket", self._opened)
        how = {
            **meeting.ticket(identity),
            "wsServer": meeting.stack.service.replace("http", "ws", 1) + "/signaling",
            "media": False,
            "data": False,
        }
        self.page.page.evaluate("how => { app.tryJoin(how); }", how)
        wait_for("it was told to wait", self.busy_kinds, every_s=0.2)

    def _opened(self, socket: WebSocket) -> None:
        self._sockets += 1
        socket.on("framereceived", lambda frame: self._frames.append(json.loads(frame)))

    def sockets(self) -> int:
        """Return how many it has opened so far."""
        self.is_in()  # what is asked of the page lets Playwright deliver what happened before
        return self._sockets

    def busy_kinds(self) -> set[bool]:
        """Return which values of `keepAlive` came with `busy` so far."""
        self.is_in()
        return {frame["keepAlive"] for frame in self._frames if frame["type"] == "busy"}

    def is_in(self) -> bool:
        return bool(self.page.page.evaluate("app.room !== null"))
