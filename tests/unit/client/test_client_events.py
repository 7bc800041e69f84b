"""The emitter behind every object."""

import asyncio
import logging

import pytest

from appliance.client.events import Emitter


class Bell(Emitter):
    EVENTS = frozenset({"rung"})


def test_handlers_are_called_in_order_until_they_are_taken_off() -> None:
    bell, heard = Bell(), []
    first = bell.on("rung", lambda times: heard.append(("first", times)))
    bell.on("rung", lambda times: heard.append(("second", times)))

    bell.emit("rung", 3)
    bell.off("rung", first)
    bell.emit("rung", 1)

    assert heard == [("first", 3), ("second", 3), ("second", 1)]


def test_a_misspelt_event_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(ValueError, match="Bell has no event 'wrung'; it has rung"):
        Bell().on("wrung", print)


def test_a_handler_that_fails_is_logged_and_the_others_still_hear(caplog: pytest.LogCaptureFixture) -> None:
    bell, heard = Bell(), []

    def fails() -> None:
        raise RuntimeError("broken handler")

    bell.on("rung", fails)
    bell.on("rung", lambda: heard.append("rung"))
    with caplog.at_level(logging.ERROR):
        bell.emit("rung")

    assert heard == ["rung"]
    assert "broken handler" in caplog.text


async def test_waiting_returns_the_arguments_that_satisfy() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait_for("rung", 5, where=lambda times: times > 1))
    await asyncio.sleep(0)

    bell.emit("rung", 1)
    bell.emit("rung", 2)

    assert await waiting == (2,)


async def test_waiting_for_what_never_comes_ends_in_time() -> None:
    with pytest.raises(TimeoutError):
        await Bell().wait_for("rung", 0)
