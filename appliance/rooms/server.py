"""The listeners, HTTP and HTTPS, and which path leads where (rest.md 17)."""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

from appliance.errors import ConfigurationError
from appliance.rooms.guests import GuestPage
from appliance.rooms.rest import MAX_BODY_BYTES, RestApi
from appliance.rooms.service import RoomsService
from appliance.rooms.settings import host_and_port

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SHUTDOWN_S = 1.0
PORTS_TO_TRY = 100
_BACKLOG = 128


def build_app(
    service: RoomsService, rest: RestApi, guests: GuestPage, signaling: Handler, metrics: Handler | None = None
) -> web.Application:
    """Return the application; what nothing else serves is answered by the REST API, authentication first."""

    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(request: web.Request) -> web.Response:
        status = "stopping" if service.stopping else await service.store.condition()
        return web.json_response({"status": status}, status=200 if status == "ok" else 503)

    # One byte more than a body may have, so that the API itself says that it is too large.
    app = web.Application(client_max_size=MAX_BODY_BYTES + 1)
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/signaling", signaling)])
    app.add_routes([web.get("/openapi.json", rest.handle_description)])
    if metrics:
        app.add_routes([web.get("/metrics", metrics)])
    app.add_routes(guests.routes())
    # Not `.*`: a name may hold a line break, encoded, and its error is the API's to tell.
    app.router.add_route("*", r"/{path:[\s\S]*}", rest.handle)
    return app


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One listener: a bound socket, and TLS where it is HTTPS."""

    socket: socket.socket
    tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """How a client on this machine, or where it is bound to one address on that network, reaches it."""
        host = self.socket.getsockname()[0]
        host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"


def open_door(key: str, listener: str, tls: ssl.SSLContext | None = None, *, port_fallback: bool = False) -> Door:
    """Bind a listener, `"127.0.0.1:8080"` or `"[::]:8443"`, which takes IPv4 as well; port 0 takes a free one.

    Args:
        key: of the setting, for the error.
        port_fallback: take the next free port where this one is in use.

    Raises:
        ConfigurationError: the port is in use, or the address is not one of this machine's.
    """
    host, port = host_and_port(listener)
    host = "0.0.0.0" if host == "*" else host
    last = port + PORTS_TO_TRY if port_fallback and port else port + 1
    problem = ""
    for candidate in range(port, last):
        try:
            return Door(socket=_bind(host, candidate), tls=tls)
        except OSError as error:
            # Python adds the address to its own text; the key and what was written is what helps.
            problem = os.strerror(error.errno) if error.errno else str(error)
            if error.errno != errno.EADDRINUSE:
                break
    raise ConfigurationError([f'server.{key} = "{listener}": {problem}; choose another address or port'])


def _bind(host: str, port: int) -> socket.socket:
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=host == "::")
    except socket.gaierror as error:
        raise OSError(errno.EADDRNOTAVAIL, f"{host}: {error.strerror}") from error


class HttpServer:
    """Serves one application at several doors: `async with HttpServer(app, doors):`."""

    def __init__(self, app: web.Application, doors: list[Door]) -> None:
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        self._doors = doors

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        for door in self._doors:
            await web.SockSite(self._runner, door.socket, ssl_context=door.tls).start()
            log.info("listening on %s", door.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the doors; requests in the making get a short while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_S + 0.5):
                await self._runner.cleanup()
