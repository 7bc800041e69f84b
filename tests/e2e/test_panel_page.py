"""The panel in a real browser, over a fake kiosk: what it shows, what it sends, what it survives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import kiosk_documents
from tests.support.fake_kiosk import FakeKiosk
from tests.support.processes import Program, appliance, wait_for

pytestmark = pytest.mark.browser

WIDTHS = {"phone": (360, 800), "tablet": (1280, 800)}


@pytest.fixture(scope="module")
def one_kiosk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeKiosk]:
    with FakeKiosk(tmp_path_factory.mktemp("kiosk") / "control.sock") as running:
        yield running


@pytest.fixture
def kiosk(one_kiosk: FakeKiosk) -> FakeKiosk:
    """The one kiosk, idle, of which nobody has asked anything yet."""
    one_kiosk.become(kiosk_documents.idle())
    one_kiosk.commands.clear()
    return one_kiosk


@pytest.fixture(scope="module")
def panel(one_kiosk: FakeKiosk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One panel for all pages: what it holds is the kiosk's state."""
    folder = tmp_path_factory.mktemp("panel")
    program = Program("panel", appliance("panel", "--socket", str(one_kiosk.path), "--bind", "127.0.0.1:0"), folder)
    program.arguments += ["--ready-file", str(program.ready_path)]
    with program:
        yield program


