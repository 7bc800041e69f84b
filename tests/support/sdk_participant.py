"""A participant on our own SDK, living on a thread of its own so that plain tests can use it."""

import asyncio
import threading
from concurrent.futures import Future
from typing import Any, Self

from appliance.client.connect import connect
from appliance.client.local_tracks import LocalDataTrack
from appliance.client.remote_tracks import RemoteDataTrack
from appliance.client.room import Room

DEADLINE_S = 20.0


class SdkParticipant:
    """Joins with one data track; keeps the messages of everybody."""

    def __init__(self, service: str, token: str, room: str) -> None:
        self._arguments = (service, token, room)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="SDK participant", daemon=True)
        self._data = LocalDataTrack(name="chat")
        self.room: Room | None = None
        self.messages: list[str | bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self._join()).result(DEADLINE_S)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self.room is not None
        self._run(self.room.disconnect()).result(DEADLINE_S)
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, coroutine: Any) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _join(self) -> None:
        service, token, name = self._arguments
        self.room = await connect(token, url=service, name=name, tracks=[self._data])
        self.room.on("track_message", lambda data, _track, _participant: self.messages.append(data))

    def identities(self) -> list[str]:
        """Return who else is in the room."""
        assert self.room is not None
        return [participant.identity for participant in list(self.room.participants.values())]

    def send(self, data: str | bytes) -> None:
        self._loop.call_soon_threadsafe(self._data.send, data)

    def leave(self) -> None:
        """Disconnect before the `with` ends."""
        assert self.room is not None
        self._run(self.room.disconnect()).result(DEADLINE_S)

    def has_data_track_of(self, identity: str) -> bool:
        assert self.room is not None
        return any(
            isinstance(publication.track, RemoteDataTrack)
            for participant in list(self.room.participants.values())
            if participant.identity == identity
            for publication in list(participant.tracks.values())
        )
