"""An asyncio event loop that serves media sockets from inside its wait: a packet costs no trip through the loop.

asyncio takes a reader's callback through an event list, a handle and a context, for each time the socket becomes
readable: at few packets per wake-up that is as dear as forwarding them. Here the wait itself calls them, and goes on
waiting; it comes back to asyncio when something else happened, a timer is due, or the callback says that it touched
more than media. Where the system has no epoll, or another loop runs, the sockets are ordinary readers.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import socket
from collections.abc import Callable
from time import monotonic

Receive = Callable[[socket.socket], bool]
"""Takes what has arrived, without waiting. True: nothing was done that asyncio has to know of, such as call_soon."""

_MOST_EVENTS = 16


def add_media_reader(sock: socket.socket, receive: Receive) -> None:
    """Call `receive` whenever the socket is readable, in the cheapest way the running loop knows."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, MediaLoop):
        loop.waiting.add(sock, receive)
    else:
        loop.add_reader(sock, receive, sock)


def remove_media_reader(sock: socket.socket) -> None:
    """Undo `add_media_reader`; before the socket is closed."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, MediaLoop):
        loop.waiting.remove(sock)
    else:
        loop.remove_reader(sock)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a MediaLoop where the system can, asyncio's own where it cannot; a factory for asyncio.Runner."""
    return MediaLoop() if hasattr(select, "epoll") else asyncio.new_event_loop()


class MediaSelector(selectors.DefaultSelector):
    """The selector of a MediaLoop. What asyncio registers is one descriptor among the media sockets (epoll(7))."""

    def __init__(self) -> None:
        super().__init__()
        self._media: dict[int, tuple[Receive, socket.socket]] = {}
        self._all = select.epoll()
        self._all.register(self.fileno(), select.EPOLLIN)
        self.on_error: Callable[[Exception], None] | None = None

    def add(self, sock: socket.socket, receive: Receive) -> None:
        self._media[sock.fileno()] = (receive, sock)
        self._all.register(sock, select.EPOLLIN)

    def remove(self, sock: socket.socket) -> None:
        if self._media.pop(sock.fileno(), None) is not None:
            self._all.unregister(sock)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as any selector does, serving media meanwhile."""
        media, poll = self._media, self._all.poll
        if not media:
            return super().select(timeout)
        until = None if timeout is None else monotonic() + max(0.0, timeout)
        while True:
            events = poll(timeout, _MOST_EVENTS)
            only_media, others = bool(events), False
            for descriptor, _ in events:
                served = media.get(descriptor)
                if served is None:
                    others = True
                    continue
                receive, sock = served
                try:
                    if not receive(sock):
                        only_media = False
                except Exception as error:  # as asyncio does with a reader's: told, and the loop goes on
                    only_media = False
                    if self.on_error is None:
                        raise
                    self.on_error(error)
            if others:
                return super().select(0)
            if not only_media:
                return []
            if until is not None:
                timeout = until - monotonic()
                if timeout <= 0:
                    return []

    def close(self) -> None:
        self._all.close()
        self._media.clear()
        super().close()


class MediaLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with a MediaSelector."""

    def __init__(self) -> None:
        self.waiting = MediaSelector()
        super().__init__(self.waiting)
        self.waiting.on_error = self._media_failed

    def _media_failed(self, error: Exception) -> None:
        self.call_exception_handler({"message": "media could not be received", "exception": error})
