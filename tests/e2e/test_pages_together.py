"""Both pages with the real kiosk, the real rooms service and the SDK as it is published."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.web_files import web_folder
from tests.support.processes import wait_for
from tests.support.rest_caller import RestCaller
from tests.support.stack import ROOM, Stack, running_stack

pytestmark = pytest.mark.browser

KIOSK_WAITS = f"""
[join]
default_room = "{ROOM}"
[video]
source = "test"
width = 640
height = 360
fps = 10
[audio]
input = "virtual"
output = "virtual"
[display]
mode = "dummy"
"""

Open = Callable[..., Page]


@pytest.fixture(autouse=True)
def sdk() -> None:
    if not (web_folder("guest") / "vendor" / "twilio-video.min.js").exists():
        pytest.skip("the Video SDK is not there: ./run test fetches it where npm is installed")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Rooms service, waiting kiosk and panel for all tests here."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        running.start_rooms()
        running.start_kiosk(KIOSK_WAITS)
        running.start_panel()
        yield running


@pytest.fixture(autouse=True)
def empty_room(stack: Stack) -> Iterator[None]:
    """Leave nobody in the room for the next test: a page that is closed does not say that it goes."""
    yield
    call = RestCaller(stack)

    def ended() -> bool:
        for room in call("GET", "/v1/Rooms?Status=in-progress")["rooms"]:
            call("POST", f"/v1/Rooms/{room['sid']}", {"Status": "completed"})
        return stack.panel_state().get("state") == "idle"

    wait_for("the kiosk waits again", ended)


@pytest.fixture
def pages(browser: Browser) -> Iterator[Open]:
    """Open an address in a profile of its own; nothing may break the page or its content policy."""
    contexts = []
    complaints: list[str] = []

    def open_page(address: str, **context: Any) -> Page:
        settings = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **context}
        opened = browser.new_context(permissions=["camera", "microphone"], **settings)
        contexts.append(opened)
        page = opened.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def invitation(stack: Stack) -> str:
    """The address of the guest page with an invitation, as the kiosk gives it out, over plain HTTP on loopback."""

    def link() -> str | None:
        guest = stack.panel_state()["guest"]
        found: str | None = guest["link"]
        return found

    whole = wait_for("the kiosk has an invitation", link)
    return f"{stack.service}/join/{ROOM}#{whole.partition('#')[2]}"


def join(pages: Open, invitation: str, name: str) -> Page:
    page = pages(invitation)
    page.get_by_label("Your name").fill(name)
    expect(page.get_by_role("button", name="Camera, on")).to_be_visible()
    page.get_by_role("button", name=f"Join {ROOM}").click()
    expect(page.locator("body")).to_have_attribute("data-page", "call", timeout=20_000)
    return page


def frames(page: Page, name: str) -> int:
    """Return how many frames of this person the page has shown."""
    video = page.get_by_role("group", name=name).locator("video")
    count: int = video.evaluate("video => video.getVideoPlaybackQuality().totalVideoFrames")
    return count


def sees(page: Page, name: str) -> None:
    tile = page.get_by_role("group", name=name)
    expect(tile).to_be_visible(timeout=20_000)
    expect(tile).not_to_have_class("no-video")
    wait_for(f"{name} moves", lambda: frames(page, name) > 20)


def test_a_guest_sees_the_kiosk_and_both_pages_tell_the_same_of_mute_and_leave(
    stack: Stack, pages: Open, invitation: str
) -> None:
    panel = pages(stack.panel_url)
    panel.get_by_role("button", name=f"Join {ROOM}").click()
    expect(panel.locator("h1")).to_contain_text("Alone in the room", timeout=20_000)
    guest = join(pages, invitation, "Ingrid Solberg")

    expect(panel.locator("h1")).to_contain_text("In the room with 1 other", timeout=20_000)
    expect(panel.locator("#wall .tile.full")).to_have_text("IS")
    expect(guest.get_by_role("group", name="hall-2")).to_be_visible(timeout=20_000)

    # Joined from afar the kiosk is muted and unseen; a finger on its own (drawn) button makes it heard.
    expect(guest.get_by_role("group", name="hall-2, microphone off")).to_be_visible()
    panel.get_by_role("link", name="Buttons").click()
    panel.get_by_role("button", name="Mute button").click(delay=120)
    expect(guest.get_by_role("group", name="hall-2", exact=True)).to_be_visible()
    expect(panel.get_by_text("Mute: dark")).to_be_visible()

    panel.get_by_role("link", name="Control").click()
    panel.get_by_role("button", name="Microphone, on").click()
    expect(guest.get_by_role("group", name="hall-2, microphone off")).to_be_visible()
    panel.get_by_role("button", name="Microphone, muted").click()
    expect(panel.get_by_text("Only the room can unmute.")).to_be_visible()
    expect(guest.get_by_role("group", name="hall-2, microphone off")).to_be_visible()

    guest.get_by_role("button", name="Microphone, on").click()
    panel.get_by_role("link", name="People").click()
    expect(panel.locator('[data-list="people"] .item').nth(1).get_by_role("img", name="Microphone off")).to_be_visible()

    panel.get_by_role("link", name="Buttons").click()
    panel.get_by_role("button", name="Leave button").click(delay=120)
    expect(guest.get_by_role("group", name="hall-2")).to_have_count(0)
    expect(guest.get_by_text("You are the first.")).to_be_visible()
    expect(panel.get_by_text("Live: dark")).to_be_visible()


def test_two_guests_see_each_other_and_what_the_other_turns_off(stack: Stack, pages: Open, invitation: str) -> None:
    first, second = join(pages, invitation, "Amara Okafor"), join(pages, invitation, "Jonas Weber")
    sees(first, "Jonas Weber")
    sees(second, "Amara Okafor")

    first.get_by_role("button", name="Microphone, on").click()
    expect(second.get_by_role("group", name="Amara Okafor, microphone off")).to_be_visible()
    first.get_by_role("button", name="Camera, on").click()
    expect(second.get_by_role("group", name="Amara Okafor").locator(".initials")).to_be_visible()

    first.get_by_role("button", name="Leave the room").click()
    expect(second.get_by_role("group")).to_have_count(0)
    expect(first.get_by_role("heading", name="You have left.")).to_be_visible()


def test_a_camera_that_is_turned_on_again_is_seen_again(stack: Stack, pages: Open, invitation: str) -> None:
    first, second = join(pages, invitation, "Amara Okafor"), join(pages, invitation, "Jonas Weber")
    sees(second, "Amara Okafor")
    first.get_by_role("button", name="Camera, on").click()
    expect(second.get_by_role("group", name="Amara Okafor").locator(".initials")).to_be_visible()

    first.get_by_role("button", name="Camera, off").click()

    sees(second, "Amara Okafor")


def test_a_guest_who_comes_back_is_seen_again(stack: Stack, pages: Open, invitation: str) -> None:
    first, second = join(pages, invitation, "Amara Okafor"), join(pages, invitation, "Jonas Weber")
    sees(second, "Amara Okafor")
    first.get_by_role("button", name="Leave the room").click()
    expect(second.get_by_role("group")).to_have_count(0)

    first.get_by_role("button", name="Join again").click()
    expect(first.get_by_role("button", name="Camera, on")).to_be_visible()
    first.get_by_role("button", name=f"Join {ROOM}").click()

    sees(second, "Amara Okafor")


def test_a_name_that_somebody_in_the_room_has_is_refused(stack: Stack, pages: Open, invitation: str) -> None:
    join(pages, invitation, "Amara Okafor")
    second = pages(invitation)
    second.get_by_label("Your name").fill("Amara Okafor")
    second.get_by_role("button", name=f"Join {ROOM}").click()

    expect(second.get_by_role("alert")).to_contain_text("Someone in the room has this name.")


def test_an_invitation_that_was_tampered_with_is_refused(stack: Stack, pages: Open, invitation: str) -> None:
    page = pages(invitation[:-4] + "AAAA")
    page.get_by_label("Your name").fill("Mallory")
    page.get_by_role("button", name=f"Join {ROOM}").click()

    expect(page.get_by_role("heading", name="This invitation is not valid.")).to_be_visible()


def test_a_killed_kiosk_is_said_by_the_panel_and_leaves_the_guests_room(
    stack: Stack, pages: Open, invitation: str
) -> None:
    panel = pages(stack.panel_url)
    panel.get_by_role("button", name=f"Join {ROOM}").click()
    expect(panel.get_by_role("button", name="Leave the room")).to_be_visible(timeout=20_000)

    stack.kiosk.kill()
    expect(panel.get_by_role("alert")).to_contain_text("The kiosk does not answer.")

    stack.kiosk.start()
    expect(panel.locator("#silence")).to_be_hidden(timeout=20_000)
