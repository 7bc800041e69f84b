"""Where the picture goes: SDL2's video part with one window and one renderer. One thread opens, uses and closes it.

KMSDRM without a desktop, Wayland or X11 with one, dummy where nobody looks. KMSDRM neither starts without a connected
display nor reports hot-plug, so the connectors are read from /sys/class/drm (kiosk.md 7).
"""

import ctypes
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sdl2
from sdl2.surface import SDL_YUV_CONVERSION_BT601
from sdl2.touch import SDL_TOUCH_MOUSEID

from appliance.errors import DeviceLost, DeviceMissing

log = logging.getLogger(__name__)

DRM = Path("/sys/class/drm")
CARD = re.compile(r"card(\d+)-(.+)")
HINTS = {
    "SDL_NO_SIGNAL_HANDLERS": "1",  # SIGTERM is ours, SDL would turn it into an event
    "SDL_RENDER_SCALE_QUALITY": "linear",
    "SDL_VIDEO_ALLOW_SCREENSAVER": "1",  # when it goes dark is decided by the scenes
}


class NoDisplay(DeviceLost):
    """Nothing to show on just now; a display may appear at any time."""


@dataclass(frozen=True, slots=True)
class Connector:
    """A socket for a display, as the kernel sees it."""

    card: int
    name: str
    connected: bool


def connectors(root: Path = DRM) -> list[Connector]:
    """Return all sockets for displays of this machine; empty where there is no such driver."""
    found = []
    for status in sorted(root.glob("card*-*/status")):
        match = CARD.fullmatch(status.parent.name)
        if match is None or "Writeback" in match[2]:
            continue
        try:
            connected = status.read_text().strip() == "connected"
        except OSError:  # unplugged with its card between listing and reading
            continue
        found.append(Connector(int(match[1]), match[2], connected))
    return found


def card_to_use(found: list[Connector]) -> int | None:
    """Return the first card with a display connected: card numbers change between boots."""
    return next((connector.card for connector in found if connector.connected), None)


def drivers() -> list[str]:
    """Return the video drivers this SDL2 was built with."""
    return [sdl2.SDL_GetVideoDriver(i).decode() for i in range(sdl2.SDL_GetNumVideoDrivers())]


