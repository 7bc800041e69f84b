"""The HTTP sink: sends status callbacks, and tells what the answer means (callbacks.md 4-6, 10, 12)."""

import asyncio
import logging
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from appliance import PRODUCT, __version__
from appliance.clock import Clock
from appliance.errors import ConfigurationError
from appliance.rooms.addresses import Network, addresses_meant, is_within
from appliance.rooms.callback_request import CallbackTarget, build_request, read_target
from appliance.rooms.delivery import Breaker, Outcome, OutcomeClass
from appliance.rooms.store.deliveries import Due

log = logging.getLogger(__name__)

USER_AGENT = f"{PRODUCT}/{__version__}"
MAX_PARALLEL_PER_HOST = 4
_MAX_ANSWER_BYTES = 65_536
_RETRIED_STATUSES = (408, 425, 429)


class NotAllowed(Exception):
    """The address lies in a network that callbacks must not go to."""


class GuardedResolver(AbstractResolver):
    """Looks names up and gives only addresses that may be called; the connection is made to what was checked."""

    def __init__(self, allow: tuple[Network, ...], deny: tuple[Network, ...]) -> None:
        self._allow = allow
        self._deny = deny

    def check(self, address: str) -> bool:
        """Tell whether an address may be called: itself, and every other that it stands for."""
        meant = addresses_meant(address)
        return (
            bool(meant)
            and not any(each.is_unspecified or each.is_multicast for each in meant)
            and is_within(address, self._allow)
            and not any(is_within(str(each), self._deny) for each in meant)
        )

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: it has none.
            NotAllowed: it has none that may be called.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        allowed = [(kind, address) for kind, _, _, _, address in found if self.check(str(address[0]))]
        if not allowed:
            raise NotAllowed(f"{host} is in a network that callbacks must not go to")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, address in allowed
        ]

    async def close(self) -> None:
        """Nothing is held."""


class HttpSink:
    """Satisfies Sink. `async with HttpSink(…) as sink:`."""

    name = "http"
    ages = True

    def __init__(
        self,
        auth_token: Callable[[], str],
        clock: Clock,
        *,
        allow: tuple[Network, ...],
        deny: tuple[Network, ...],
        ca_file: Path | None = None,
    ) -> None:
        """Set up.

        Args:
            auth_token: gives the primary auth token, asked for every attempt.
        """
        self._auth_token = auth_token
        self._clock = clock
        self._resolver = GuardedResolver(allow, deny)
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None
        self._breakers: defaultdict[str, Breaker] = defaultdict(Breaker)
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MAX_PARALLEL_PER_HOST))

    async def __aenter__(self) -> Self:
        trust = ssl.create_default_context()
        if self._ca_file:
            try:
                trust.load_verify_locations(self._ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError([f"callbacks.ca_file {self._ca_file}: {error}"]) from error
        connector = aiohttp.TCPConnector(ssl=trust, resolver=self._resolver, use_dns_cache=False, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session
        await self._session.close()

    @asynccontextmanager
    async def turn(self, due: Due) -> AsyncIterator[None]:
        """Hold one of the four places at the receiver of this room."""
        target = _target(due)
        if not target:
            yield
            return
        async with self._turns[target.receiver]:
            yield

    def place(self, due: Due) -> str:
        target = _target(due)
        return target.host if target else "nowhere"

    @property
    def open_breakers(self) -> int:
        """How many receivers fail all the time."""
        return sum(breaker.is_open for breaker in self._breakers.values())

    async def ready(self, due: Due) -> None:
        """Wait while the receiver of this room fails all the time."""
        target = _target(due)
        if not target:
            return
        breaker = self._breakers[target.receiver]
        while wait_s := breaker.wait_s(self._clock.monotonic()):  # noqa: ASYNC110  the time decides, no event does
            await asyncio.sleep(wait_s)

    async def deliver(self, due: Due) -> Outcome:
        """Make one attempt."""
        target = _target(due)
        if not target:
            return Outcome(kind=OutcomeClass.REJECTED, error="the room's status callback is no address")
        outcome = await self._send(due, target)
        breaker = self._breakers[target.receiver]
        was_open = breaker.is_open
        breaker.note(outcome.kind is not OutcomeClass.RETRY, self._clock.monotonic())
        if breaker.is_open != was_open:
            log.warning(
                "callbacks to %s: %s", target.receiver, "fail all the time" if breaker.is_open else "work again"
            )
        return outcome

    async def _send(self, due: Due, target: CallbackTarget) -> Outcome:
        assert self._session
        if _is_literal(target.host) and not self._resolver.check(target.host):
            return _not_allowed(target.host)
        request = build_request(
            target,
            due.status_callback_method,
            due.params,
            auth_token=self._auth_token(),
            event_id=due.event_id,
            user_agent=USER_AGENT,
        )
        timeout = aiohttp.ClientTimeout(
            total=target.total_timeout_s,
            sock_connect=target.connect_timeout_s,
            sock_read=target.answer_timeout_s,
        )
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=timeout,
            ) as answer:
                await answer.content.read(_MAX_ANSWER_BYTES)
                return _judge(answer.status, answer.headers, target)
        except NotAllowed:
            return _not_allowed(target.host)
        except aiohttp.ConnectionTimeoutError:
            return _unreached(target, "ct", "no connection in time")
        except TimeoutError:
            return _unreached(target, "rt", "no answer in time")
        except (aiohttp.InvalidURL, UnicodeError):  # no address, or a host name that cannot be looked up
            return Outcome(kind=OutcomeClass.REJECTED, error="the room's status callback is no address")
        except aiohttp.ClientResponseError as error:
            # Its own text holds the whole address, whose query may be secret.
            return _unreached(target, "rt", f"answered what is no HTTP: {error.message.splitlines()[0]}")
        except (aiohttp.ClientError, OSError) as error:
            cause = "ct" if isinstance(error, aiohttp.ClientConnectorError) else "rt"
            return _unreached(target, cause, f"{type(error).__name__}: {error}")


def _unreached(target: CallbackTarget, cause: str, error: str) -> Outcome:
    quick = target.retries_after(cause)
    return Outcome(kind=OutcomeClass.RETRY, error=f"{target.host}: {error}", quick_retries=quick)


def _target(due: Due) -> CallbackTarget | None:
    try:
        return read_target(due.status_callback or "")
    except ValueError:
        return None


def _is_literal(host: str) -> bool:
    """Tell whether this is an address, which no resolver gets to see."""
    return ":" in host or host.replace(".", "").isdigit()


def _not_allowed(host: str) -> Outcome:
    return Outcome(kind=OutcomeClass.REFUSED, error=f"{host} is in a network that callbacks must not go to")


def _judge(status: int, headers: Mapping[str, Any], target: CallbackTarget) -> Outcome:
    if 200 <= status < 300:
        return Outcome(kind=OutcomeClass.DELIVERED, status=status)
    if status == 410:
        return Outcome(kind=OutcomeClass.GONE, status=status, error="the receiver is gone")
    kind = OutcomeClass.RETRY if status >= 500 or status in _RETRIED_STATUSES else OutcomeClass.REFUSED
    return Outcome(
        kind=kind,
        status=status,
        retry_after_s=_retry_after_s(headers.get("Retry-After")),
        quick_retries=target.retries_after("5xx" if status >= 500 else "4xx"),
    )


def _retry_after_s(value: str | None) -> float:
    """Return the seconds that a Retry-After header asks for, a number or a date; 0 for anything else."""
    if not value:
        return 0.0
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
