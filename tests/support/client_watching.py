"""Waiting for what rooms and tracks of two clients show."""

import asyncio
from collections.abc import Callable
from typing import Any

from appliance.client.participants import RemoteParticipant
from appliance.client.remote_tracks import RemoteAudioTrack, RemoteVideoTrack
from appliance.client.room import Room
from tests.support import conditions
from tests.support.client_sources import picture_number

DEADLINE_S = 20.0


async def until(condition: Callable[[], Any], timeout_s: float = DEADLINE_S) -> None:
    await conditions.until("what both clients show", condition, within_s=timeout_s)


def other(room: Room) -> RemoteParticipant:
    [participant] = room.participants.values()
    return participant


async def remote_track(room: Room, name: str) -> Any:
    """Wait until the only other participant's track of this name is subscribed; return it."""

    def found() -> list[Any]:
        publications = [p for person in room.participants.values() for p in person.tracks.values()]
        return [p.track for p in publications if p.track_name == name and p.track is not None]

    await until(found)
    return found()[0]


async def numbers_of(track: RemoteVideoTrack, count: int) -> list[int]:
    numbers: list[int] = []
    async with asyncio.timeout(DEADLINE_S):
        async for picture in track.frames():
            numbers.append(picture_number(picture))
            if len(numbers) == count:
                break
    return numbers


async def sound_of(track: RemoteAudioTrack, count: int) -> list[Any]:
    frames: list[Any] = []
    async with asyncio.timeout(DEADLINE_S):
        async for frame in track.frames():
            frames.append(frame)
            if len(frames) == count:
                break
    return frames
