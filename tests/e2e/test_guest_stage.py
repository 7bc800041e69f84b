"""The guest page's stage with many people, and what it says of the link; a stand-in for the SDK, no media."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.guest_server import guest_server

pytestmark = pytest.mark.browser

OTHERS = ("Harbour", "Amara Okafor", "Jonas Weber", "林 美玲", "Layla Haddad", "Tomasz Nowak", "Priya Raman")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A guest in a call with seven others, on a laptop."""
    with guest_server() as service:
        size: Any = {"width": 1280, "height": 800}
        context = browser.new_context(viewport=size, locale="en-GB", permissions=["camera", "microphone"])
        opened = context.new_page()
        opened.goto(service.page())
        opened.get_by_label("Your name").fill("Ingrid Solberg")
        opened.get_by_role("button", name="Join Harbour").click()
        expect(opened.get_by_role("button", name="Leave the room")).to_be_visible()
        for name in OTHERS:
            opened.evaluate("async (who) => await fake.arrive(who)", {"identity": name})
        expect(opened.get_by_role("group")).to_have_count(len(OTHERS))
        yield opened
        context.close()


def test_on_a_wide_screen_the_speaker_is_whole_however_many_others_there_are(page: Page) -> None:
    stage = "document.querySelector('#tiles')"
    whole = f"""() => {{
        const place = {stage}.getBoundingClientRect();
        return ['.main', '.main .tag', '#you'].every((which) => {{
            const box = document.querySelector(which).getBoundingClientRect();
            return box.height > 0 && box.top >= place.top && box.bottom <= place.bottom;
        }});
    }}"""
    assert page.evaluate(whole)

    page.get_by_role("group", name=OTHERS[-1]).scroll_into_view_if_needed()

    assert page.evaluate(f"{stage}.scrollTop") > 0
    assert page.evaluate(whole), "they stay while the strip of the others scrolls"


def test_a_weak_link_of_ones_own_is_said_until_it_is_better(page: Page) -> None:
    notice = page.locator("#trouble")
    expect(notice).to_be_hidden()

    page.evaluate("fake.quality(1)")
    expect(notice).to_have_text("Weak link")
    page.evaluate("fake.lose()")
    expect(notice).to_have_text("Reconnecting")
    # Without a link nobody is seen or heard, whatever is open here.
    expected = "Your camera or microphone is open; no link, trying again."
    expect(page.locator("#line-call")).to_have_attribute("aria-label", expected)
    page.evaluate("fake.find_again()")
    expect(notice).to_have_text("Weak link")
    page.evaluate("fake.quality(4)")

    expect(notice).to_be_hidden()


def test_a_picture_that_is_switched_off_gives_way_to_initials(page: Page) -> None:
    page.evaluate("async (who) => await fake.arrive(who)", {"identity": "Sofia Rossi", "picture": "#654"})
    tile = page.get_by_role("group", name="Sofia Rossi")
    expect(tile.locator(".initials")).to_be_hidden()

    page.evaluate(
        """() => {
            const participant = fake.find("Sofia Rossi"), [video] = participant.videoTracks.values();
            video.track.isSwitchedOff = true;
            participant.emit("trackSwitchedOff", video.track, video);
        }"""
    )

    expect(tile.locator(".initials")).to_have_text("SR")
    expect(tile.locator(".initials")).to_be_visible()
