"""Opening a sound device without waiting for its driver: a dead sound server may never answer."""

import asyncio
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from appliance.devices.microphones.base import Microphone
from appliance.devices.speakers.base import Speaker
from appliance.errors import DeviceError, DeviceMissing

OPEN_DEADLINE_S = 3.0
"""A card or sound server that does not open in this time is treated as missing."""

Device = TypeVar("Device", Microphone, Speaker)


@dataclass(slots=True)
class OpenDevice(Generic[Device]):
    """A device together with what gives it back."""

    device: Device
    claim: ExitStack
    delivering: bool = False
    """Of a microphone: its first samples have come, and the light was told."""

    def close(self) -> None:
        self.claim.close()


async def claimed(
    device: Device | None, deadline_s: float = OPEN_DEADLINE_S
) -> OpenDevice[Device] | DeviceError | None:
    """Open a device on a thread of its own; return why where that fails, None for None.

    A device that opens after the deadline, or after we were cancelled, is closed at once.
    """
    if device is None:
        return None
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[OpenDevice[Device] | DeviceError] = loop.create_future()
    wanted = threading.Lock()  # taken by whoever decides first: the thread hands over, or we give up

    def hand_over(result: OpenDevice[Device] | DeviceError) -> None:
        if not outcome.done():
            outcome.set_result(result)

    def run() -> None:
        claim = ExitStack()
        result: OpenDevice[Device] | DeviceError
        try:
            claim.enter_context(device.open())
            result = OpenDevice(device, claim)
        except DeviceError as error:
            result = error
        if wanted.acquire(blocking=False):
            with suppress(RuntimeError):  # the loop closed first
                loop.call_soon_threadsafe(hand_over, result)
                return
        claim.close()

    threading.Thread(target=run, name=f"open {device.name}", daemon=True).start()
    try:
        async with asyncio.timeout(deadline_s):
            return await asyncio.shield(outcome)
    except TimeoutError:
        if wanted.acquire(blocking=False):
            return DeviceMissing(f"{device.name} did not open within {deadline_s:g} s")
        return await outcome
    except asyncio.CancelledError:
        if not wanted.acquire(blocking=False):
            late = await outcome  # handed over already: a callback away
            if isinstance(late, OpenDevice):
                late.close()
        raise
