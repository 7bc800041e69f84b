"""What every screen promises, held by each implementation: real SDL2 drawing into memory and, where found, on X11."""

import asyncio
import io
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from appliance.devices.screens import drawing
from appliance.devices.screens.base import (
    Bar,
    CallScene,
    IdleScene,
    Invitation,
    LineOfLight,
    Rect,
    RightHalf,
    SelfView,
    StartingScene,
    Tile,
    TouchKey,
)
from appliance.devices.screens.drawing import DrawThread
from appliance.devices.screens.hdmi import HdmiScreen
from appliance.devices.screens.look import RGB
from appliance.devices.screens.virtual import VirtualScreen
from appliance.errors import DeviceLost, DeviceMissing
from tests.support.screen_people import field, frame_of

SIZE = (640, 720)  # u is 16/3 px; high enough to be a wall
U = 720 / 135
REST = LineOfLight()
LIVE = LineOfLight(left_lit=True, right=RightHalf("connected"))
IDLE = IdleScene(line=REST, name="Harbour", date="Tuesday, 3 March", clock="14:32")


@pytest.fixture(scope="module")
def x_server() -> Iterator[str]:
    """Start Xvfb on a display of its own choice; skip where it is not installed.

    It is told not to begin anew whenever its last client leaves: the next test's client would find it half awake.
    """
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not installed, nothing to draw on by X11")
    server = subprocess.Popen(
        [program, "-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp", "-noreset"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        yield f":{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)
        server.stdout.close() if server.stdout else None


@pytest.fixture(params=["virtual", "hdmi on dummy", "hdmi on x11"])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[DrawThread]:
    pytest.importorskip("sdl2", reason="the SDL2 library is not installed")
    if request.param == "virtual":
        yield VirtualScreen(rate_hz=30.0)
    elif request.param == "hdmi on dummy":
        yield HdmiScreen("dummy", reduced_motion=True)
    else:
        monkeypatch.setenv("DISPLAY", request.getfixturevalue("x_server"))
        yield HdmiScreen("x11", reduced_motion=True)


async def seen(screen: DrawThread) -> Image.Image:
    return Image.open(io.BytesIO(await screen.picture())).convert("RGB")


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for a condition; fail after a deadline."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110, the screen's thread sets no event of ours
            await asyncio.sleep(0.01)


def near(pixel: object, colour: tuple[int, int, int], tolerance: int = 6) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))  # type: ignore[call-overload]


def middle_of(place: Rect) -> tuple[int, int]:
    return round((place.x + place.w / 2) * U), round((place.y + place.h / 2) * U)


def call_with(*tiles: Tile, own: SelfView | None = None) -> CallScene:
    return CallScene(line=LIVE, name="Harbour", bar=Bar(left="Harbour"), tiles=tiles, self_view=own)


LEFT, RIGHT = Rect(8, 20, 50, 28), Rect(62, 20, 50, 28)
ANNA = Tile("PA1", "Anna", "A", LEFT, slot="MT1")
BEN = Tile("PA2", "Ben", "B", RIGHT, slot="MT2")


async def test_another_scene_is_another_picture(screen: DrawThread) -> None:
    with screen.open(SIZE):
        screen.show(IDLE)
        idle = await seen(screen)
        screen.show(StartingScene(line=REST, name="Harbour", below="Starting"))
        starting = await seen(screen)
    assert idle.size == starting.size == SIZE
    assert idle.tobytes() != starting.tobytes()


async def test_the_line_is_painted_in_the_colours_of_its_halves(screen: DrawThread) -> None:
    with screen.open(SIZE):
        screen.show(call_with())
        picture = await seen(screen)
    y = round(121.5 * U)
    assert picture.getpixel((100, y)) == RGB["live"]
    assert picture.getpixel((500, y)) == RGB["paper"]


async def test_a_frame_appears_in_its_own_tile_in_its_own_colours(screen: DrawThread) -> None:
    with screen.open(SIZE):
        screen.show(call_with(ANNA, BEN))
        screen.slot("MT1")(field((200, 60, 40)))
        screen.slot("MT2")(field((40, 90, 200)))
        picture = await seen(screen)
    assert near(picture.getpixel(middle_of(LEFT)), (200, 60, 40))
    assert near(picture.getpixel(middle_of(RIGHT)), (40, 90, 200))
    assert picture.getpixel((round(LEFT.x * U), round(LEFT.y * U))) == RGB["ink"], "corners are round"


