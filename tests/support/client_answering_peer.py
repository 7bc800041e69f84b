"""The server's end of a peer connection, for tests without a service: aiortc, following signaling.md 4.4."""

from collections.abc import Callable
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.rtp import RtpPacket

from appliance.client import encoded_media
from appliance.media_engine import Description, DescriptionType, PeerConnectionState


class AnsweringPeer:
    """Answers offers and makes its own for tracks it sends. `send` takes what goes to the client."""

    def __init__(self, send: Callable[[PeerConnectionState], None]) -> None:
        self._send = send
        self.id = ""
        self.revision = 0
        self.outstanding = False
        self.stack = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.tracks: list[MediaStreamTrack] = []
        self.channels: dict[str, Any] = {}
        self.audio_levels: list[tuple[bool, int]] = []
        """Of each packet of sound that had the header extension: voice activity, -dBov (RFC 6464)."""
        self.stack.on("track", self._listen)
        self.stack.on("datachannel", lambda channel: self.channels.update({channel.label: channel}))

    async def take(self, state: PeerConnectionState) -> None:
        self.id = state.id
        description = state.description
        if description is None or description.sdp is None:
            return
        if description.type is DescriptionType.OFFER and not self.outstanding:
            self.revision = description.revision
            await self.stack.setRemoteDescription(RTCSessionDescription(sdp=description.sdp, type="offer"))
            self._prepare_gathering()
            await self.stack.setLocalDescription(await self.stack.createAnswer())
            self._say(DescriptionType.ANSWER)
        elif description.type is DescriptionType.ANSWER and self.outstanding and description.revision == self.revision:
            self.outstanding = False
            await self.stack.setRemoteDescription(RTCSessionDescription(sdp=description.sdp, type="answer"))

    async def offer(self) -> None:
        """Describe the stack's new transceivers and channels."""
        self.revision += 1
        self.outstanding = True
        await self.stack.setLocalDescription(await self.stack.createOffer())
        self._say(DescriptionType.OFFER)

    def say(self, description: Description) -> None:
        self._send(PeerConnectionState(id=self.id, description=description))

    async def close(self) -> None:
        await self.stack.close()

    def _listen(self, track: MediaStreamTrack) -> None:
        self.tracks.append(track)
        [receiver] = [receiver for receiver in self.stack.getReceivers() if receiver.track is track]
        insides: Any = receiver
        original = insides._handle_rtp_packet

        async def note(packet: RtpPacket, *, arrival_time_ms: int) -> None:
            if packet.extensions.audio_level is not None:
                self.audio_levels.append(packet.extensions.audio_level)
            await original(packet, arrival_time_ms=arrival_time_ms)

        insides._handle_rtp_packet = note

    def _say(self, kind: DescriptionType) -> None:
        self.say(Description(type=kind, revision=self.revision, sdp=self.stack.localDescription.sdp))

    def _prepare_gathering(self) -> None:
        for transceiver in self.stack.getTransceivers():
            gatherer = transceiver.receiver.transport.transport.iceGatherer
            if gatherer.state == "new":
                encoded_media.prepare_gathering(gatherer, loopback=True)
