"""Lost sockets, lost media, offers that fail: the unmodified SDK in Chromium stays in its room."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Application
from tests.support.lossy_relay import Weather
from tests.support.processes import wait_for
from tests.support.signaling_proxy import Frame, SignalingProxy, as_it_is
from tests.support.stack import Stack
from tests.support.wire_pages import Meeting, meeting_in, module_stack, moves, subscribed

pytestmark = pytest.mark.browser

SESSION_TIMEOUT_S = 9


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = module_stack(
        tmp_path_factory.mktemp("stack"),
        f"[signaling]\nsession_timeout_s = {SESSION_TIMEOUT_S}.0\n[tokens]\nleeway_s = 0.0\n",
    )
    yield running
    running.close()


def test_a_socket_that_is_closed_with_any_code_but_1000_is_resumed(meeting: Meeting) -> None:
    with meeting.proxy() as proxy:
        anna = meeting.join("anna", proxy.url)
        bert = meeting.join("bert", media=False)
        for number, code in enumerate((1001, 1011, None), start=1):
            proxy.close_sockets(code) if code else proxy.cut_sockets()
            came_back(anna, times=number)

        assert anna.events("room:reconnecting") == [{"code": 53001}] * 3
        assert len(proxy.said("up", "sync")) >= 3
        wait_for("bert saw it", lambda: len(bert.events("participantReconnected")) == 3)
        assert len(bert.events("participantReconnecting")) == 3
        assert bert.events("participantDisconnected") == []
        assert len(proxy.descriptions("down", "create-offer")) == 0, "media went on over the same connection"
        moves(bert, "anna")


def came_back(page: Application, times: int) -> None:
    wait_for("it is back", lambda: len(page.events("room:reconnected")) == times)


def test_an_offer_that_was_lost_with_the_socket_comes_again(meeting: Meeting) -> None:
    with meeting.proxy() as proxy:
        anna = meeting.join("anna", proxy.url)
        bert = meeting.join("bert", media=False)
        wait_for("all there", lambda: subscribed(anna, "bert") == ["chat"])
        proxy.meddle = losing("down", "offer")
        bert.call("publish", "tone", "tone")
        wait_for("an offer is lost", lambda: proxy.meddle(*LOST) is not None)

        proxy.meddle = as_it_is
        proxy.cut_sockets()

        wait_for("the tone arrives", lambda: subscribed(anna, "bert") == ["chat", "tone"])
        synced = proxy.said("down", "synced")[-1]
        assert synced["peer_connections"][0]["description"]["type"] == "offer"


def test_an_answer_that_was_lost_with_the_socket_comes_again(meeting: Meeting) -> None:
    with meeting.proxy() as proxy:
        anna = meeting.join("anna", proxy.url, data=False)
        bert = meeting.join("bert", media=False, data=False)
        proxy.meddle = losing("down", "answer")
        anna.page.evaluate("() => { window.publishing = app.publish('tone', 'tone'); }")
        wait_for("an answer is lost", lambda: proxy.meddle(*LOST) is not None)

        proxy.meddle = as_it_is
        proxy.cut_sockets()

        assert anna.page.evaluate("window.publishing") is None
        wait_for("bert has the tone", lambda: "tone" in subscribed(bert, "anna"))


LOST = ("ask", {"type": "nothing"})
"""What a losing `meddle` answers with its last loss, None before the first."""


def losing(direction: str, kind: str):  # type: ignore[no-untyped-def]
    """Lose every update that holds a description of this type."""
    lost: list[Frame] = []

    def meddle(way: str, frame: Frame) -> Frame | None:
        if way == "ask":
            return lost[-1] if lost else None
        entries = (frame.get("body") or {}).get("peer_connections") or ()
        if way == direction and any((entry.get("description") or {}).get("type") == kind for entry in entries):
            lost.append(frame)
            return None
        return frame

    return meddle


def test_who_stays_away_too_long_is_out_on_both_sides_and_so_is_whose_token_has_expired(meeting: Meeting) -> None:
    with meeting.proxy() as proxy, meeting.proxy() as other, meeting.proxy() as third:
        carl = meeting.join("carl", other.url, **NOTHING, token=meeting.stack.token("carl", meeting.room, ttl_s=6))
        anna = meeting.join("anna", proxy.url, **NOTHING)
        bert = meeting.join("bert", **NOTHING)
        dora = meeting.join("dora", third.url, **NOTHING)
        third.cut_sockets()
        came_back(dora, times=1)

        proxy.refusing = True
        proxy.cut_sockets()

        wait_for("anna is told", lambda: anna.events("room:disconnected"), within_s=SESSION_TIMEOUT_S + 15)
        assert dora.events("room:disconnected") == [], "who comes back stays, even without a track"
        wait_for("bert too", lambda: bert.events("participantDisconnected") == [{"identity": "anna"}])
        assert anna.events("room:disconnected") == [{"code": 53001}]
        assert {"identity": "anna"} in bert.events("participantReconnecting")

        other.cut_sockets()  # by now the token is old; that alone has changed nothing
        assert carl.events("room:disconnected") == []
        wait_for("he is refused", lambda: carl.events("room:disconnected") == [{"code": 20104}])


NOTHING: dict[str, Any] = {"media": False, "data": False}


def broken_offers(proxy: SignalingProxy):  # type: ignore[no-untyped-def]
    """Make the service's offers unusable until it has had enough of it."""

    def meddle(way: str, frame: Frame) -> Frame | None:
        for entry in (frame.get("body") or {}).get("peer_connections") or () if way == "down" else ():
            description = entry.get("description") or {}
            if description.get("type") == "create-offer":
                proxy.meddle = as_it_is
            elif description.get("type") == "offer":
                description["sdp"] = description["sdp"].replace("a=mid:", "a=mid:x")
        return frame

    return meddle