class Opened:
    """A page, what it complained of, and its address."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **context})
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if "Content Security" in said.text else None)
        self.page.goto(url)


@pytest.fixture
def opened(browser: Browser, panel: Program) -> Iterator[Opened]:
    opened = Opened(browser, panel.ready["url"])
    expect(opened.page.locator("body")).to_have_attribute("data-kiosk", "answers")
    yield opened
    opened.context.close()
    assert opened.errors == []


def did(kiosk: FakeKiosk) -> list[tuple[str, dict[str, Any]]]:
    return [(name, arguments) for name, arguments, _ in kiosk.commands]


def test_joining_muting_and_leaving_by_touch(kiosk: FakeKiosk, opened: Opened) -> None:
    page = opened.page
    expect(page.locator("h1")).to_contain_text("Ready")
    expect(page.get_by_text("Camera and microphone are off")).to_be_visible()

    page.get_by_role("button", name="Join Harbour").click()
    expect(page.locator("h1")).to_contain_text("In the room with 4 others")
    expect(page.locator(".line .half").first).to_have_class("half live")

    page.get_by_role("button", name="Microphone, on").click()
    expect(page.get_by_role("button", name="Microphone, muted")).to_be_visible()
    expect(page.locator(".line .pill.cut")).to_have_text("Muted")

    page.get_by_role("button", name="Leave the room").click()
    expect(page.get_by_role("button", name="Join Harbour")).to_be_visible()
    expect(page.locator(".line .half.live")).to_have_count(0)
    assert did(kiosk) == [("room.join", {"room": "Harbour"}), ("mic.mute", {}), ("room.leave", {})]


def test_unmuting_from_afar_says_that_only_the_room_can(kiosk: FakeKiosk, opened: Opened) -> None:
    kiosk.become(kiosk_documents.muted())

    opened.page.get_by_role("button", name="Microphone, muted").click()

    expect(opened.page.get_by_role("alert").filter(has_text="Only the room can unmute.")).to_be_visible()
    expect(opened.page.get_by_role("button", name="Microphone, muted")).to_be_visible()

    kiosk.become(kiosk_documents.in_room(rev=99))
    expect(opened.page.get_by_text("Only the room can unmute.")).to_be_hidden()


def test_the_small_wall_shows_initials_in_the_walls_layout(kiosk: FakeKiosk, opened: Opened) -> None:
    kiosk.become(kiosk_documents.in_room())
    wall = opened.page.locator("#wall")

    expect(wall.locator(".tile:not(.us)")).to_have_text(["AO", "JW", "林", "ل"])
    expect(wall.locator(".tile.talks")).to_have_text("JW")
    sentence = "The wall shows 4 people; Jonas Weber is speaking. This room is seen and heard; connected."
    expect(wall).to_have_attribute("aria-label", sentence)
    expect(wall.locator("img, video")).to_have_count(0)
    boxes = [tile.bounding_box() for tile in wall.locator(".tile:not(.us)").all()]
    left, right, below, _ = (box for box in boxes if box)
    assert left["y"] == right["y"]
    assert left["x"] == below["x"] < right["x"]


def test_on_the_small_wall_too_whoever_spoke_last_is_large_beside_the_others(kiosk: FakeKiosk, opened: Opened) -> None:
    kiosk.become(kiosk_documents.in_room(layout={"mode": "auto", "self_view": "pip", "spotlight": "PA2"}))
    tiles = opened.page.locator("#wall .tile:not(.us)")

    expect(tiles).to_have_text(["JW", "AO", "林", "ل"])
    main, first, second, _ = (box for box in (tile.bounding_box() for tile in tiles.all()) if box)
    assert main["width"] > 6 * first["width"]
    assert main["x"] + main["width"] < first["x"] == second["x"]
    assert first["y"] < second["y"]


@pytest.mark.parametrize(
    ("right", "shown"),
    [
        ({"kind": "part", "part": 0.5}, ".half .part"),
        ({"kind": "dashes", "part": 0.0}, ".half.dashes"),
        ({"kind": "marks", "part": 0.0}, ".half.marks"),
        ({"kind": "long_short", "part": 0.0}, ".half.long_short"),
        ({"kind": "connected", "part": 1.0}, ".half.paper"),
    ],
)
def test_the_right_half_is_painted_as_the_kiosk_says(
    kiosk: FakeKiosk, opened: Opened, right: dict[str, Any], shown: str
) -> None:
    kiosk.become(kiosk_documents.idle(line=kiosk_documents.line(right=right)))

    expect(opened.page.locator(f".line {shown}")).to_be_visible()
    expect(opened.page.locator(".line .half.live")).to_have_count(0)


def test_people_are_listed_with_what_is_on(kiosk: FakeKiosk, opened: Opened) -> None:
    kiosk.become(kiosk_documents.muted())
    opened.page.get_by_role("link", name="People").click()
    people = opened.page.locator('[data-list="people"] .item')

    expect(people).to_have_count(5)
    expect(people.nth(0)).to_contain_text("This room")
    expect(people.nth(2)).to_contain_text("Speaking now")
    expect(people.nth(4).get_by_role("img", name="Microphone off")).to_be_visible()
    expect(people.nth(4).get_by_role("img", name="Camera off")).to_be_visible()
    expect(opened.page.locator("#code")).to_have_js_property("complete", True)
    assert opened.page.locator("#code").evaluate("image => image.naturalWidth") > 0


def test_a_drawn_button_goes_down_and_up_as_the_finger_does(kiosk: FakeKiosk, opened: Opened) -> None:
    kiosk.become(kiosk_documents.in_room())
    opened.page.get_by_role("link", name="Buttons").click()
    button = opened.page.get_by_role("button", name="Mute button")
    box = button.bounding_box()
    assert box

    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.page.mouse.down()
    wait_for("the press", lambda: did(kiosk) == [("front_panel.press", {"button": "mute", "action": "press"})])
    expect(button).to_have_attribute("aria-pressed", "true")
    opened.page.mouse.move(5, 5)
    opened.page.mouse.up()

    wait_for("the release", lambda: did(kiosk)[1:] == [("front_panel.press", {"button": "mute", "action": "release"})])
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(opened.page.get_by_text("Mute: lit")).to_be_visible()


def test_letters_press_and_release_and_repeat_nothing(kiosk: FakeKiosk, opened: Opened) -> None:
    opened.page.get_by_role("link", name="Buttons").click()

    opened.page.keyboard.down("l")
    opened.page.keyboard.down("l")  # a keyboard repeats while it is held
    opened.page.keyboard.up("l")

    wait_for("press and release", lambda: len(kiosk.commands) == 2)
    assert [arguments for _, arguments in did(kiosk)] == [
        {"button": "leave", "action": "press"},
        {"button": "leave", "action": "release"},
    ]


def test_a_held_button_is_let_go_when_the_page_turns(kiosk: FakeKiosk, opened: Opened) -> None:
    opened.page.get_by_role("link", name="Buttons").click()
    opened.page.get_by_role("button", name="Hold Leave").click()
    wait_for("the press", lambda: len(kiosk.commands) == 1)

    opened.page.get_by_role("link", name="Control").click()

    wait_for("the release", lambda: len(kiosk.commands) == 2)
    assert did(kiosk)[1] == ("front_panel.press", {"button": "leave", "action": "release"})


def test_the_lamps_show_what_the_kiosk_drives(kiosk: FakeKiosk, opened: Opened) -> None:
    opened.page.get_by_role("link", name="Buttons").click()
    lamps = {"mute": "blink_0_5hz", "live": "solid", "status": "double"}
    kiosk.become(kiosk_documents.in_room(lamps=lamps))

    for lamp, pattern in lamps.items():
        expect(opened.page.locator(f'.led[data-lamp="{lamp}"]')).to_have_attribute("data-pattern", pattern)
    expect(opened.page.get_by_text("Status: double blink")).to_be_visible()


def test_there_are_no_drawn_buttons_beside_real_ones(kiosk: FakeKiosk, opened: Opened) -> None:
    kiosk.become(kiosk_documents.idle(front_panel="gpio"))

    expect(opened.page.get_by_role("link", name="Buttons")).to_be_hidden()


def test_a_kiosk_that_is_gone_is_said_plainly_and_its_return_mends_the_page(kiosk: FakeKiosk, opened: Opened) -> None:
    kiosk.become(kiosk_documents.in_room())
    expect(opened.page.locator("h1")).to_contain_text("In the room")

    kiosk.stop()
    expect(opened.page.get_by_role("alert")).to_contain_text("The kiosk does not answer.")
    expect(opened.page.get_by_role("button", name="Leave the room")).to_be_disabled()
    expect(opened.page.locator(".line .half.live")).to_have_count(1)  # nobody knows that the camera is closed

    kiosk.state = kiosk_documents.idle()
    kiosk.start()
    expect(opened.page.get_by_role("button", name="Join Harbour")).to_be_enabled()
    expect(opened.page.locator("#silence")).to_be_hidden()


def test_a_panel_that_is_gone_is_said_plainly_and_its_return_mends_the_page(
    kiosk: FakeKiosk, panel: Program, opened: Opened
) -> None:
    address = panel.ready["url"].removeprefix("http://").rstrip("/")
    panel.kill()
    expect(opened.page.get_by_role("alert")).to_contain_text("No connection to the kiosk.", timeout=15_000)

    panel.arguments[panel.arguments.index("--bind") + 1] = address
    panel.start()

    expect(opened.page.locator("#silence")).to_be_hidden(timeout=20_000)


def test_without_a_stream_the_page_asks_again_and_again(browser: Browser, kiosk: FakeKiosk, tmp_path: Path) -> None:
    arguments = appliance("panel", "--socket", str(kiosk.path), "--bind", "127.0.0.1:0", "--max-streams", "0")
    program = Program("panel", arguments, tmp_path)
    program.arguments += ["--ready-file", str(program.ready_path)]
    with program:
        opened = Opened(browser, program.ready["url"])
        expect(opened.page.locator("h1")).to_contain_text("Ready")

        kiosk.become(kiosk_documents.in_room())

        expect(opened.page.locator("h1")).to_contain_text("In the room", timeout=10_000)
        opened.context.close()


def test_two_tabs_of_a_browser_share_one_stream(panel: Program, opened: Opened, kiosk: FakeKiosk) -> None:
    second = opened.context.new_page()
    second.goto(panel.ready["url"])
    expect(second.locator("body")).to_have_attribute("data-kiosk", "answers")

    kiosk.become(kiosk_documents.in_room())

    expect(second.locator("h1")).to_contain_text("In the room")
    expect(opened.page.locator("h1")).to_contain_text("In the room")
    asked = opened.page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert not [name for name in asked if name.endswith("/events")]  # the stream is the worker's, not a page's


def test_the_keyboard_controls_the_room_unless_switched_off(kiosk: FakeKiosk, opened: Opened) -> None:
    kiosk.become(kiosk_documents.in_room())
    expect(opened.page.get_by_role("button", name="Leave the room")).to_be_visible()
    opened.page.keyboard.press("m")
    expect(opened.page.get_by_role("button", name="Microphone, muted")).to_be_visible()

    opened.page.get_by_role("button", name="Language and keys").click()
    opened.page.get_by_label("Keys M, C and L control the room").uncheck()
    opened.page.keyboard.press("Escape")
    opened.page.keyboard.press("l")
    opened.page.get_by_role("button", name="Leave the room").click()

    expect(opened.page.get_by_role("button", name="Join Harbour")).to_be_visible()
    assert [name for name, _ in did(kiosk)] == ["mic.mute", "room.leave"]


def test_loudness_is_sent_when_the_finger_lets_go(kiosk: FakeKiosk, opened: Opened) -> None:
    opened.page.get_by_label("Loudness").press("ArrowRight")

    wait_for("the loudness", lambda: did(kiosk) == [("speaker.set", {"volume": 65})])
    expect(opened.page.locator("output")).to_have_text("65")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_nothing_runs_over_and_targets_are_large(
    browser: Browser, kiosk: FakeKiosk, panel: Program, width: str, language: str
) -> None:
    kiosk.become(kiosk_documents.muted())
    size = {"width": WIDTHS[width][0], "height": WIDTHS[width][1]}
    opened = Opened(browser, panel.ready["url"], viewport=size, locale=language)
    page = opened.page
    expect(page.locator("body")).to_have_attribute("data-kiosk", "answers")

    for name in ("control", "people", "front"):
        page.goto(f"{panel.ready['url']}/#{name}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, a, input, .push')]
                .filter(e => e.getClientRects().length && !e.closest('.choice, .tick'))
                .map(e => [e.id || e.textContent.trim(), e.getBoundingClientRect()])
                .filter(([, box]) => box.width < 48 || box.height < 48).map(([name]) => name)"""
        )
        assert small == [], name
        cut = page.evaluate(
            """() => [...document.querySelectorAll('.key span, .btn span, h1 span, .nav a')]
                .filter(e => e.getClientRects().length && getComputedStyle(e).display !== 'inline')
                .filter(e => e.scrollWidth > e.clientWidth + 1)
                .map(e => e.textContent)"""
        )
        assert cut == [], name
    opened.context.close()
    assert opened.errors == []


def test_the_page_holds_at_four_hundred_percent(browser: Browser, kiosk: FakeKiosk, panel: Program) -> None:
    kiosk.become(kiosk_documents.muted())
    opened = Opened(browser, panel.ready["url"], viewport={"width": 320, "height": 256})
    expect(opened.page.locator("body")).to_have_attribute("data-kiosk", "answers")

    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.context.close()
