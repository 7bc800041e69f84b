"""Waiting for a condition on the event loop, with a deadline."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(what: str, look: Callable[[], T], *, within_s: float = 20.0) -> T:
    """Return the first truthy answer of `look`. Raise AssertionError naming `what` after `within_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not (answer := look()):
        if loop.time() > deadline:
            raise AssertionError(f"{what}: not within {within_s:g} s; last seen: {answer!r}")
        await asyncio.sleep(0.01)
    return answer