async def test_the_newest_frame_is_shown_and_sizes_may_change(screen: DrawThread) -> None:
    with screen.open(SIZE):
        screen.show(call_with(ANNA))
        put = screen.slot("MT1")
        for colour, size in (((250, 0, 0), (640, 360)), ((0, 250, 0), (322, 182)), ((90, 90, 250), (1280, 720))):
            put(field(colour, size))
        picture = await seen(screen)
    assert near(picture.getpixel(middle_of(LEFT)), (90, 90, 250))


async def test_our_own_picture_is_mirrored(screen: DrawThread) -> None:
    halves = Image.new("RGB", (640, 360), (220, 30, 30))
    halves.paste((30, 30, 220), (320, 0, 640, 360))
    place = Rect(8, 60, 64, 36)
    with screen.open(SIZE):
        screen.show(call_with(own=SelfView(place)))
        screen.slot("self")(frame_of(halves))
        picture = await seen(screen)
    y = round((place.y + place.h / 2) * U)
    assert near(picture.getpixel((round((place.x + 16) * U), y)), (30, 30, 220))
    assert near(picture.getpixel((round((place.x + 48) * U), y)), (220, 30, 30))


async def test_without_a_frame_there_are_initials_and_a_dropped_slot_gives_them_back(screen: DrawThread) -> None:
    corner = (round((LEFT.x + 5) * U), round((LEFT.y + 5) * U))
    with screen.open(SIZE):
        screen.show(call_with(ANNA))
        assert (await seen(screen)).getpixel(corner) == RGB["raised"]
        screen.slot("MT1")(field((250, 250, 250)))
        assert near((await seen(screen)).getpixel(corner), (250, 250, 250))
        screen.drop_slot("MT1")
        assert (await seen(screen)).getpixel(corner) == RGB["raised"]


async def test_what_came_before_a_scene_needs_it_is_there_when_it_does(screen: DrawThread) -> None:
    with screen.open(SIZE):
        screen.show(IDLE)
        await seen(screen)
        screen.slot("MT1")(field((10, 200, 200)))
        screen.show(call_with(ANNA))
        assert near((await seen(screen)).getpixel(middle_of(LEFT)), (10, 200, 200))


async def test_nothing_is_drawn_while_nothing_changes(screen: DrawThread) -> None:
    with screen.open(SIZE):
        screen.show(IDLE)
        await seen(screen)
        before = screen.health().presented
        screen.show(replace(IDLE))
        screen.slot("MT9")(field((1, 2, 3)))  # a slot that no tile shows
        await seen(screen)
        await seen(screen)
        assert screen.health().presented == before + 2, "one frame for each picture asked for, none besides"


async def test_the_shape_of_the_wall_follows_the_display(screen: DrawThread) -> None:
    with screen.open(SIZE):
        screen.show(IDLE)
        await seen(screen)
        assert screen.wall.width == pytest.approx(120)
        assert not screen.wall.touch
        assert screen.health().state == "shown"
        assert screen.health().size == SIZE
    assert screen.health().state == "closed"


async def test_it_opens_again_after_closing_and_shows_what_was_shown(screen: DrawThread) -> None:
    screen.show(call_with(ANNA))
    screen.slot("MT1")(field((120, 10, 120)))
    for _ in range(2):
        with screen.open(SIZE):
            assert near((await seen(screen)).getpixel(middle_of(LEFT)), (120, 10, 120))


async def test_a_link_too_long_for_a_code_leaves_the_code_out(screen: DrawThread) -> None:
    with screen.open(SIZE):
        screen.show(replace(IDLE, invitation=Invitation("https://" + "x" * 5000, "Join from a phone", ("a", "/b"))))
        await seen(screen)
        assert screen.health().restarts == 0


async def test_a_picture_of_a_closed_screen_is_refused(screen: DrawThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "PICTURE_WITHIN_S", 0.05)
    with pytest.raises(DeviceLost):
        await screen.picture()


