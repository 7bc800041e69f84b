"""The guest page in a real browser, with a stand-in for the SDK: before, in and after the call, and out of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.guest_server import GuestServer, guest_server
from tests.support.processes import wait_for

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 800}


@pytest.fixture
def service() -> Iterator[GuestServer]:
    with guest_server() as running:
        yield running


class Guest:
    """One visitor: a page in a profile of its own."""

    def __init__(self, browser: Browser, service: GuestServer, address: str | None = None, **context: Any) -> None:
        settings = {"viewport": PHONE, "locale": "en-GB", "permissions": ["camera", "microphone"], **context}
        self.service = service
        self.context = browser.new_context(**settings)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self._hear(said.text))
        self.page.goto(address or service.page())

    def _hear(self, text: str) -> None:
        if "Content Security" in text:
            self.complaints.append(text)

    def fake(self, call: str, *values: Any) -> Any:
        """Move the hand of the stand-in."""
        return self.page.evaluate(f"async (values) => await fake.{call}(...values)", list(values))

    def join(self, name: str = "Ingrid Solberg") -> None:
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Join Harbour").click()
        expect(self.page.locator("body")).to_have_attribute("data-page", "call")

    def open_tracks(self) -> list[str]:
        """Return the kinds of what is captured now, by what the browser says of every track it gave out."""
        kinds: list[str] = self.page.evaluate("captured.filter(t => t.readyState === 'live').map(t => t.kind).sort()")
        return kinds


WATCH_CAPTURE = """
window.captured = [];
const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (ask) navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await ask(wanted);
  captured.push(...stream.getTracks());
  return stream;
};
"""


@pytest.fixture
def visit(browser: Browser, service: GuestServer) -> Iterator[Callable[..., Guest]]:
    guests: list[Guest] = []

    def open_page(address: str | None = None, prepare: str = "", **context: Any) -> Guest:
        guest = Guest(browser, service, "about:blank", **context)
        guests.append(guest)
        guest.page.add_init_script(WATCH_CAPTURE + prepare)
        guest.page.goto(address or service.page())
        return guest

    yield open_page
    for guest in guests:
        guest.context.close()
        assert guest.complaints == []


def test_before_joining_the_guest_sees_only_itself_and_the_line_is_lit_on_the_left(visit: Callable[..., Guest]) -> None:
    page = visit().page

    expect(page.locator("#preview-video")).to_be_visible()
    wait_for("the preview moves", lambda: page.evaluate("document.querySelector('#preview-video').currentTime > 0"))
    expect(page.get_by_text("Only you see this")).to_be_visible()
    line = page.locator("#line-before")
    expect(line).to_have_attribute("aria-label", "Your camera or microphone is open; not in the room.")
    expect(line.locator(".half").first).to_have_class("half live")
    expect(line.locator(".half").last).to_have_class("half ")


def test_the_microphones_level_moves_before_joining(visit: Callable[..., Guest]) -> None:
    page = visit().page
    levels: set[str] = set()

    def moves() -> bool:
        levels.add(page.evaluate("document.querySelector('#before-mic').style.getPropertyValue('--level')"))
        return len(levels) > 3

    wait_for("the level moves", moves)


def test_devices_turned_off_before_joining_are_closed_and_the_line_is_dark(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.page.get_by_role("button", name="Camera, on").click()
    guest.page.get_by_role("button", name="Microphone, on").click()

    expect(guest.page.get_by_role("button", name="Microphone, off")).to_be_visible()
    assert guest.open_tracks() == []
    expect(guest.page.locator("#line-before .half.live")).to_have_count(0)
    guest.join()
    assert guest.page.evaluate("fake.connects[0].tracks") == []


def test_joining_sends_invitation_and_name_and_connects_without_telemetry(
    visit: Callable[..., Guest], service: GuestServer
) -> None:
    guest = visit()
    guest.join("  Ingrid   Solberg ")

    assert service.asked == [{"invitation": "aW52aXRhdGlvbg", "name": "Ingrid Solberg"}]
    (options,) = guest.page.evaluate("fake.connects")
    assert options["token"] == service.answer["token"]
    assert options["name"] == "Harbour"
    assert options["wsServer"] == f"{service.url.replace('http', 'ws')}/signaling"
    assert options["insights"] is False
    assert options["tracks"] == ["audio", "video"]
    scripts = guest.page.evaluate("[...document.querySelectorAll('script')].map(script => script.src)")
    assert f"{service.url}/join/-/vendor/twilio-video.min.js" in scripts
    assert all(script.startswith(f"{service.url}/join/-/") for script in scripts)  # nothing from elsewhere


def test_who_joins_while_the_browser_still_asks_is_let_in_and_seen_as_soon_as_it_may(
    visit: Callable[..., Guest],
) -> None:
    slow = """
