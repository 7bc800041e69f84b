"""The rooms service is killed under a call of the unmodified SDK in a browser: it resumes by itself."""

from collections.abc import Iterator

import pytest

from tests.support.browser import Application, application_server, chromium
from tests.support.processes import wait_for
from tests.support.stack import ROOM, Stack

SMALL = [320, 180, 10]


@pytest.fixture
def two(stack: Stack) -> Iterator[tuple[Application, Application]]:
    stack.start_rooms()
    with chromium() as browser, application_server() as address:
        yield (
            Application(browser.new_context().new_page(), address),
            Application(browser.new_context().new_page(), address),
        )


@pytest.mark.browser
def test_a_browser_call_goes_on_after_the_service_was_killed(
    stack: Stack, two: tuple[Application, Application]
) -> None:
    anna, bert = two
    anna.join(token=stack.token("anna"), service=stack.service, room=ROOM, size=SMALL)
    bert.join(token=stack.token("bert"), service=stack.service, room=ROOM, media=False, data=False, size=SMALL)
    wait_for("Bert sees Anna", lambda: bert.call("decoded", "anna") > 5)

    stack.rooms.kill()
    stack.rooms.start()
    for who in two:
        wait_for("it is back", lambda who=who: who.events("room:reconnected"), within_s=40)
    shown = bert.call("decoded", "anna")
    wait_for("the picture moves again", lambda: bert.call("decoded", "anna") > shown + 10, within_s=40)

    assert anna.events("room:disconnected") == bert.events("room:disconnected") == []
    assert bert.events("participantDisconnected") == []
