"""The thread that draws: the newest scene, the newest frame of each slot, at most so many times a second.

Nothing is drawn while nothing changes. A display that fails is opened again, five times in ten minutes; one that is
not there is waited for. A hang inside the driver cannot be stopped from here, so the thread leaves a heartbeat.
"""

import asyncio
import io
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from appliance.errors import DeviceError, DeviceLost, DeviceMissing

from .base import KeyAction, Scene, ScreenHealth, ScreenState, Wall
from .look import wall_of

if TYPE_CHECKING:
    import av

    from .stacking import Stack
    from .video_output import VideoOutput

log = logging.getLogger(__name__)

BEAT_S = 1.0  # the thread shows that it lives so often at least
TOUCH_BEAT_S = 0.05  # touches are looked for so often, since SDL tells of them only when asked
STUCK_AFTER_S = 5.0  # nothing for so long: hanging (kiosk.md 7)
RETRY_S = 2.0  # between looks for a display, so that one that appears shows within 5 s
RESTARTS, RESTARTS_WITHIN_S = 5, 600.0
PICTURE_WITHIN_S = 2.0
OPEN_WITHIN_S = 10.0


class Slot:
    """Room for one frame; a newer one replaces it. `keep` has the last one for a display that is opened again."""

    def __init__(self) -> None:
        self.keep: av.VideoFrame | None = None
        self.fresh = False


