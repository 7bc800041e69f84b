"""Two pages of the unmodified SDK in a call, each behind a link of its own that can be made bad."""

import time
from contextlib import ExitStack
from typing import Any

from tests.support.browser import Application
from tests.support.lossy_relay import LossyRelay, Weather
from tests.support.processes import wait_for
from tests.support.signaling_proxy import SignalingProxy
from tests.support.wire_pages import Meeting, moves

SIZE = [320, 180, 15]
FINE = Weather(delay_s=0.005)


class Call:
    """Anna and Bert, who see and hear each other, each over a relay."""

    def __init__(self, meeting: Meeting, parts: ExitStack) -> None:
        self.proxies: list[SignalingProxy] = [
            parts.enter_context(meeting.proxy(FINE, seed=number)) for number in range(2)
        ]
        names = ("anna", "bert")
        self.pages = [meeting.join(name, proxy.url, size=SIZE) for name, proxy in zip(names, self.proxies, strict=True)]
        self.ends = list(zip(self.pages, reversed(names), strict=True))
        for page, other in self.ends:
            moves(page, other)

    def weather(self, weather: Weather) -> None:
        for proxy in self.proxies:
            proxy.weather(weather)

    def counted(self) -> list[dict[str, Any]]:
        """Return what each page has counted of the other's video so far."""
        return [page.call("received", other) for page, other in self.ends]

    def decoded(self) -> list[int]:
        return [page.call("decoded", other) for page, other in self.ends]

    def relays(self) -> list[LossyRelay]:
        return [proxy.relay for proxy in self.proxies if proxy.relay is not None]

    def freezes_in_s(self, seconds: float) -> int:
        """Return how many freezes one page counted at most in so long a time."""
        before = [int(each["freezeCount"]) for each in self.counted()]
        sleep(self.pages[0], seconds)
        after = [int(each["freezeCount"]) for each in self.counted()]
        return max(late - early for early, late in zip(before, after, strict=True))

    def well_after_s(self) -> float:
        """Wait until both pictures move, fifteen frames each; return how long it took."""
        began = time.monotonic()
        wanted = [page.call("decoded", other) + 15 for page, other in self.ends]
        wait_for("both move", lambda: all(now >= then for now, then in zip(self.decoded(), wanted, strict=True)))
        return time.monotonic() - began


def counts(early: dict[str, Any], late: dict[str, Any]) -> dict[str, int]:
    """Return what was counted between two looks."""
    return {key: late[key] - early[key] for key in late if key.endswith(("Count", "Decoded"))}


def sleep(page: Application, seconds: float) -> None:
    """Let a call go on: what is looked at afterwards is what was counted meanwhile."""
    page.page.wait_for_timeout(1000 * seconds)
