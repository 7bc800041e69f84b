"""Waiting for a condition on the event loop, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


DEADLINE_S = 20.0


async def until(what: str, look: Callable[[], T], *, within_s: float = DEADLINE_S) -> T:
    """Return the first truthy answer of `look`. Raise AssertionError naming `what` after `within_s`."""

    async def ask() -> T:
        return look()

    return await until_told(what, ask, within_s=within_s)


async def until_told(what: str, ask: Callable[[], Awaitable[T]], *, within_s: float = DEADLINE_S) -> T:
    """As `until`, where the answer has to be waited for itself: of a page, of a database."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not (answer := await ask()):
        if loop.time() > deadline:
            raise AssertionError(f"{what}: not within {within_s:g} s; last seen: {answer!r}")
        await asyncio.sleep(0.01)
    return answer
