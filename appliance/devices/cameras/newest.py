"""The one-deep slot between a camera's thread and whoever reads it on the event loop."""

import asyncio
from contextlib import suppress
from typing import Generic, TypeVar

from appliance.errors import DeviceError, DeviceLost

Item = TypeVar("Item")


class Newest(Generic[Item]):
    """Keeps the newest item only. Made on the event loop; `put` and `fail` may be called from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._item: Item | None = None
        self._failure: DeviceError | None = None

    def put(self, item: Item) -> None:
        """Replace what waits. After the loop closed it goes nowhere."""
        self._item = item
        self._wake()

    def fail(self, error: DeviceError) -> None:
        """Make every `take` raise this error from now on."""
        self._failure = error
        self._wake()

    async def take(self, name: str, deadline_s: float) -> Item:
        """Wait for the next item. Raise DeviceLost, naming the device, where none comes in time."""
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    if self._failure is not None:
                        raise self._failure
                    item, self._item = self._item, None
                    if item is not None:
                        return item
                    self._arrived.clear()
                    if self._item is None and self._failure is None:
                        await self._arrived.wait()
        except TimeoutError:
            raise DeviceLost(f"{name}: nothing for {deadline_s:g} s") from None

    def _wake(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.set)