const ask_first = navigator.mediaDevices.getUserMedia;
navigator.mediaDevices.getUserMedia = async (wanted) => {
  await new Promise((allowed) => (window.allow = allowed));
  return ask_first(wanted);
};"""
    guest = visit(prepare=slow)
    guest.join()
    assert guest.page.evaluate("fake.connects[0].tracks") == []
    expect(guest.page.locator("#line-call .half.live")).to_have_count(0)

    guest.page.evaluate("allow()")

    wait_for("both are published", lambda: guest.page.evaluate("[...fake.published].sort()") == ["audio", "video"])
    expect(guest.page.locator("#line-call .half.live")).to_have_count(1)


def test_without_a_name_nobody_is_asked(visit: Callable[..., Guest], service: GuestServer) -> None:
    guest = visit()
    guest.page.get_by_role("button", name="Join Harbour").click()

    expect(guest.page.get_by_role("alert")).to_contain_text("Enter a name")
    expect(guest.page.get_by_label("Your name")).to_be_focused()
    assert service.asked == []


def test_everyone_is_shown_with_name_and_mute_mark(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.join()
    guest.fake("arrive", {"identity": "Harbour", "picture": "#456"})
    guest.fake("arrive", {"identity": "Jonas Weber", "picture": "#654", "muted": True})
    guest.fake("arrive", {"identity": "林 美玲"})

    expect(guest.page.get_by_role("group")).to_have_count(3)
    expect(guest.page.get_by_role("group", name="Jonas Weber, microphone off")).to_be_visible()
    expect(guest.page.locator(".tiles .main")).to_contain_text("Harbour")
    expect(guest.page.get_by_role("group", name="林 美玲").locator(".initials")).to_have_text("林")
    wait_for(
        "pictures are shown",
        lambda: guest.page.evaluate(
            "[...document.querySelectorAll('#tiles .stage:not(.no-video) video')].every(video => video.videoWidth > 0)"
        ),
    )
    expect(guest.page.get_by_text("4 people")).to_be_visible()

    guest.fake("mute", "Jonas Weber", False)
    expect(guest.page.get_by_role("group", name="Jonas Weber", exact=True)).to_be_visible()
    guest.fake("leave", "Harbour")
    expect(guest.page.get_by_role("group", name="Harbour")).to_have_count(0)
    expect(guest.page.get_by_role("status")).to_have_text("Harbour has left")


def test_who_speaks_is_marked_and_becomes_large(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.join()
    guest.fake("arrive", {"identity": "Harbour", "picture": "#456"})
    guest.fake("arrive", {"identity": "Amara Okafor", "picture": "#654"})
    expect(guest.page.locator(".tiles .main")).to_contain_text("Harbour")

    guest.page.evaluate("fake.gains['Amara Okafor'].gain.value = 0.5")
    expect(guest.page.locator(".tiles .main.talks")).to_contain_text("Amara Okafor")

    guest.page.evaluate("fake.gains['Amara Okafor'].gain.value = 0")
    expect(guest.page.locator(".tiles .talks")).to_have_count(0)
    expect(guest.page.locator(".tiles .main")).to_contain_text("Amara Okafor")  # nothing jumps in a silence


def test_the_services_loudest_speaker_counts_too(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.join()
    guest.fake("arrive", {"identity": "Harbour", "picture": "#456"})
    guest.fake("arrive", {"identity": "Amara Okafor"})

    guest.fake("dominant", "Amara Okafor")

    expect(guest.page.locator(".tiles .main.talks")).to_contain_text("Amara Okafor")


def test_mute_cuts_the_line_and_keeps_the_left_half_lit(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.join()
    line = guest.page.locator("#line-call")
    expect(line).to_have_attribute("aria-label", "You are seen and heard; connected.")

    guest.page.get_by_role("button", name="Microphone, on").click()

    expect(guest.page.get_by_role("button", name="Microphone, muted")).to_have_class("gk is-muted")
    expect(line).to_have_attribute("aria-label", "You are seen but not heard; connected.")
    expect(line.locator(".line")).to_have_class("line is-cut")
    expect(line.locator(".half.live")).to_have_count(1)  # the microphone is still open
    assert guest.open_tracks() == ["audio", "video"]
    assert guest.page.evaluate("captured.find(t => t.kind === 'audio').enabled") is False

    guest.page.get_by_role("button", name="Microphone, muted").click()
    expect(line.locator(".line")).to_have_class("line ")


def test_the_camera_turned_off_in_the_call_is_closed_and_opened_again(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.join()

    guest.page.get_by_role("button", name="Camera, on").click()
    expect(guest.page.get_by_role("button", name="Camera, off")).to_be_visible()
    assert guest.open_tracks() == ["audio"]
    assert guest.page.evaluate("fake.unpublished") == ["video"]

    guest.page.get_by_role("button", name="Camera, off").click()
    expect(guest.page.get_by_role("button", name="Camera, on")).to_be_visible()
    assert guest.open_tracks() == ["audio", "video"]
    assert guest.page.evaluate("fake.published") == ["video"]


def test_leaving_closes_the_devices_and_offers_to_come_back(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.join()
    guest.page.get_by_role("button", name="Leave the room").click()

    expect(guest.page.get_by_role("heading", name="You have left.")).to_be_focused()
    expect(guest.page.get_by_text("Your camera and microphone are off.")).to_be_visible()
    assert guest.open_tracks() == []
    expect(guest.page.locator("#line-end .half.live, #line-end .is-cut")).to_have_count(0)

    guest.page.get_by_role("button", name="Join again").click()
    expect(guest.page.get_by_label("Your name")).to_have_value("Ingrid Solberg")
    guest.join()
    assert len(guest.page.evaluate("fake.connects")) == 2


def test_a_lost_link_is_shown_until_it_is_back(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.join()

    guest.fake("lose")
    expect(guest.page.get_by_role("alert")).to_have_text("Reconnecting")
    expect(guest.page.locator("#line-call .half.dashes")).to_be_visible()

    guest.fake("find_again")
    expect(guest.page.get_by_role("alert")).to_be_hidden()
    expect(guest.page.locator("#line-call .half.paper")).to_be_visible()


@pytest.mark.parametrize(
    ("code", "title"),
    [
        (53118, "The room has closed."),
        (53205, "You joined somewhere else."),
        (53001, "The link was lost."),
        (53405, "No picture or sound gets through."),
        (None, "You were let out."),
        (59999, "The rooms service said no."),
    ],
)
def test_a_visit_that_ends_says_why_and_closes_the_devices(
    visit: Callable[..., Guest], code: int | None, title: str
) -> None:
    guest = visit()
    guest.join()

    guest.fake("end", code)

    expect(guest.page.get_by_role("heading", name=title)).to_be_visible()
    assert guest.open_tracks() == []


REFUSALS = [
    (403, {"code": 20403, "details": {"reason": "invalid"}}, "This invitation is not valid."),
    (403, {"code": 20403, "details": {"reason": "other_room"}}, "This invitation is not valid."),
    (410, {"code": 20403, "details": {"reason": "expired"}}, "This invitation has expired."),
    (404, {"code": 20404}, "Harbour does not exist."),
    (409, {"code": 53105}, "Harbour is full."),
    (429, {"code": 20429}, "The rooms service is busy."),
    (503, {"code": 20503}, "The rooms service is busy."),
    (500, {}, "The rooms service does not answer."),
    (400, {"code": 20001, "message": "Something is wrong with it"}, "The rooms service said no."),
]


@pytest.mark.parametrize(("status", "answer", "title"), REFUSALS)
def test_a_refusal_is_said_in_clear_words(
    visit: Callable[..., Guest], service: GuestServer, status: int, answer: dict[str, Any], title: str
) -> None:
    service.status, service.answer = status, answer
    guest = visit()
    guest.page.get_by_label("Your name").fill("Ingrid")
    guest.page.get_by_role("button", name="Join Harbour").click()

    expect(guest.page.get_by_role("heading", name=title)).to_be_visible()
    expect(guest.page.locator("#code")).to_contain_text("Your camera and microphone are off.")
    assert guest.open_tracks() == []


def test_a_name_that_somebody_has_is_told_beside_the_field(visit: Callable[..., Guest], service: GuestServer) -> None:
    service.status, service.answer = 409, {"code": 20409, "details": {"reason": "name_taken"}}
    guest = visit()
    guest.page.get_by_label("Your name").fill("Ingrid")
    guest.page.get_by_role("button", name="Join Harbour").click()

    expect(guest.page.get_by_role("alert")).to_contain_text("Someone in the room has this name.")
    expect(guest.page.get_by_role("button", name="Join Harbour")).to_be_enabled()
    assert guest.open_tracks() == ["audio", "video"]


def test_a_full_room_is_tried_again_by_itself_until_told_to_stop(
    visit: Callable[..., Guest], service: GuestServer
) -> None:
    guest = visit(prepare="")
    guest.page.clock.install()
    guest.page.goto(service.page())
    guest.page.get_by_label("Your name").fill("Ingrid")
    guest.page.evaluate("fake.refuse = { code: 53105 }")
    guest.page.get_by_role("button", name="Join Harbour").click()
    expect(guest.page.locator("#why strong")).to_have_text("0:30")

    guest.page.clock.run_for(10_000)
    expect(guest.page.locator("#why strong")).to_have_text("0:20")
    guest.page.evaluate("fake.refuse = null")
    guest.page.clock.run_for(21_000)

    expect(guest.page.locator("body")).to_have_attribute("data-page", "call")
    assert len(service.asked) == 2


def test_the_waiting_guest_may_stop_trying(visit: Callable[..., Guest], service: GuestServer) -> None:
    guest = visit()
    guest.page.get_by_label("Your name").fill("Ingrid")
    guest.page.evaluate("fake.refuse = { code: 53105 }")
    guest.page.get_by_role("button", name="Join Harbour").click()
    guest.page.get_by_role("button", name="Stop trying").click()

    expect(guest.page.locator("#why")).to_have_text("All places are taken. Someone has to leave first.")
    expect(guest.page.get_by_role("button", name="Join again")).to_be_visible()
    expect(guest.page.locator("#line-end .dashes")).to_have_count(0)


def test_a_service_that_is_gone_is_said_plainly(visit: Callable[..., Guest]) -> None:
    guest = visit()
    guest.page.route("**/token", lambda route: route.abort())
    guest.page.get_by_label("Your name").fill("Ingrid")
    guest.page.get_by_role("button", name="Join Harbour").click()

    expect(guest.page.get_by_role("heading", name="The rooms service does not answer.")).to_be_visible()
    expect(guest.page.get_by_role("button", name="Try now")).to_be_visible()


def test_a_link_without_its_end_is_refused_before_anything_is_opened(
    visit: Callable[..., Guest], service: GuestServer
) -> None:
    guest = visit(f"{service.url}/join/Harbour")

    expect(guest.page.get_by_role("heading", name="The invitation is missing.")).to_be_visible()
    assert guest.open_tracks() == []


def deny(*kinds: str) -> str:
    """Return a script that lets the browser refuse these kinds."""
    return f"""
{{
  const allow = navigator.mediaDevices.getUserMedia;
  navigator.mediaDevices.getUserMedia = async (wanted) => {{
    if ({list(kinds)!r}.some((kind) => wanted[kind])) throw new DOMException("no", "NotAllowedError");
    return allow(wanted);
  }};
}}"""


def test_without_any_permission_the_guest_joins_and_watches(visit: Callable[..., Guest]) -> None:
    guest = visit(prepare=deny("audio", "video"))
    expect(guest.page.get_by_text("Camera and microphone are blocked for this page.")).to_be_visible()

    guest.join()

    assert guest.page.evaluate("fake.connects[0].tracks") == []
    expect(guest.page.locator("#line-call")).to_have_attribute(
        "aria-label", "You are neither seen nor heard; connected."
    )
    guest.page.get_by_role("button", name="Camera, off").click()
    expect(guest.page.get_by_role("alert")).to_contain_text("The camera is blocked for this page.")


def test_without_permission_for_the_camera_the_guest_is_heard(visit: Callable[..., Guest]) -> None:
    guest = visit(prepare=deny("video"))
    expect(guest.page.get_by_text("The camera is blocked for this page.")).to_be_visible()

    guest.join()

    assert guest.page.evaluate("fake.connects[0].tracks") == ["audio"]


def test_an_address_that_is_not_secure_is_explained_and_still_joins(visit: Callable[..., Guest]) -> None:
    guest = visit(prepare="Object.defineProperty(navigator, 'mediaDevices', { value: undefined });")
    expect(guest.page.get_by_text("This address is not secure")).to_be_visible()

    guest.join()

    assert guest.page.evaluate("fake.connects[0].tracks") == []


def test_a_camera_that_is_pulled_out_turns_the_key_and_the_line(visit: Callable[..., Guest]) -> None:
    guest = visit(prepare=deny("audio"))
    guest.join()
    expect(guest.page.locator("#line-call .half.live")).to_have_count(1)

    guest.page.evaluate("captured.forEach(track => { track.stop(); track.dispatchEvent(new Event('ended')); })")

    expect(guest.page.get_by_role("button", name="Camera, off")).to_be_visible()
    expect(guest.page.locator("#line-call .half.live")).to_have_count(0)


def test_a_page_without_the_sdk_says_so(visit: Callable[..., Guest], service: GuestServer) -> None:
    guest = visit("about:blank")

    def missing(route: Route) -> None:
        route.fulfill(status=404)

    guest.page.route("**/twilio-video.min.js", missing)
    guest.page.goto(service.page())

    expect(guest.page.get_by_role("heading", name="This page did not load completely.")).to_be_visible()


def test_the_page_speaks_german_to_those_who_ask_for_it(visit: Callable[..., Guest]) -> None:
    guest = visit(locale="de-DE")

    expect(guest.page.get_by_role("button", name="Harbour betreten")).to_be_visible()
    assert guest.page.evaluate("document.documentElement.lang") == "de"


@pytest.mark.parametrize("size", [PHONE, WIDE, {"width": 320, "height": 568}], ids=["phone", "wide", "small"])
@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_nothing_runs_over_and_targets_are_large(
    visit: Callable[..., Guest], size: dict[str, int], language: str
) -> None:
    guest = visit(viewport=size, locale=language)
    page = guest.page
    check = """() => ({
      wide: document.documentElement.scrollWidth <= innerWidth,
      small: [...document.querySelectorAll('button, input')].filter(e => e.getClientRects().length)
        .filter(e => Math.min(e.getBoundingClientRect().width, e.getBoundingClientRect().height) < 48).map(e => e.id),
      cut: [...document.querySelectorAll('button > span')].filter(e => e.getClientRects().length)
        .filter(e => e.scrollWidth > e.parentElement.clientWidth).map(e => e.textContent),
    })"""
    fine = {"wide": True, "small": [], "cut": []}
    expect(page.locator("body")).to_have_attribute("data-page", "before")
    assert page.evaluate(check) == fine

    page.locator("#name").fill("Ingrid Solberg")
    page.locator("#go").click()
    expect(page.locator("body")).to_have_attribute("data-page", "call")
    for name in ("Harbour", "Amara Okafor", "Maximiliane Wolfeschlegelsteinhausenbergerdorff"):
        guest.fake("arrive", {"identity": name, "picture": "#345"})
    expect(page.get_by_role("group")).to_have_count(3)
    assert page.evaluate(check) == fine
    expect(page.locator("#call-leave")).to_be_in_viewport(ratio=1)

    page.locator("#call-leave").click()
    expect(page.locator("body")).to_have_attribute("data-page", "end")
    assert page.evaluate(check) == fine
