"""From the state to the screen: makes the scene anew when the state changes, and when time alone changes it."""

import asyncio
from datetime import datetime, tzinfo

from appliance.clock import Clock
from appliance.devices.screens.base import Screen
from appliance.kiosk.inputs import DisplayChanged
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.scenes import Rest, next_change, scene
from appliance.kiosk.state import KioskState, Phase
from appliance.kiosk.words import Words

HEALTH_EVERY_S = 2.0


class Showing:
    """Keeps one screen up to date. Satisfies the surfaces' protocol, and is run with them.

    Args:
        zone: what people's clocks show; None is the system's.
        dim_after_s, standby_after_s: of idleness; 0 never.
    """

    name = "screen"

    def __init__(
        self,
        screen: Screen,
        clock: Clock,
        words: Words,
        *,
        zone: tzinfo | None = None,
        dim_after_s: float = 120.0,
        standby_after_s: float = 600.0,
    ) -> None:
        self._screen, self._clock, self._words, self._zone = screen, clock, words, zone
        self._dim_after_s, self._standby_after_s = dim_after_s or None, standby_after_s or None
        self._changed = asyncio.Event()
        self._idle_since: datetime | None = None

    async def run(self, kiosk: Kiosk) -> None:
        """Show until cancelled."""
        forget = kiosk.watch(self._note)
        try:
            while True:
                now = self._clock.now().astimezone(self._zone)
                self._changed.clear()
                rest = self._rest(kiosk.state, now)
                self._screen.show(scene(kiosk.state, now, self._words, self._screen.wall, rest))
                self._tell_display(kiosk)
                wait_s = min(HEALTH_EVERY_S, max(0.05, (next_change(kiosk.state, now) - now).total_seconds()))
                try:
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        finally:
            forget()

    def _note(self, _: KioskState) -> None:
        self._changed.set()

    def _rest(self, state: KioskState, now: datetime) -> Rest | None:
        """Let the screen go dark some time after the kiosk became idle."""
        if state.phase is not Phase.IDLE:
            self._idle_since = None
            return None
        self._idle_since = self._idle_since or now
        return Rest(self._idle_since, self._dim_after_s, self._standby_after_s)

    def _tell_display(self, kiosk: Kiosk) -> None:
        display = "on" if self._screen.health().state == "shown" else "absent"
        if kiosk.state.display != display:
            kiosk.submit(DisplayChanged("on" if display == "on" else "absent"))