def test_who_cannot_apply_an_offer_gets_another_peer_connection_and_everything_on_it(
    stack: Stack, browser: Browser, application_address: str
) -> None:
    with meeting_in(stack, browser, application_address) as meeting, meeting.proxy() as proxy:
        anna = meeting.join("anna", proxy.url)
        bert = meeting.join("bert")
        moves(anna, "bert")
        moves(bert, "anna")
        proxy.meddle = broken_offers(proxy)

        bert.call("publish", "card", "card")

        wait_for("another connection is wanted", lambda: proxy.descriptions("down", "create-offer"), within_s=30)
        update = next(body for body in proxy.said("down", "update") if len(body.get("peer_connections") or ()) == 2)
        assert [entry["description"]["type"] for entry in update["peer_connections"]] == ["close", "create-offer"]
        assert update["subscribed"]["tracks"] == []
        wait_for("all of bert's is there", lambda: len(subscribed(anna, "bert")) == 4)
        moves(anna, "bert")
        moves(bert, "anna")
        bert.call("say", "still there?")
        wait_for("data too", lambda: anna.page.evaluate("app.messages") == ["still there?"])
        assert anna.events("room:disconnected") == []
        anna.page.evaluate("app.errors.length = 0")  # the SDK throws in the page where an offer cannot be applied


def test_media_that_stops_and_comes_back_goes_on_after_an_ice_restart(meeting: Meeting) -> None:
    with meeting.proxy(Weather()) as proxy:
        anna = meeting.join("anna", proxy.url)
        bert = meeting.join("bert")
        moves(bert, "anna")
        moves(anna, "bert")

        proxy.weather(Weather(loss=1.0), all_of_it=True)
        wait_for("it is noticed", lambda: anna.events("room:reconnecting") == [{"code": 53405}])
        proxy.weather(Weather(), all_of_it=True)

        wait_for("it is back", lambda: anna.events("room:reconnected"), within_s=SESSION_TIMEOUT_S)
        moves(bert, "anna")
        moves(anna, "bert")
        ufrags = [line for offer in proxy.descriptions("up", "offer") for line in first_ufrag(offer["sdp"])]
        assert len(set(ufrags)) > 1, "the client restarted ICE"
        assert bert.events("participantDisconnected") == anna.events("room:disconnected") == []


def first_ufrag(sdp: str) -> list[str]:
    return [line for line in sdp.splitlines() if line.startswith("a=ice-ufrag:")][:1]
