"""One rooms service and pages of the unmodified SDK for a whole module of tests; each test uses a room of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from tests.support.browser import Application
from tests.support.lossy_relay import Weather
from tests.support.processes import wait_for
from tests.support.signaling_proxy import SignalingProxy, signaling_proxy
from tests.support.stack import Stack

SMALL = [320, 180, 10]
_numbers = count(1)


class Meeting:
    """A room for one test, and the pages in it."""

    def __init__(self, stack: Stack, open_page: Callable[[str | None], Application]) -> None:
        self.stack = stack
        self.room = f"room-{next(_numbers)}"
        self._open_page = open_page

    def open(self, address: str | None = None) -> Application:
        """Open the application page, or another one, in a profile of its own."""
        return self._open_page(address)

    def join(self, identity: str, service: str | None = None, **how: Any) -> Application:
        """Open a page and join; `service`: where else than at the service itself, as at a proxy."""
        page = self.open()
        page.join(service=service or self.stack.service, **{**self.ticket(identity), "size": SMALL, **how})
        return page

    def refused(self, identity: str, room: str | None = None, **how: Any) -> Any:
        """Open a page and try to join; return the code of the error, None for none."""
        ticket = {**self.ticket(identity), "wsServer": self.stack.service.replace("http", "ws", 1) + "/signaling"}
        how = {**ticket, "media": False, "data": False, **how}
        if room is not None:
            how |= {"room": room, "token": self.stack.token(identity, None)}
        return self.open().call("tryJoin", how)

    def ticket(self, identity: str) -> dict[str, str]:
        return {"token": self.stack.token(identity, self.room), "room": self.room}

    def proxy(self, weather: Weather | None = None, seed: int = 1) -> "Any":
        return signaling_proxy(self.stack.service, int(self.stack.rooms.ready["media_port"]), weather, seed)


@contextmanager
def meeting_in(stack: Stack, browser: Browser, address: str) -> Iterator[Meeting]:
    """Give a meeting whose pages are closed afterwards; a page that broke is an error."""
    contexts: list[BrowserContext] = []
    pages: list[Application] = []

    def open_page(other: str | None) -> Application:
        contexts.append(browser.new_context(permissions=["camera", "microphone"]))
        pages.append(Application(contexts[-1].new_page(), other or address))
        return pages[-1]

    try:
        yield Meeting(stack, open_page)
        assert [error for page in pages for error in page.errors] == []
    finally:
        for context in contexts:
            context.close()


def moves(page: Application, identity: str, *, within_s: float = 20.0) -> None:
    """Wait until ten more frames of somebody's video were shown."""
    shown = page.call("decoded", identity)
    wait_for(f"the picture of {identity} moves", lambda: page.call("decoded", identity) > shown + 10, within_s=within_s)


def subscribed(page: Application, identity: str) -> list[str]:
    """Return the names of the tracks of somebody that a page has been given and not been taken, in order."""
    names: list[str] = []
    for name, detail in page.events():
        if name in ("trackSubscribed", "trackUnsubscribed") and detail["identity"] == identity:
            names.append(detail["name"]) if name == "trackSubscribed" else names.remove(detail["name"])
    return sorted(names)


def module_stack(folder: Path, configuration: str, advertise: Sequence[str] = ("127.0.0.1",)) -> Stack:
    stack = Stack(folder)
    stack.start_rooms(configuration, advertise)
    return stack


__all__ = ["SMALL", "Meeting", "SignalingProxy", "meeting_in", "module_stack", "moves", "subscribed"]
