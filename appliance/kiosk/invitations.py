"""Asks the rooms service for a guest's link to the default room, for the QR code of the idle screen."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from appliance.clock import Clock
from appliance.errors import ConfigurationError
from appliance.kiosk.access import Access
from appliance.kiosk.inputs import GuestInvited, Input
from appliance.kiosk.state import Guest

log = logging.getLogger(__name__)

RETRY_S = 30.0
RENEW_AT_LEAST_S = 60.0
WHEN_UNKNOWN_S = 3600.0
ANSWER_WITHIN_S = 10.0


class Invitations:
    """Keeps an invitation fresh; a service that gives none leaves the screen without QR code.

    Args:
        url: of the rooms service.
        room: whom guests are invited to.
    """

    def __init__(
        self,
        url: str,
        room: str,
        *,
        access: Access,
        tls: ssl.SSLContext | None,
        clock: Clock,
        tell: Callable[[Input], None],
    ) -> None:
        self._url = f"{url.rstrip('/')}/join/{quote(room, safe='')}/invitations"
        self._room, self._access, self._tls, self._clock, self._tell = room, access, tls, clock, tell
        self._told_absent = False

    async def run(self) -> None:
        """Ask, wait, ask again, until cancelled."""
        guest: Guest | None = None
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)) as session:
            while True:
                try:
                    fresh, expires_at = await self._ask(session)
                    self._told_absent = False
                    pause_s = self._renew_in_s(expires_at)
                except (aiohttp.ClientError, TimeoutError, ValueError, ConfigurationError) as error:
                    self._note(error)
                    fresh, pause_s = None, RETRY_S
                if fresh != guest:
                    guest = fresh
                    self._tell(GuestInvited(guest))
                await asyncio.sleep(pause_s)

    async def _ask(self, session: aiohttp.ClientSession) -> tuple[Guest, datetime | None]:
        """Raise ValueError for an answer that makes no sense."""
        headers = {"Authorization": f"Bearer {self._access.token(self._room)}"}
        options: Any = {"ssl": self._tls} if self._tls else {}
        async with session.post(self._url, headers=headers, json={}, **options) as answer:
            answer.raise_for_status()
            tree = await answer.json(content_type=None)
        return read_answer(tree)

    def _renew_in_s(self, expires_at: datetime | None) -> float:
        """Renew while a fifth of its life is left."""
        if expires_at is None:
            return WHEN_UNKNOWN_S
        left_s = (expires_at - self._clock.now()).total_seconds()
        return max(RENEW_AT_LEAST_S, left_s * 0.8)

    def _note(self, error: Exception) -> None:
        if not self._told_absent:
            log.warning("no invitation for guests: %s", error or type(error).__name__)
            self._told_absent = True


def read_answer(tree: Any) -> tuple[Guest, datetime | None]:
    """Return the guest's link and when it ends. Raise ValueError."""
    link = tree.get("link") if isinstance(tree, dict) else None
    if not isinstance(link, str) or not link.startswith(("http://", "https://")):
        raise ValueError("the service's invitation has no link")
    parts = urlsplit(link)
    expires_at = tree.get("expires_at")
    until = datetime.fromisoformat(expires_at) if isinstance(expires_at, str) else None
    if until is not None and until.tzinfo is None:
        raise ValueError("the invitation's end has no time zone")
    return Guest(link=link, address=f"{parts.netloc}{parts.path}"), until
