"""The joining end of a link by itself: what no pair of ends can show."""

import json
from typing import Any

import pytest

from appliance.signaling.link import (
    NEVER,
    ClientLink,
    ClientLinkState,
    CloseCode,
    FrameBudget,
    LinkClosed,
    LinkOpened,
    MessageArrived,
)
from tests.support.signaling_pair import counted

BODY = {"type": "ice"}


def link() -> ClientLink:
    return ClientLink(BODY, counted("hello"), 0.0)


def opened(timeout_ms: float = 5000) -> ClientLink:
    joining = link()
    joining.receive(json.dumps({"type": "welcome", "negotiatedTimeout": timeout_ms}), 1.0)
    assert joining.next_event() == LinkOpened()
    joining.take_outbox()
    return joining


def frames(joining: ClientLink) -> list[dict[str, Any]]:
    return [json.loads(text) for text in joining.take_outbox()]


def test_every_hello_has_an_id_of_its_own_and_the_same_body() -> None:
    joining = link()
    joining.wake(5.0)
    joining.wake(10.0)

    hellos = frames(joining)

    assert [hello["id"] for hello in hellos] == ["hello-1", "hello-2", "hello-3"]
    assert all(hello["body"] == BODY and hello["timeout"] == 5000 for hello in hellos)


def test_waking_too_early_does_nothing() -> None:
    joining = link()
    joining.take_outbox()

    joining.wake(4.99)

    assert joining.take_outbox() == []


@pytest.mark.parametrize(("negotiated_ms", "beat_at"), [(5000, 4.8), (2000, 1.8), (0, 0.8), (-1, 0.8), (1e12, 29.8)])
def test_the_heartbeat_comes_200_ms_before_it_is_due_and_nonsense_is_bounded(
    negotiated_ms: float, beat_at: float
) -> None:
    joining = opened(negotiated_ms)

    assert joining.wake_at() == pytest.approx(beat_at)


def test_what_is_sent_is_a_heartbeat_too() -> None:
    joining = opened()

    joining.send(BODY, 4.0)

    assert joining.wake_at() == pytest.approx(8.8)


def test_messages_wait_for_the_welcome_and_keep_their_order() -> None:
    joining = link()
    joining.take_outbox()
    joining.send({"type": "one"}, 0.1)
    joining.send({"type": "two"}, 0.2)
    assert joining.take_outbox() == []

    joining.receive('{"type":"welcome","negotiatedTimeout":5000}', 1.0)

    assert [frame["body"]["type"] for frame in frames(joining)] == ["one", "two"]


def test_a_welcome_without_timeout_is_passed_by_and_another_hello_follows() -> None:
    joining = link()
    joining.take_outbox()

    joining.receive('{"type":"welcome"}', 1.0)
    joining.wake(5.0)

    assert joining.state is ClientLinkState.CONNECTING
    assert frames(joining)[0]["id"] == "hello-2"


def test_a_welcome_may_come_while_waiting() -> None:
    joining = link()
    joining.receive('{"type":"busy","retryAfter":60000,"keepAlive":true,"cookie":null}', 1.0)
    assert joining.state is ClientLinkState.WAITING

    joining.receive('{"type":"welcome","negotiatedTimeout":5000}', 2.0)

    assert joining.next_event() == LinkOpened()


def test_busy_restores_all_attempts_and_rearms() -> None:
    joining = link()
    joining.wake(5.0)
    joining.receive('{"type":"busy","retryAfter":1000,"keepAlive":true,"cookie":"a"}', 6.0)
    joining.receive('{"type":"busy","retryAfter":4000,"keepAlive":true,"cookie":"b"}', 6.5)
    assert joining.wake_at() == pytest.approx(10.5)
    joining.take_outbox()

    for at in (10.5, 15.5, 20.5):
        joining.wake(at)

    assert [hello["cookie"] for hello in frames(joining)] == ["b", "b", "b"]
    joining.wake(25.5)
    assert joining.next_event() == LinkClosed(CloseCode.NO_WELCOME)


@pytest.mark.parametrize(
    "text", ["nonsense", '{"type":"riddle"}', '{"type":"bad","reason":"late"}', '{"type":"bye"}', '{"type":"busy"}']
)
def test_what_has_no_place_in_an_open_link_is_passed_by(text: str) -> None:
    joining = opened()

    joining.receive(text, 2.0)

    assert joining.state is ClientLinkState.OPEN
    assert joining.next_event() is None


def test_only_messages_and_heartbeats_count_as_life() -> None:
    joining = opened()
    joining.receive('{"type":"msg","body":{"type":"update"}}', 3.0)
    assert joining.next_event() == MessageArrived({"type": "update"})
    joining.receive("nonsense", 10.0)

    while joining.wake_at() < NEVER:
        joining.wake(joining.wake_at())
        last = joining.next_event()

    assert last == LinkClosed(CloseCode.SILENCE)


def test_a_closed_link_sends_and_wants_nothing() -> None:
    joining = opened()
    joining.say_bye(2.0)
    assert frames(joining) == [{"type": "bye"}]

    joining.receive('{"type":"msg","body":{}}', 3.0)
    joining.wake(100.0)

    assert joining.next_event() is None
    assert joining.take_outbox() == []
    assert joining.wake_at() == NEVER


def test_a_clock_that_stands_still_refills_no_budget() -> None:
    budget = FrameBudget()

    taken = sum(budget.take(7.0) for _ in range(400))

    assert taken == 250
