"""A browser whose cable is pulled goes on over another one, in the same room, as the same participant."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from appliance.web_files import web_folder
from tests.support.browser import FLAGS, PAGES, Application
from tests.support.net_spaces import SERVICE, TwoCables, two_cables
from tests.support.processes import Program, appliance, wait_for
from tests.support.programs_found import chromium
from tests.support.stack import ROOM, Stack
from tests.support.wire_pages import moves

pytestmark = pytest.mark.browser

PAGE = "http://localhost/app.html"
"""Never asked for over the network: the page is put in its place. By this name it counts as secure."""

SMALL = [320, 180, 10]


@pytest.fixture
def spaces() -> Iterator[TwoCables]:
    with two_cables() as made:
        yield made


@pytest.fixture
def stack(tmp_path: Path, spaces: TwoCables) -> Iterator[Stack]:
    """The service in a namespace of its own, known by one address."""
    running = Stack(tmp_path)
    arguments = [
        "--state-dir",
        str(tmp_path / "rooms"),
        "--http",
        f"{SERVICE}:8080",
        "--https",
        "",
        "--advertise",
        SERVICE,
    ]
    rooms = Program("rooms", spaces.within(spaces.far, appliance("rooms", *arguments)), tmp_path)
    rooms.arguments += ["--ready-file", str(rooms.ready_path)]
    running.programs.append(rooms)
    running._rooms = rooms
    try:
        rooms.start()
        yield running
    finally:
        running.close()


@pytest.fixture
def near_browser(browser: Browser, spaces: TwoCables, tmp_path: Path) -> Iterator[Browser]:
    launcher = str(spaces.launcher(tmp_path, chromium()))
    launched = browser.browser_type.launch(executable_path=launcher, args=[*FLAGS, "--no-proxy-server"])
    yield launched
    launched.close()


def serve(route: Route) -> None:
    name = route.request.url.rpartition("/")[2]
    folder = web_folder("guest") / "vendor" if name == "twilio-video.min.js" else PAGES
    route.fulfill(path=folder / name)


def open_page(browser: Browser) -> Application:
    page: Page = browser.new_context(permissions=["camera", "microphone"]).new_page()
    page.route("http://localhost/*", serve)
    return Application(page, PAGE)


def wait_until_connected(page: Application) -> None:
    wait_for("the signaling is there", lambda: page.page.evaluate("app.room.state") == "connected", within_s=30)


def test_a_pulled_cable_does_not_end_the_call(
    stack: Stack, spaces: TwoCables, near_browser: Browser, application_address: str
) -> None:
    anna, bert = open_page(near_browser), open_page(near_browser)
    for name, page in (("anna", anna), ("bert", bert)):
        page.join(token=stack.token(name), service=stack.service, room=ROOM, size=SMALL)
    moves(anna, "bert")
    moves(bert, "anna")
    before = anna.call("paths")

    spaces.cut(0)

    moves(anna, "bert", within_s=30)
    moves(bert, "anna", within_s=30)
    for page in (anna, bert):
        wait_until_connected(page)
        assert page.events("room:disconnected") == []
        assert page.events("participantDisconnected") == []
    assert [path["address"] for path in anna.call("paths")] != [path["address"] for path in before]
    anna.call("say", "still here")
    wait_for("data too", lambda: bert.page.evaluate("app.messages") == ["still here"])
