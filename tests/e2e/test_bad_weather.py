"""Two pages of the unmodified SDK, each behind a bad link of its own: what the browser counts."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.bad_weather import FINE, SIZE, Call, counts, sleep
from tests.support.lossy_relay import Weather
from tests.support.stack import Stack
from tests.support.wire_pages import meeting_in, module_stack

pytestmark = [pytest.mark.browser, pytest.mark.measuring]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = module_stack(tmp_path_factory.mktemp("stack"), "")
    yield running
    running.close()


@pytest.fixture(scope="module")
def call(stack: Stack, browser: Browser, application_address: str) -> Iterator[Call]:
    """One call for all kinds of weather."""
    with meeting_in(stack, browser, application_address) as meeting, ExitStack() as parts:
        yield Call(meeting, parts)


@pytest.fixture(autouse=True)
def clear_sky(call: Call) -> Iterator[None]:
    yield
    call.weather(FINE)
    call.well_after_s()


def test_five_percent_loss_on_both_hops_freezes_nothing(call: Call, record_property: Any) -> None:
    fine = call.freezes_in_s(3)
    lost_before = [relay.up.lost + relay.down.lost for relay in call.relays()]
    call.weather(Weather(loss=0.05, delay_s=0.005, reorder=0.02))
    sleep(call.pages[0], 2)  # the browser's buffer gets used to it
    before, sent = call.counted(), [page.call("framesSent") for page in reversed(call.pages)]

    sleep(call.pages[0], 5)

    sent = [page.call("framesSent") - then for page, then in zip(reversed(call.pages), sent, strict=True)]
    after = call.counted()
    for relay, lost in zip(call.relays(), lost_before, strict=True):
        assert relay.up.lost + relay.down.lost > lost + 15, "the link really was bad"
    for early, late, frames in zip(before, after, sent, strict=True):
        record_property("5 % loss", {**counts(early, late), "sent": frames})
        assert late["framesDecoded"] - early["framesDecoded"] > 0.95 * frames - 3
        assert late["nackCount"] > early["nackCount"], "repaired by asking again"
        assert late["pliCount"] - early["pliCount"] <= 1, "not by whole pictures"
        assert late["freezeCount"] - early["freezeCount"] <= fine + 1, "a busy machine has some of its own"


@pytest.mark.parametrize(
    "weather",
    [
        Weather(delay_s=0.15, jitter_s=0.04),
        Weather(delay_s=0.03, reorder=0.2, reorder_by_s=0.03),
        Weather(down_bps=250_000, delay_s=0.02),
    ],
    ids=["far and unsteady", "out of order", "a quarter of a megabit"],
)
def test_a_link_that_gets_worse_keeps_the_picture_moving(call: Call, weather: Weather, record_property: Any) -> None:
    call.weather(weather)
    sleep(call.pages[0], 2)
    record_property("moving after, s", call.well_after_s())
    before = call.counted()
    sleep(call.pages[0], 2)

    for early, late in zip(before, call.counted(), strict=True):
        record_property("in 2 s", counts(early, late))
        assert late["framesDecoded"] - early["framesDecoded"] > 0.4 * 2 * SIZE[2]


def test_after_a_second_of_nothing_the_picture_comes_back_by_one_key_frame(call: Call, record_property: Any) -> None:
    before = call.counted()
    call.weather(Weather(loss=1.0))
    sleep(call.pages[0], 1)

    call.weather(FINE)

    record_property("moving after, s", call.well_after_s())
    for early, late in zip(before, call.counted(), strict=True):
        record_property(
            "meanwhile", {key: late[key] - early[key] for key in late if key.endswith(("Count", "Decoded"))}
        )
        assert late["keyFramesDecoded"] - early["keyFramesDecoded"] <= 4, "requests are held together"
    assert [page.events("room:disconnected") for page in call.pages] == [[], []]