async def test_drawing_that_fails_is_begun_again(screen: DrawThread, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.devices.screens.stacking import Stack

    draw, left = Stack.draw, [2]

    def fails_twice(self: Stack, now: float) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise DeviceLost("screen: simulated")
        draw(self, now)

    monkeypatch.setattr(drawing, "BEAT_S", 0.01)
    monkeypatch.setattr(Stack, "draw", fails_twice)
    with screen.open(SIZE):
        screen.show(IDLE)
        await until(lambda: screen.health().presented > 0)
        assert screen.health().restarts == 2
        assert screen.health().state == "shown"


async def test_after_five_failures_it_is_left_off(screen: DrawThread, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.devices.screens.stacking import Stack

    def fails(self: Stack, now: float) -> None:
        raise RuntimeError("simulated")

    monkeypatch.setattr(drawing, "BEAT_S", 0.01)
    monkeypatch.setattr(drawing, "PICTURE_WITHIN_S", 0.05)
    monkeypatch.setattr(Stack, "draw", fails)
    with screen.open(SIZE):
        screen.show(IDLE)
        await until(lambda: screen.health().state == "given_up")
        assert screen.health().restarts == 5
        with pytest.raises(DeviceLost):
            await screen.picture()


async def test_drawing_that_hangs_is_seen(screen: DrawThread, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.devices.screens.stacking import Stack

    draw, hanging, go_on = Stack.draw, threading.Event(), threading.Event()

    def hangs(self: Stack, now: float) -> None:
        hanging.set()
        go_on.wait(20)
        draw(self, now)

    with screen.open(SIZE):
        screen.show(IDLE)
        await seen(screen)
        monkeypatch.setattr(Stack, "draw", hangs)
        screen.show(replace(IDLE, clock="14:33"))
        await asyncio.to_thread(hanging.wait, 10)
        monkeypatch.setattr(drawing, "STUCK_AFTER_S", 0.05)
        await until(lambda: screen.health().state == "stuck")
        go_on.set()
        monkeypatch.setattr(drawing, "STUCK_AFTER_S", 5.0)
        await until(lambda: screen.health().state == "shown")


async def test_a_touch_on_a_key_is_told_and_one_beside_it_is_not() -> None:
    sdl2 = pytest.importorskip("sdl2", reason="the SDL2 library is not installed")
    screen = HdmiScreen("dummy", reduced_motion=True)
    told: list[str] = []
    screen.on_key = told.append
    keys = (TouchKey("microphone", "mic-off", "Muted", 1, tone="muted"), TouchKey("leave", "leave", "Leave", 2))
    with screen.open((800, 480)):
        screen.show(replace(call_with(), keys=keys))
        picture = await seen(screen)
        assert picture.getpixel((300, 380)) == RGB["muted"]
        for x, y in ((100, 400), (400, 200), (656, 410)):  # where the camera's key is not; the picture; leave
            event = sdl2.SDL_Event()
            event.type = sdl2.SDL_MOUSEBUTTONDOWN
            event.button.x, event.button.y = x, y
            sdl2.SDL_PushEvent(event)
        await until(lambda: bool(told))
    assert told == ["leave"]


def test_a_driver_that_sdl_does_not_have_is_missing() -> None:
    pytest.importorskip("sdl2", reason="the SDL2 library is not installed")
    with pytest.raises(DeviceMissing, match="etch-a-sketch"), HdmiScreen("etch-a-sketch").open():
        pytest.fail("opened")


async def test_a_display_plugged_in_later_is_found_with_the_number_of_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdl2 = pytest.importorskip("sdl2", reason="the SDL2 library is not installed")
    sdl2.SDL_SetHint(b"SDL_KMSDRM_DEVICE_INDEX", b"")
    status = tmp_path / "card3-HDMI-A-1" / "status"
    status.parent.mkdir()
    status.write_text("disconnected\n")
    monkeypatch.setattr(drawing, "RETRY_S", 0.01)
    screen = DrawThread("kmsdrm", drm=tmp_path)
    with screen.open():
        assert screen.health().state == "no_display", "opening does not wait for a display"
        screen.show(IDLE)
        assert sdl2.SDL_GetHint(b"SDL_KMSDRM_DEVICE_INDEX") != b"3"
        status.write_text("connected\n")
        await until(lambda: sdl2.SDL_GetHint(b"SDL_KMSDRM_DEVICE_INDEX") == b"3")
    sdl2.SDL_SetHint(b"SDL_KMSDRM_DEVICE_INDEX", b"")