class DrawThread:
    """What HdmiScreen and VirtualScreen share. Public methods are safe from any thread."""

    def __init__(
        self, driver: str | None, *, rate_hz: float = 30.0, reduced_motion: bool = False, drm: Path | None = None
    ) -> None:
        self._driver, self._period, self._reduced, self._drm = driver, 1 / rate_hz, reduced_motion, drm
        self._changed = threading.Condition()
        self._scene: Scene | None = None
        self._scene_new = False
        self._slots: dict[str, Slot] = {}
        self._dropped: set[str] = set()
        self._wanted: list[Future[Image.Image]] = []
        self._stopping = False
        self._settled = threading.Event()
        self._wall, self._size, self._driver_name = Wall(), (0, 0), driver or "auto"
        self._beat, self._presented, self._restarts = 0.0, 0, 0
        self._state: ScreenState = "closed"
        self._missing: DeviceMissing | None = None
        self.on_key: Callable[[KeyAction], None] = lambda _action: None

    @property
    def wall(self) -> Wall:
        return self._wall

    @contextmanager
    def open(self, size: tuple[int, int] | None = None) -> Iterator[None]:
        try:
            from . import video_output  # noqa: F401
        except ImportError as error:
            raise DeviceMissing(f"screen: the SDL2 library is not installed ({error})") from error
        self._stopping, self._missing, self._state = False, None, "no_display"
        self._settled.clear()
        self._beat = time.monotonic()
        thread = threading.Thread(target=self._run, args=(size,), name="screen", daemon=True)
        thread.start()
        try:
            self._settled.wait(OPEN_WITHIN_S)
            if self._missing is not None:
                raise self._missing
            yield
        finally:
            with self._changed:
                self._stopping = True
                self._changed.notify()
            thread.join(STUCK_AFTER_S)
            if thread.is_alive():
                log.error("screen: drawing hangs and is left behind")
            self._state = "closed"

    def show(self, scene: Scene) -> None:
        with self._changed:
            if scene != self._scene:
                self._scene, self._scene_new = scene, True
                self._changed.notify()

    def slot(self, key: str) -> "Callable[[av.VideoFrame], None]":
        with self._changed:
            slot = self._slots.setdefault(key, Slot())
            self._dropped.discard(key)

        def put(frame: "av.VideoFrame") -> None:
            with self._changed:
                slot.keep, slot.fresh = frame, True
                self._changed.notify()

        return put

    def drop_slot(self, key: str) -> None:
        with self._changed:
            self._slots.pop(key, None)
            self._dropped.add(key)
            self._changed.notify()

    def health(self) -> ScreenHealth:
        state = self._state
        if state in ("shown", "no_display") and time.monotonic() - self._beat > STUCK_AFTER_S:
            state = "stuck"
        return ScreenHealth(state, self._driver_name, self._size, self._presented, self._restarts)

    async def picture(self) -> bytes:
        wanted: Future[Image.Image] = Future()
        with self._changed:
            self._wanted.append(wanted)
            self._changed.notify()
        try:
            async with asyncio.timeout(PICTURE_WITHIN_S):
                image = await asyncio.wrap_future(wanted)
        except TimeoutError:
            raise DeviceLost(f"screen: nothing was drawn within {PICTURE_WITHIN_S:.0f} s") from None
        return await asyncio.to_thread(_png, image)

    # On the thread from here on.

    def _run(self, size: tuple[int, int] | None) -> None:
        failures: deque[float] = deque()
        waiting = False
        from .video_output import NoDisplay

        while not self._stopping:
            try:
                self._show_until_closed(size)
            except DeviceMissing as error:
                self._missing = error
                break
            except NoDisplay as error:
                if not waiting:
                    log.warning("%s; the kiosk goes on without, and looks again", error)
                waiting, self._state, self._size = True, "no_display", (0, 0)
                self._pause(RETRY_S)
            except Exception as error:
                waiting = False
                failures.append(time.monotonic())
                while failures and failures[-1] - failures[0] > RESTARTS_WITHIN_S:
                    failures.popleft()
                self._restarts += 1
                if isinstance(error, DeviceError):
                    log.error("%s; opened again", error)
                else:
                    log.exception("screen: drawing failed; opened again")
                if len(failures) >= RESTARTS:
                    log.error("screen: failed %d times in 10 min and is left off", len(failures))
                    self._state = "given_up"
                    break
                self._pause(BEAT_S)
        self._settled.set()
        self._refuse_pictures()

    def _pause(self, seconds: float) -> None:
        self._settled.set()
        self._beat = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _refuse_pictures(self) -> None:
        with self._changed:
            wanted, self._wanted = self._wanted, []
        for future in wanted:
            if not future.done():
                future.set_exception(DeviceLost("screen: it is closed"))

    def _show_until_closed(self, size: tuple[int, int] | None) -> None:
        """Open the display, draw until told to stop; raise what ended it otherwise."""
        from .canvas import Canvas
        from .stacking import Stack
        from .video_output import DRM, VideoOutput

        output = VideoOutput(self._driver, size, drm=self._drm or DRM)
        canvas = Canvas(output.renderer, output.size)
        try:
            self._size, self._wall, self._driver_name = output.size, wall_of(*output.size), output.driver
            self._state = "shown"
            log.info("screen: %dx%d by %s", *output.size, output.driver)
            with self._changed:
                self._scene_new = self._scene is not None
                for slot in self._slots.values():
                    slot.fresh = slot.keep is not None
            self._draw(output, Stack(canvas, self._wall, reduced_motion=self._reduced))
        finally:
            canvas.close()
            output.close()

    def _draw(self, output: "VideoOutput", stack: "Stack") -> None:
        next_plug_check = 0.0
        drawn_at, again = float("-inf"), True
        while True:
            now = time.monotonic()
            self._beat = now
            if self._wait(stack, drawn_at, again):
                return
            self._beat = now = time.monotonic()
            if now >= next_plug_check:
                output.check_plug()
                next_plug_check = now + RETRY_S
            again = output.pump() or again
            self._tell_touches(output, stack)
            scene, frames, wanted = self._take(stack)
            due = stack.wants_frame_at(now) <= now
            if not (scene or frames or wanted or due or again):
                continue
            if scene is not None:
                stack.show(scene, now)
            for key, frame in frames:
                stack.canvas.video(key).upload(frame)
            stack.draw(now)
            if wanted:
                image = stack.canvas.read()
                for future in wanted:
                    if future.set_running_or_notify_cancel():
                        future.set_result(image)
            stack.canvas.present()
            self._presented += 1
            drawn_at, again = now, False
            self._settled.set()

    def _tell_touches(self, output: "VideoOutput", stack: "Stack") -> None:
        from .touch import key_at

        touches, output.touches = output.touches, []
        scene = self._scene
        if scene is None or not self._wall.touch:
            return
        for x, y in touches:
            action = key_at(scene, x / stack.scale.u, y / stack.scale.u, self._wall.width)
            if action is not None:
                self.on_key(action)

    def _wait(self, stack: "Stack", drawn_at: float, again: bool) -> bool:
        """Wait until there may be something to draw; return whether to stop."""
        seen = stack.slots()
        with self._changed:
            # Never more often than the rate: what arrives meanwhile is drawn with the next frame.
            self._changed.wait_for(lambda: self._stopping, max(0.0, drawn_at + self._period - time.monotonic()))
            now = time.monotonic()
            beat = TOUCH_BEAT_S if self._wall.touch else BEAT_S
            quiet = min(beat, max(0.0, stack.wants_frame_at(now) - now))
            if not again:
                self._changed.wait_for(lambda: self._something_new(seen), quiet)
            return self._stopping

    def _something_new(self, seen: set[str]) -> bool:
        fresh = any(slot.fresh and key in seen for key, slot in self._slots.items())
        return bool(self._stopping or self._scene_new or self._wanted or self._dropped or fresh)

    def _take(
        self, stack: "Stack"
    ) -> "tuple[Scene | None, list[tuple[str, av.VideoFrame]], list[Future[Image.Image]]]":
        """Take what is new: a scene, frames of the slots that are seen, wishes for a picture."""
        with self._changed:
            scene, self._scene_new = self._scene if self._scene_new else None, False
            for key in self._dropped:
                stack.canvas.drop_video(key)
            self._dropped.clear()
            seen = stack.slots()
            frames = []
            for key, slot in self._slots.items():
                if slot.fresh and slot.keep is not None and (key in seen or scene is not None):
                    frames.append((key, slot.keep))
                    slot.fresh = False
            wanted, self._wanted = self._wanted, []
        return scene, frames, wanted


def _png(image: Image.Image) -> bytes:
    into = io.BytesIO()
    image.save(into, "PNG", compress_level=3)
    return into.getvalue()
