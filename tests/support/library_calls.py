"""The REST API of a service in this process: by the unmodified helper library, and by hand."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import aiohttp
from twilio.rest import Client as Twilio
from yarl import URL

from tests.support.rooms_running import RunningRooms


class Caller:
    """Calls the API by hand."""

    def __init__(self, running: RunningRooms, session: aiohttp.ClientSession) -> None:
        keys = running.credentials
        self.url = running.url
        self.session = session
        self.authorization = basic(keys.account_sid, keys.auth_token)

    async def __call__(
        self, method: str, path: str, form: Any = None, *, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers; `path` goes out as it is."""
        sent = {"Authorization": self.authorization} | (headers or {})
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, data=form, headers=sent, allow_redirects=False, **more) as answer:
            return answer.status, await answer.json(), dict(answer.headers)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def library(running: RunningRooms, use: Callable[[Any], Any], *, api_key: bool = False) -> Any:
    """Let `use` work with the library's `client.video.v1` on a thread."""
    keys = running.credentials
    if api_key:
        client = Twilio(keys.api_key_sid, keys.api_key_secret, keys.account_sid)
    else:
        client = Twilio(keys.account_sid, keys.auth_token)
    client.video.base_url = running.url
    try:
        return await asyncio.to_thread(use, client.video.v1)
    finally:
        client.http_client.session.close()
