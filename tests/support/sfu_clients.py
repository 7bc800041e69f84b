"""Clients of the media engine without a service between: an aiortc peer connection wired straight to the seam."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import aioice.ice
import av
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack, VideoStreamTrack

from appliance.media_engine import (
    Description,
    DescriptionType,
    Happening,
    Negotiate,
    PeerConnectionState,
    PublishedTrack,
    RoomMediaPolicy,
    Subscription,
    TrackKind,
)
from appliance.sfu.engine import EmbeddedEngine
from appliance.sfu.peer import Peer
from appliance.sids import RoomSid, TrackSid, new_participant_sid, new_room_sid, new_track_sid


class NumberedVideo(VideoStreamTrack):
    """Grey frames whose brightness tells their number modulo 16, so that a receiver sees them change."""

    def __init__(self, width: int = 320, height: int = 240) -> None:
        super().__init__()
        self._size = (height * 3 // 2, width)
        self.sent = 0

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        plane = np.full(self._size, 128, np.uint8)
        plane[: self._size[0] * 2 // 3] = 16 + 12 * (self.sent % 16)
        frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
        frame.pts, frame.time_base = pts, time_base
        self.sent += 1
        return frame


class Tone(AudioStreamTrack):
    """A sine of 440 Hz, 48 kHz mono."""

    def __init__(self) -> None:
        super().__init__()
        self._position = 0
        self._began: float | None = None

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        self._began = loop.time() if self._began is None else self._began
        await asyncio.sleep(max(0.0, self._began + self._position / 48000 - loop.time()))
        times = (self._position + np.arange(960)) / 48000
        samples = (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._position, Fraction(1, 48000)
        self._position += 960
        return frame


class SfuClient:
    """One participant: aiortc on its side, the engine's MediaPeer on the other, the wire replaced by a queue.

    `received` counts decoded frames by mid, `messages` collects data by channel label, `subscriptions` is the last
    state. An SDP text of the engine passes through `rewrite` first, so that a relay can stand in the way.
    """

    def __init__(self, engine: EmbeddedEngine, room: RoomSid, name: str) -> None:
        self.name = name
        self.engine = engine
        self.room = room
        self.sid = new_participant_sid()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.pc_id = secrets.token_hex(4)
        self.published: list[PublishedTrack] = []
        self.channels: dict[str, Any] = {}
        self._unopened: dict[str, dict[str, Any]] = {}
        self.peer: Peer | None = None
        self.revision = 0
        self.subscriptions: dict[TrackSid, Subscription] = {}
        self.happenings: list[Happening] = []
        self.received: dict[str, int] = {}
        self.messages: dict[str, list[str | bytes]] = {}
        self.descriptions: list[Description] = []
        self._inbox: asyncio.Queue[Happening] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._offer_sdp: str | None = None
        self.rewrite: Callable[[str], str] = lambda sdp: sdp
        self.answers = True  # False: leaves the engine's offers unanswered
        self.pc.on("track", self._track)
        self.pc.on("datachannel", self._channel)

    # --- what it publishes

    def add_media(self, track: MediaStreamTrack, kind: TrackKind) -> TrackSid:
        sender = self.pc.addTrack(track)
        client_id = f"{self.name}-{kind}-{len(self.published)}"
        sender._stream_id, sender._track_id = "-", client_id
        self.published.append(PublishedTrack(sid=new_track_sid(), client_id=client_id, kind=kind))
        return self.published[-1].sid

    def add_data(self, **parameters: Any) -> TrackSid:
        label = f"{self.name}-data-{len(self.published)}"
        self._unopened[label] = parameters
        self.published.append(PublishedTrack(sid=new_track_sid(), client_id=label, kind=TrackKind.DATA))
        return self.published[-1].sid

    def channel_of(self, sid: TrackSid) -> Any:
        return self.channels[next(track.client_id for track in self.published if track.sid == sid)]

    # --- joining and exchanging descriptions

    async def join(
        self, receive: frozenset[TrackSid] = frozenset(), policy: RoomMediaPolicy | None = None, **wanted: Any
    ) -> None:
        """Make the first offer, with at least one section of each kind, as the SDK does (signaling.md 4.2).

        `wanted`: wishes, channels, layer_hints, as MediaEngine.join takes them.
        """
        for kind in ("audio", "video"):
            if not any(transceiver.kind == kind for transceiver in self.pc.getTransceivers()):
                self.pc.addTransceiver(kind, direction="recvonly")
        self._open_channels()
        offer = await self._make_offer()
        self.peer = self.engine.join(
            self.room,
            self.sid,
            policy or RoomMediaPolicy(),
            self._listen,
            tracks=tuple(self.published),
            receive=receive,
            peer_connections=(offer,),
            **wanted,
        )
        self._tasks.append(asyncio.create_task(self._run(), name=f"client {self.name}"))

    def _open_channels(self) -> None:
        # Only after the transceivers: under MAX_BUNDLE aiortc 1.16 stops the shared transport when SCTP came first.
        for label, parameters in self._unopened.items():
            self.channels[label] = self.pc.createDataChannel(label, **parameters)
        self._unopened.clear()

    async def offer_again(self) -> None:
        """Offer for tracks that were added after joining."""
        assert self.peer is not None
        self._open_channels()
        self.peer.publish(tuple(self.published))
        self.peer.describe((await self._make_offer(),))

    async def _make_offer(self) -> PeerConnectionState:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.revision += 1
        description = Description(type=DescriptionType.OFFER, revision=self.revision, sdp=self.pc.localDescription.sdp)
        return PeerConnectionState(id=self.pc_id, description=description)

    def _listen(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self._inbox.put_nowait(happening)

    async def _run(self) -> None:
        while True:
            happening = await self._inbox.get()
            if isinstance(happening, Negotiate):
                if happening.subscriptions is not None:
                    self.subscriptions = {entry.track_sid: entry for entry in happening.subscriptions}
                for state in happening.peer_connections:
                    await self._apply(state)

    async def _apply(self, state: PeerConnectionState) -> None:
        description = state.description
        assert description is not None
        assert state.id == self.pc_id
        assert description.sdp is not None
        self.descriptions.append(description)
        sdp = self.rewrite(description.sdp)
        if description.type is DescriptionType.ANSWER:
            assert description.revision == self.revision
            await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        elif self.answers:
            assert description.revision == self.revision + 1
            self.revision = description.revision
            await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            await self.pc.setLocalDescription(await self.pc.createAnswer())
            answer = Description(type=DescriptionType.ANSWER, revision=self.revision, sdp=self.pc.localDescription.sdp)
            assert self.peer is not None
            self.peer.describe((PeerConnectionState(id=self.pc_id, description=answer),))

    # --- what it receives

    def _track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._count(track)))

    async def _count(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):  # so every track ends
            while True:
                frame = await track.recv()
                self.received[track.kind] = self.received.get(track.kind, 0) + 1
                key = self._mid_of(track)
                self.received[key] = self.received.get(key, 0) + 1
                del frame

    def _mid_of(self, track: MediaStreamTrack) -> str:
        return str(next(t.mid for t in self.pc.getTransceivers() if t.receiver.track is track))

    def mid_for(self, sid: TrackSid) -> str | None:
        """Return the section whose msid in the last description names the subscription to this track."""
        entry = self.subscriptions.get(sid)
        if entry is None or entry.id is None:
            return None
        for section in (self.descriptions[-1].sdp or "").split("\r\nm=")[1:]:
            if any(line.startswith("a=msid:") and line.split()[1] == entry.id for line in section.splitlines()):
                return next(line[6:] for line in section.splitlines() if line.startswith("a=mid:"))
        return None

    def frames_of(self, sid: TrackSid) -> int:
        mid = self.mid_for(sid)
        return self.received.get(mid, 0) if mid is not None else 0

    def _channel(self, channel: Any) -> None:
        self.channels[channel.label] = channel
        channel.on("message", lambda message: self.messages.setdefault(channel.label, []).append(message))

    def messages_of(self, sid: TrackSid) -> list[str | bytes]:
        entry = self.subscriptions.get(sid)
        return self.messages.get(entry.id, []) if entry is not None and entry.id is not None else []

    def saw(self, kind: type) -> list[Any]:
        return [happening for happening in self.happenings if isinstance(happening, kind)]

    async def leave(self) -> None:
        if self.peer is not None:
            await self.peer.close()
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def sfu_room(*names: str) -> AsyncIterator[tuple[SfuClient, ...]]:
    """Open an engine on loopback and one client for each name, not joined yet; everything is ended afterwards."""
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    room = new_room_sid()
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"]):
        # aioice never offers 127.0.0.1 by itself.
        clients = tuple(SfuClient(engine, room, name) for name in names)
        try:
            yield clients
        finally:
            await asyncio.gather(*(client.leave() for client in clients))
            await engine.close()
