"""Buttons → commands, state → lamps. The `live` lamp belongs to the owner of the devices; here it gets its rhythm."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from appliance.devices.buttons.base import Buttons
from appliance.devices.lamps.base import Lamp, Lamps
from appliance.errors import CommandRefused, DeviceError
from appliance.kiosk.capture import LiveLamp
from appliance.kiosk.inputs import Actor, IssueSeen
from appliance.kiosk.line import lamps as lamp_patterns
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.state import KioskState, Origin, Role
from appliance.surfaces.gestures import Debounce, Fingers, Gesture, Gestures, Kind, holds_for
from appliance.surfaces.rhythms import STEADY, TEST_S, TICK_S, brightness, lit

log = logging.getLogger(__name__)

FLASH_S = 1.0
_FINGER = Actor(origin=Origin.BUTTON, role=Role.OPERATOR)


@dataclass(frozen=True, slots=True)
class ButtonEvent:
    """What `{p}/button/{name}` tells (kiosk.md 10); `action` None where the gesture means nothing now."""

    button: str
    event_type: str
    action: str | None
    outcome: str


class PressableButtons(Protocol):
    """The virtual front panel's buttons."""

    def press(self, button: str) -> None: ...
    def release(self, button: str) -> None: ...


class FrontPanel:
    """Satisfies Surface, and `stage.FrontPanelHands`.

    Args:
        pressable: the same buttons where they are virtual.
        brightness: 0..1 of the lit mute and status lamps.
    """

    name = "front panel"

    def __init__(
        self,
        buttons: Buttons | None,
        lamps: Lamps | None,
        live: LiveLamp,
        *,
        pressable: PressableButtons | None = None,
        debounce_s: float = 0.03,
        leave_hold_s: float = 0.0,
        brightness: float = 0.6,
        lamp_test_s: float = TEST_S,
    ) -> None:
        self._buttons, self._lamps, self._live, self._pressable = buttons, lamps, live, pressable
        self._debounce_s, self._leave_hold_s, self._brightness = debounce_s, leave_hold_s, brightness
        self._lamp_test_s = lamp_test_s
        self._listeners: list[Callable[[ButtonEvent], None]] = []
        self._mute_until = 0.0
        self._changed = asyncio.Event()
        self._patterns: dict[Lamp, tuple[str, float]] = {}
        self.opened = asyncio.Event()
        """Set when buttons and lamps are claimed, or known to be missing."""

    def on_button(self, listener: Callable[[ButtonEvent], None]) -> None:
        self._listeners.append(listener)

    # What the stage asks

    def flash_mute(self) -> None:
        self._mute_until = time.monotonic() + FLASH_S
        self._changed.set()

    def move(self, button: str, pressed: bool) -> None:
        """Drive a virtual button's pin."""
        if self._pressable is not None:
            (self._pressable.press if pressed else self._pressable.release)(button)

    # Surface

    async def run(self, kiosk: Kiosk) -> None:
        """Serve until cancelled; lamps are dark at the end."""
        with ExitStack() as opened:
            self._open(opened, kiosk)
            forget = kiosk.watch(self._show_state)
            self.opened.set()
            try:
                await self._play_lamps()
            finally:
                forget()

    def _open(self, opened: ExitStack, kiosk: Kiosk) -> None:
        try:
            if self._lamps is not None:
                opened.enter_context(self._lamps.open())
            if self._buttons is not None:
                hand = _Hand(kiosk, self._buttons, self._debounce_s, self._leave_hold_s, self._tell)
                opened.enter_context(self._buttons.open(hand.edge))
                opened.callback(hand.close)
                hand.begin()
        except DeviceError as error:
            log.warning("front panel: %s; running without it", error)
            kiosk.submit(IssueSeen(code="gpio_unavailable", present=True, subject=str(error)))

    def _tell(self, event: ButtonEvent) -> None:
        for listener in self._listeners:
            listener(event)

    # Lamps

    def _show_state(self, state: KioskState) -> None:
        wanted = lamp_patterns(state)
        for lamp in ("mute", "live", "status"):
            pattern: str = getattr(wanted, lamp)
            if self._patterns.get(lamp, ("", 0.0))[0] != pattern:
                self._patterns[lamp] = (pattern, time.monotonic())
                self._changed.set()

    async def _play_lamps(self) -> None:
        if self._lamps is None:
            await asyncio.Event().wait()
        began = time.monotonic()
        while True:
            now = time.monotonic()
            testing = now - began < self._lamp_test_s
            for lamp in ("mute", "live", "status"):
                pattern, since = ("test", began) if testing else self._patterns[lamp]
                if lamp == "mute" and now < self._mute_until:
                    pattern = "solid"
                self._show(lamp, pattern, now - since)
            steady = all(pattern in STEADY for pattern, _ in self._patterns.values())
            self._changed.clear()
            moving = testing or not steady or now < self._mute_until
            try:
                async with asyncio.timeout(TICK_S if moving else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _show(self, lamp: Lamp, pattern: str, at_s: float) -> None:
        assert self._lamps is not None
        if lamp != "live":
            self._lamps.show(lamp, lit(pattern, at_s), self._brightness * brightness(pattern, at_s))
        elif pattern == "fast_4hz":
            self._live.pulse(lit(pattern, at_s))
        else:
            self._live.settle()


class _Hand:
    """Edges from the driver's thread to commands on the loop."""

    def __init__(
        self,
        kiosk: Kiosk,
        buttons: Buttons,
        debounce_s: float,
        leave_hold_s: float,
        tell: Callable[[ButtonEvent], None],
    ) -> None:
        self._kiosk, self._buttons, self._tell = kiosk, buttons, tell
        self._loop = asyncio.get_running_loop()
        self._debounce_s = debounce_s
        self._debounces: dict[str, Debounce] = {}
        self._gestures: Gestures | None = None
        self._holds = holds_for(leave_hold_s)
        self._fingers = Fingers(leave_hold_s)
        self._timer: asyncio.TimerHandle | None = None
        self._commands: set[asyncio.Task[None]] = set()

    def edge(self, button: str, pressed: bool, at: float) -> None:
        """Take an edge on the driver's thread."""
        try:
            self._loop.call_soon_threadsafe(self._edge, button, pressed, at)
        except RuntimeError:
            log.debug("an edge of %s after the end", button)

    def begin(self) -> None:
        """Look which buttons are down already: nobody means anything by them (kiosk.md 5)."""
        down = frozenset(name for name in self._buttons.names if self._buttons.pressed(name))
        self._debounces = {name: Debounce(self._debounce_s, pressed=name in down) for name in self._buttons.names}
        self._gestures = Gestures(self._holds, down)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for command in self._commands:
            command.cancel()

    def _edge(self, button: str, pressed: bool, at: float) -> None:
        assert self._gestures is not None
        for change in self._debounces[button].edge(pressed, at):
            self._take(self._gestures.change(button, change))
        self._look(time.monotonic())

    def _look(self, now: float) -> None:
        """Take what is due, and come again when the next is."""
        assert self._gestures is not None
        for button, debounce in self._debounces.items():
            for change in debounce.wake(now):
                self._take(self._gestures.change(button, change))
        self._take(self._gestures.wake(now))
        due = [
            at
            for at in (*(each.wake_at() for each in self._debounces.values()), self._gestures.wake_at())
            if at is not None
        ]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due:
            self._timer = self._loop.call_later(max(0.0, min(due) - now), lambda: self._look(time.monotonic()))

    def _take(self, gestures: list[Gesture]) -> None:
        for gesture in gestures:
            if gesture.kind is Kind.STUCK:
                self._kiosk.submit(IssueSeen(code="button_stuck", present=True, subject=gesture.button))
            task = self._loop.create_task(self._act(gesture), name=f"button {gesture.button}")
            self._commands.add(task)
            task.add_done_callback(self._commands.discard)

    async def _act(self, gesture: Gesture) -> None:
        """Do what the gesture means; every press and hold is told, with its outcome, even if nothing came of it."""
        meant = self._fingers.meaning(gesture, self._kiosk.state)
        outcome = "none"
        if meant is not None:
            try:
                answer = await self._kiosk.command(meant.command, _FINGER)
                outcome = "done" if answer.ok else answer.code
            except CommandRefused as error:
                outcome = error.code
        if gesture.kind is not Kind.STUCK:
            self._tell(ButtonEvent(gesture.button, str(gesture.kind), meant.action if meant else None, outcome))
