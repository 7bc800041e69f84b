"""One RTCPeerConnection, driven by values: descriptions in, descriptions out, tracks as wanted state.

Offers are made but not applied until their answer is here, as the SDK does in browsers (signaling.md 4.2): so an
offer can be dropped in a collision, although aiortc has no rollback. One task works off what arrived, in order.

    set_tracks ─┐                              ┌─▶ listener.send        our descriptions and candidates
    handle ─────┴─▶ task ─▶ RTCPeerConnection ─┼─▶ listener.media_changed, channel_opened
                                               └─▶ listener.connected, failed, track_failed
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiortc import (
    InvalidStateError,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, OperationError
from aiortc.sdp import candidate_from_sdp

from appliance.client import encoded_media
from appliance.client.descriptions import ice_ufrag, is_ice_lite, sections
from appliance.client.encoded_media import Hearing, IncomingMedia, media_received
from appliance.client.link_report import Counters
from appliance.client.local_tracks import LocalTrack
from appliance.client.negotiation import Negotiation, Step
from appliance.client.outgoing import Outgoing
from appliance.client.stats import StatsReport, counters_of, stats_report
from appliance.errors import (
    MediaClientLocalDescFailedError,
    MediaClientRemoteDescFailedError,
    MediaConnectionError,
    MediaDTLSTransportFailedError,
    MediaNoSupportedCodecError,
    RoomError,
)
from appliance.media_engine import (
    Description,
    DescriptionType,
    IceCandidate,
    IceState,
    PeerConnectionState,
    TrackKind,
)
from appliance.signaling.states import IceServer

logger = logging.getLogger(__name__)

CONNECT_DEADLINE_S = 15.0
"""From the first answer to media that could flow; aioice alone would wait for ever for more candidates."""

ANSWER_DEADLINE_S = 8.0
"""From an offer that makes another connection to its answer; the service waits as long for one of ours."""

SILENCE_LIMIT_S = 7.0
"""Without any packet for so long, answers to consent checks included, the path is dead; ICE itself takes 30 s more."""

CLOSE_DEADLINE_S = 3.0

_STACK_ERRORS = (
    InternalError,
    InvalidStateError,
    OperationError,
    ValueError,
    AssertionError,
    LookupError,
    AttributeError,
)
"""What aiortc raises at a description that it cannot use; it has no error of its own for that."""

MEDIA_KINDS = (TrackKind.AUDIO, TrackKind.VIDEO)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConnectionSettings:
    """What every peer connection of a room is made with.

    `loopback`: the service is on this machine's loopback address. `relay_only`: TURN candidates alone. `video_codecs`:
    of pictures that we encode, the preferred first; none: the stack's own order.
    """

    ice_servers: tuple[IceServer, ...] = ()
    loopback: bool = False
    relay_only: bool = False
    video_codecs: tuple[str, ...] = ()


class PeerConnectionListener(Protocol):
    """Told on the event loop what happens to a peer connection."""

    def send(self, state: PeerConnectionState) -> None: ...
    def media_changed(self) -> None: ...
    def channel_opened(self, channel: RTCDataChannel) -> None: ...
    def connected(self, connection: "PeerConnection") -> None: ...
    def failed(self, connection: "PeerConnection", error: RoomError) -> None: ...
    def track_failed(self, track: LocalTrack, error: RoomError) -> None: ...


class PeerConnection:
    """See the module. `id` names it on the wire; one chosen by the server is taken over."""

    def __init__(
        self, settings: PeerConnectionSettings, listener: PeerConnectionListener, *, id: str | None = None
    ) -> None:
        self.id = id or str(uuid.uuid4())
        self.is_connected = False
        self.media: Mapping[str, IncomingMedia] = {}
        """What arrives now, by the id that `subscribed` uses (signaling.md 3.2)."""
        self._settings = settings
        self._listener = listener
        self._negotiation = Negotiation()
        self._pending_offer: RTCSessionDescription | None = None
        self._received: deque[PeerConnectionState] = deque()
        self._incoming: dict[RTCRtpReceiver, IncomingMedia] = {}
        self._has_offered = False
        self._needs_offer = False
        self._candidates_told = False
        self._candidates_taken: set[str] = set()
        self._closed = False
        self._deadline: asyncio.TimerHandle | None = None
        self._hearing: Hearing | None = None
        self._wake = asyncio.Event()
        self._stack = self._build_stack()
        self._outgoing = Outgoing(self._stack, settings.video_codecs)
        self._task = asyncio.create_task(self._work(), name=f"peer connection {self.id[:8]}")

    # --- driven by values ----------------------------------------------------------------------------------------

    def set_tracks(self, tracks: Sequence[LocalTrack]) -> None:
        """Send exactly these tracks. Media of one that is missing stops at once; the rest follows by an offer."""
        self._needs_offer |= self._outgoing.want(tracks)
        self._wake.set()

    def offer(self) -> None:
        """Make an offer as soon as the exchange allows, also without any track."""
        self._needs_offer = True
        self._wake.set()

    def expect_answer(self, within_s: float) -> None:
        """Fail where no exchange is complete by then."""
        self._deadline = asyncio.get_running_loop().call_later(within_s, self._unanswered, within_s)

    def handle(self, state: PeerConnectionState) -> None:
        """Take what the server says of this peer connection."""
        self._received.append(state)
        self._wake.set()

    def close_description(self) -> Description:
        """Return what tells the server that we give this peer connection up (signaling.md 4.7)."""
        return Description(type=DescriptionType.CLOSE, revision=self._negotiation.close_revision())

    def release_tracks(self) -> None:
        """Let go of all local tracks at once, so that another peer connection can take them."""
        self._outgoing.release()

    async def close(self) -> None:
        """End the connection and free its ports. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.is_connected = False
        self._outgoing.stop()
        if self._deadline is not None:
            self._deadline.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._stack.close()
        except TimeoutError:
            logger.warning("peer connection %s did not close within %g s", self.id, CLOSE_DEADLINE_S)

    def check(self, now: float, own_addresses: frozenset[str]) -> None:
        """Fail where nothing has been heard for too long, or where the address in use is no longer ours.

        Args:
            now: seconds on the monotonic clock. own_addresses: those of this machine's interfaces.
        """
        if not self.is_connected or self._hearing is None:
            return
        if now - self._hearing.heard_at > SILENCE_LIMIT_S:
            self._fail(MediaConnectionError(f"nothing was heard for {SILENCE_LIMIT_S:g} s"))
        elif (address := self._hearing.local_address) is not None and address not in own_addresses:
            self._fail(MediaConnectionError(f"the network has changed: {address} is gone"))

    async def stats(self) -> StatsReport:
        """Return what aiortc knows of each stream."""
        received = [stream for receiver in self._stack.getReceivers() for stream in media_received(receiver)]
        return stats_report(self.id, await self._stack.getStats(), received)

    async def counters(self) -> Counters:
        """Return what has been sent and received so far."""
        received: dict[TrackKind, int] = {}
        for incoming in self._incoming.values():
            received[incoming.kind] = received.get(incoming.kind, 0) + incoming.bytes_received
        now = asyncio.get_running_loop().time()
        return counters_of(await self.stats(), now, received, self._outgoing.available_bps)

    @property
    def was_answered(self) -> bool:
        """Whether the service knows this connection: an exchange has been completed."""
        return self._negotiation.stable > 0

    def carries(self, channel: RTCDataChannel) -> bool:
        """Tell whether a data channel runs over this connection."""
        return channel.transport is self._stack.sctp

    # --- the work ------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._received:
                    await self._take(self._received.popleft())
                if self._needs_offer and not self._negotiation.offering:
                    await self._make_offer()
            except RoomError as error:
                logger.warning("peer connection %s: %s", self.id, error)
                self._fail(error)
                return

    async def _take(self, state: PeerConnectionState) -> None:
        if state.description is not None:
            await self._take_description(state.description)
        if state.ice is not None:
            await self._take_candidates(state.ice.candidates)

    async def _take_description(self, description: Description) -> None:
        match self._negotiation.receive(description):
            case Step.APPLY_ANSWER:
                await self._apply_answer(description)
            case Step.ANSWER:
                await self._answer(description)
            case Step.DROP_OURS_AND_ANSWER:
                self._pending_offer = None
                self._needs_offer = True
                await self._answer(description)
            case Step.OFFER:
                await self._make_offer()
            case Step.CLOSE:
                self._fail(MediaConnectionError("the service closed the peer connection"))
            case Step.IGNORE | Step.WAIT:
                logger.debug("peer connection %s: %s %d not now", self.id, description.type, description.revision)

    async def _make_offer(self) -> None:
        self._needs_offer = False
        self._prepare_sections()
        try:
            offer = await self._stack.createOffer()
        except _STACK_ERRORS as error:
            raise MediaClientLocalDescFailedError(f"cannot make an offer: {error}") from error
        self._pending_offer = offer
        self._has_offered = True
        self._tell(DescriptionType.OFFER, self._negotiation.begin_offer(), offer.sdp)

    async def _apply_answer(self, description: Description) -> None:
        offer, self._pending_offer = self._pending_offer, None
        assert offer is not None
        assert description.sdp is not None
        for track in self._outgoing.tracks_without_codec(offer.sdp, description.sdp):
            self._listener.track_failed(track, MediaNoSupportedCodecError("the room takes no H.264"))
        try:
            await self._stack.setLocalDescription(offer)
            await asyncio.sleep(0)  # what this started in the stack must not meet a half-applied answer
            await self._stack.setRemoteDescription(RTCSessionDescription(sdp=description.sdp, type="answer"))
        except _STACK_ERRORS as error:
            raise MediaClientRemoteDescFailedError(f"cannot apply the service's answer: {error}") from error
        self._described(description.sdp)
        waiting = self._negotiation.take_waiting()
        if waiting is not None:
            await self._take_description(waiting)

    async def _answer(self, description: Description) -> None:
        assert description.sdp is not None
        try:
            with encoded_media.kept_from_remote_offer(self._stack):
                await self._stack.setRemoteDescription(RTCSessionDescription(sdp=description.sdp, type="offer"))
                await self._stack.setLocalDescription(await self._stack.createAnswer())
        except _STACK_ERRORS as error:
            raise MediaClientRemoteDescFailedError(f"cannot apply the service's offer: {error}") from error
        self._negotiation.answered()
        self._tell(DescriptionType.ANSWER, description.revision, self._stack.localDescription.sdp)
        self._described(description.sdp)

    def _tell(self, kind: DescriptionType, revision: int, sdp: str) -> None:
        description = Description(type=kind, revision=revision, sdp=sdp)
        self._listener.send(PeerConnectionState(id=self.id, description=description))

    def _described(self, remote_sdp: str) -> None:
        """An exchange is complete: tell candidates once, and what arrives where now."""
        if not self._candidates_told:
            self._candidates_told = True
            self._tell_candidates(remote_sdp)
            if self._deadline is not None:
                self._deadline.cancel()
            self._deadline = asyncio.get_running_loop().call_later(CONNECT_DEADLINE_S, self._too_late)
        incoming = {
            transceiver.mid: self._incoming.get(transceiver.receiver) for transceiver in self._stack.getTransceivers()
        }
        media = {}
        for section in sections(remote_sdp):
            arriving = incoming.get(section.mid)
            if section.sends and section.track_id is not None and arriving is not None:
                arriving.route(section.ssrcs, section.repairs)
                media[section.track_id] = arriving
        if media != self.media:
            self.media = media
            self._listener.media_changed()

    def _tell_candidates(self, remote_sdp: str) -> None:
        """Everything has been gathered: one complete list, which a server with ICE-lite need not see (4.6)."""
        local_sdp = self._stack.localDescription.sdp
        candidates = () if is_ice_lite(remote_sdp) else _candidates(local_sdp)
        ice = IceState(revision=1, ufrag=ice_ufrag(local_sdp) or "", candidates=candidates, complete=True)
        self._listener.send(PeerConnectionState(id=self.id, ice=ice))

    async def _take_candidates(self, candidates: Sequence[IceCandidate]) -> None:
        if self._negotiation.stable == 0:
            return  # the list is cumulative: the next one holds these as well
        for candidate in candidates:
            if candidate.candidate and candidate.candidate not in self._candidates_taken:
                self._candidates_taken.add(candidate.candidate)
                try:
                    parsed = candidate_from_sdp(candidate.candidate.removeprefix("candidate:"))
                except (AssertionError, ValueError, IndexError):
                    logger.warning("peer connection %s: unusable candidate %r", self.id, candidate.candidate)
                    continue
                parsed.sdpMid, parsed.sdpMLineIndex = candidate.sdp_mid, candidate.sdp_m_line_index
                await self._stack.addIceCandidate(parsed)

    def _prepare_sections(self) -> None:
        """Bring the stack in line with the wanted tracks, just before an offer."""
        self._outgoing.prepare_sections()
        if not self._has_offered:
            present = {transceiver.kind for transceiver in self._stack.getTransceivers()}
            for kind in MEDIA_KINDS:  # at least one section of each (signaling.md 4.2)
                if kind.value not in present:
                    self._stack.addTransceiver(kind.value, direction="recvonly")
        self._outgoing.open_channels()
        self._adopt_receivers()
        if self._hearing is None:  # everything is bundled: there is one gatherer
            gatherer = self._stack.getTransceivers()[0].receiver.transport.transport.iceGatherer
            self._hearing = encoded_media.prepare_gathering(gatherer, loopback=self._settings.loopback)

    # --- the stack -----------------------------------------------------------------------------------------------

    def _build_stack(self) -> RTCPeerConnection:
        policy = RTCIceTransportPolicy.RELAY if self._settings.relay_only else RTCIceTransportPolicy.ALL
        servers = [
            RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
            for server in self._settings.ice_servers
        ]
        stack = RTCPeerConnection(
            RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE, iceTransportPolicy=policy)
        )
        stack.on("track", self._adopt_receivers)
        stack.on("datachannel", self._listener.channel_opened)
        stack.on("connectionstatechange", self._state_changed)
        return stack

    def _adopt_receivers(self, _: object = None) -> None:
        """Take over what receivers get, before they start: those of our own sections as soon as these are made, since
        aiortc may start them before its "track" event; those of the service's at that event.
        """
        for transceiver in self._stack.getTransceivers():
            if transceiver.receiver not in self._incoming:
                kind = TrackKind(transceiver.kind)
                self._incoming[transceiver.receiver] = IncomingMedia(transceiver.receiver, kind)

    def _state_changed(self) -> None:
        if self._closed:
            return
        match self._stack.connectionState:
            case "connected":
                self.is_connected = True
                if self._deadline is not None:
                    self._deadline.cancel()
                self._listener.connected(self)
            case "failed" if self._stack.iceConnectionState == "completed":
                self._fail(MediaDTLSTransportFailedError())
            case "failed" | "closed":
                self._fail(MediaConnectionError())

    def _unanswered(self, within_s: float) -> None:
        if not self.was_answered:
            self._fail(MediaConnectionError(f"the service answered no offer within {within_s:g} s"))

    def _too_late(self) -> None:
        if not self.is_connected:
            self._fail(MediaConnectionError(f"no media connection within {CONNECT_DEADLINE_S:g} s"))

    def _fail(self, error: RoomError) -> None:
        self.is_connected = False
        if not self._closed:
            self._listener.failed(self, error)


def _candidates(local_sdp: str) -> tuple[IceCandidate, ...]:
    """Return the candidates of the first section; everything is bundled on it."""
    section = local_sdp.partition("\r\nm=")[2].partition("\r\nm=")[0]
    lines = [line.removeprefix("a=") for line in section.splitlines() if line.startswith("a=candidate:")]
    mid = next((line.removeprefix("a=mid:") for line in section.splitlines() if line.startswith("a=mid:")), "0")
    return tuple(IceCandidate(candidate=line, sdp_mid=mid, sdp_m_line_index=0) for line in lines)