class VideoOutput:
    """An open window, or the whole display, and its renderer."""

    def __init__(self, driver: str | None, size: tuple[int, int] | None, *, drm: Path = DRM) -> None:
        """Open it.

        Args:
            driver: of SDL2; None takes the desktop's, or KMSDRM without one.
            size: of a window in px; None takes the whole display.
        Raises:
            DeviceMissing: SDL2 has no such driver.
            NoDisplay: nothing is connected, or the display server does not answer.
        """
        self._drm = drm
        self._window: Any = None
        self._renderer: Any = None
        self.size: tuple[int, int] = (0, 0)
        self.touches: list[tuple[float, float]] = []  # where the screen was touched since last looked at, px
        known = [name.lower() for name in drivers()]
        if driver is not None and driver.lower() not in known:
            raise DeviceMissing(f"screen: SDL2 has no driver {driver!r}, only {', '.join(known)}")
        for hint, value in HINTS.items():
            sdl2.SDL_SetHint(hint.encode(), value.encode())
        self.plugged = card_to_use(connectors(drm))
        if driver is not None and driver.lower() == "kmsdrm" and self.plugged is None:
            raise NoDisplay("screen: no display is connected")
        if self.plugged is not None:
            sdl2.SDL_SetHint(b"SDL_KMSDRM_DEVICE_INDEX", str(self.plugged).encode())
        sdl2.SDL_SetHint(b"SDL_VIDEODRIVER", driver.encode() if driver else b"")
        if sdl2.SDL_InitSubSystem(sdl2.SDL_INIT_VIDEO) != 0:
            raise NoDisplay(f"screen: {_said()}")
        try:
            self._open(size)
        except DeviceLost:
            self.close()
            raise

    def _open(self, size: tuple[int, int] | None) -> None:
        self.driver = (sdl2.SDL_GetCurrentVideoDriver() or b"none").decode()
        simulated = self.driver in ("dummy", "offscreen")
        if simulated and size is None:
            size = (1280, 720)
        flags = sdl2.SDL_WINDOW_SHOWN | (0 if size else sdl2.SDL_WINDOW_FULLSCREEN_DESKTOP)
        width, height = size or self._display_size()
        centred = sdl2.SDL_WINDOWPOS_CENTERED
        self._window = sdl2.SDL_CreateWindow(b"Room kiosk", centred, centred, width, height, flags)
        if not self._window:
            raise NoDisplay(f"screen: window: {_said()}")
        sdl2.SDL_ShowCursor(0)
        wanted = sdl2.SDL_RENDERER_SOFTWARE if simulated else sdl2.SDL_RENDERER_PRESENTVSYNC
        # WebRTC's pictures are BT.601 unless said otherwise; SDL would take BT.709 for the larger ones.
        sdl2.SDL_SetYUVConversionMode(SDL_YUV_CONVERSION_BT601)
        self._renderer = sdl2.SDL_CreateRenderer(self._window, -1, wanted)
        if not self._renderer:
            log.warning("screen: no accelerated drawing (%s), drawing in software", _said())
            self._renderer = sdl2.SDL_CreateRenderer(self._window, -1, sdl2.SDL_RENDERER_SOFTWARE)
        if not self._renderer:
            raise DeviceLost(f"screen: renderer: {_said()}")
        w, h = ctypes.c_int(), ctypes.c_int()
        if sdl2.SDL_GetRendererOutputSize(self._renderer, ctypes.byref(w), ctypes.byref(h)) != 0:
            raise DeviceLost(f"screen: size: {_said()}")
        self.size = (w.value, h.value)

    @staticmethod
    def _display_size() -> tuple[int, int]:
        mode = sdl2.SDL_DisplayMode()
        if sdl2.SDL_GetCurrentDisplayMode(0, ctypes.byref(mode)) != 0:
            raise NoDisplay(f"screen: display mode: {_said()}")
        return mode.w, mode.h

    @property
    def renderer(self) -> Any:
        return self._renderer

    def pump(self) -> bool:
        """Let SDL handle its events; return whether the picture must be drawn again. Raise NoDisplay if resized."""
        event, again = sdl2.SDL_Event(), False
        while sdl2.SDL_PollEvent(ctypes.byref(event)):
            if event.type == sdl2.SDL_RENDER_TARGETS_RESET or event.type == sdl2.SDL_RENDER_DEVICE_RESET:
                raise DeviceLost("screen: the graphics device was reset")
            if event.type == sdl2.SDL_FINGERDOWN:
                self.touches.append((event.tfinger.x * self.size[0], event.tfinger.y * self.size[1]))
            elif event.type == sdl2.SDL_MOUSEBUTTONDOWN and event.button.which != SDL_TOUCH_MOUSEID:
                self.touches.append((event.button.x, event.button.y))
            if event.type != sdl2.SDL_WINDOWEVENT:
                continue
            if event.window.event == sdl2.SDL_WINDOWEVENT_SIZE_CHANGED:
                size = (event.window.data1, event.window.data2)
                if size != self.size:
                    raise NoDisplay(f"screen: now {size[0]}x{size[1]}")
            again = again or event.window.event in (sdl2.SDL_WINDOWEVENT_EXPOSED, sdl2.SDL_WINDOWEVENT_RESTORED)
        return again

    def check_plug(self) -> None:
        """Raise NoDisplay where another display is plugged in than at the opening; KMSDRM does not see that."""
        if self.driver.lower() == "kmsdrm" and card_to_use(connectors(self._drm)) != self.plugged:
            raise NoDisplay("screen: the display was unplugged or another one plugged in")

    def close(self) -> None:
        """Give the display back; closing twice is fine."""
        if self._renderer:
            sdl2.SDL_DestroyRenderer(self._renderer)
        if self._window:
            sdl2.SDL_DestroyWindow(self._window)
        self._renderer = self._window = None
        sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)


def _said() -> str:
    return str(sdl2.SDL_GetError().decode(errors="replace"))
