"""gunicorn's threaded worker, so that a client that stalls holds up nobody (kiosk.md 9).

As it comes, a new connection takes a thread at once and keeps it for as long as its client sends half a request, or
reads half an answer. Here it waits in the poller until something was sent, and no single read or write takes for ever.
"""

import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from typing_extensions import Buffer

PATIENCE_S = 3.0
"""A client may pause for so long within a request or an answer."""


class PatientSocket(socket.socket):
    """A socket whose blocking calls give up: a stalled client looks like one that hung up."""

    def setblocking(self, flag: bool) -> None:
        self.settimeout(PATIENCE_S if flag else 0.0)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        try:
            return super().recv(size, flags)
        except TimeoutError:
            raise _hung_up() from None

    def send(self, data: "Buffer", flags: int = 0, /) -> int:
        try:
            return super().send(data, flags)
        except TimeoutError:
            raise _hung_up() from None

    def sendall(self, data: "Buffer", flags: int = 0, /) -> None:
        try:
            super().sendall(data, flags)
        except TimeoutError:
            raise _hung_up() from None


def _hung_up() -> OSError:
    return OSError(errno.ECONNRESET, "the client stalled")


class _Connection(TConn):  # type: ignore[misc]
    def close(self, graceful: bool = False) -> None:
        # gunicorn lingers up to 2 s for the client to hang up first, and would do so on the thread that accepts.
        threading.Thread(target=super().close, args=(graceful,), name="close-connection", daemon=True).start()


class PanelWorker(ThreadWorker):  # type: ignore[misc]
    """`app.close_streams` is called when it is told to stop, so that open streams do not hold up the end."""

    def accept(self, listener: socket.socket) -> None:
        """Take a connection and wait for its first bytes without a thread."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                return
            raise
        client = PatientSocket(fileno=accepted.detach())
        client.setblocking(False)
        connection = _Connection(self.cfg, client, address, listener.getsockname())
        connection.timeout = time.monotonic() + self.cfg.keepalive
        self.nr_conns += 1
        self.pending_conns.append(connection)
        self.poller.register(client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, connection))

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._close_streams()
        super().handle_exit(sig, frame)

    def is_parent_alive(self) -> bool:
        alive: bool = super().is_parent_alive()
        if not alive:
            self._close_streams()  # else an orphan would live on for as long as somebody watches
        return alive

    def _close_streams(self) -> None:
        # On a thread: a signal handler may have interrupted whoever holds the lock.
        close_streams: Callable[[], None] = self.app.close_streams
        threading.Thread(target=close_streams, name="close-streams", daemon=True).start()
