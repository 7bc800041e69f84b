"""The only file of the engine that touches the insides of aiortc and pylibsrtp.

From aiortc come the DTLS handshake and the SCTP association; from pylibsrtp libsrtp itself, called on buffers that live
as long as the process. The private names are asserted at import, so that a new release fails here, with its name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

import aiortc
import pylibsrtp
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport
from pylibsrtp import _binding

from appliance.sfu.allowance import Allowance
from appliance.sfu.sctp_guard import is_sound

logger = logging.getLogger(__name__)

_MOST_WAITING_DATAGRAMS = 512

HANDSHAKE_LIMIT_S = 60.0
MOST_UNFINISHED_HANDSHAKES = 128
"""An honest one is through in a second, so beyond this the oldest is one that never will be."""

MOST_HELD_BYTES = 1024 * 1024
"""Of messages that have begun and do not end, beyond the window that the association grants."""
MOST_MISORDERED = 4096
MOST_INBOUND_STREAMS = 1100
_DATA_SECONDS = (0.25, 0.5)
"""Of our time, per second and at once, for what one client sends on its association; the rest is as if it were lost."""


def _require(holder: object, *names: str) -> None:
    for name in names:
        if not hasattr(holder, name):
            raise ImportError(f"{holder!r} has no {name}: aiortc {aiortc.__version__} is not what the engine knows")


_require(RTCDtlsTransport, "_set_role", "_setup_srtp", "start", "stop")
_require(RTCSctpTransport, "start", "stop", "_data_channel_open", "_handle_data")
_require(pylibsrtp.Session(), "_srtp")
_require(_binding, "ffi", "lib")

_ffi: Any = _binding.ffi
_lib: Any = _binding.lib

srtp_protect: Callable[[Any, Any, Any], int] = _lib.srtp_protect
srtp_unprotect: Callable[[Any, Any, Any], int] = _lib.srtp_unprotect
srtp_protect_rtcp: Callable[[Any, Any, Any], int] = _lib.srtp_protect_rtcp
srtp_unprotect_rtcp: Callable[[Any, Any, Any], int] = _lib.srtp_unprotect_rtcp

BUFFER_SIZE = 2048
"""Bytes of a packet with room for libsrtp's trailer; no path on the Internet brings larger ones."""
TRAILER_SIZE = 148

Certificate = RTCCertificate
DataChannel = RTCDataChannel


def make_certificate() -> RTCCertificate:
    """Make the certificate that all connections of an engine share."""
    return RTCCertificate.generateCertificate()


def fingerprint_of(certificate: RTCCertificate) -> str:
    """Return its SHA-256 fingerprint as `a=fingerprint` writes it, "AB:CD:…"."""
    return next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")


class PacketBuffer:
    """One datagram's worth of memory that libsrtp and the socket use in place.

    `memory` and `length` are for libsrtp, `view` is the same memory for Python.
    """

    __slots__ = ("length", "memory", "view")

    def __init__(self) -> None:
        self.memory: Any = _ffi.new("unsigned char[]", BUFFER_SIZE)
        self.length: Any = _ffi.new("int *")
        self.view = memoryview(_ffi.buffer(self.memory))


class _Pipe:
    """What RTCDtlsTransport takes for an ICE transport: DTLS datagrams in, datagrams out."""

    role = "controlled"
    state = "completed"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send_datagram = send
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_WAITING_DATAGRAMS)

    def put(self, datagram: bytes | None) -> None:
        """Hand in a datagram, None for the end. Where too many wait it is lost, as datagrams are."""
        if datagram is None:
            while not self._waiting.empty():
                self._waiting.get_nowait()
        if not self._waiting.full():
            self._waiting.put_nowait(datagram)

    async def _recv(self) -> bytes:
        datagram = await self._waiting.get()
        if datagram is None:
            raise ConnectionError("closed")
        return datagram

    async def _send(self, data: bytes) -> None:
        self._send_datagram(data)


class Association(RTCSctpTransport):
    """SCTP that a client cannot make us hold, or work, without end; what breaks it ends it and nothing else."""

    def __init__(self, dtls: RTCDtlsTransport) -> None:
        super().__init__(dtls)
        self._time = Allowance(*_DATA_SECONDS)

    async def _handle_data(self, data: bytes) -> None:
        began = monotonic()
        if not self._time.take(began, 0.0) or not is_sound(data):
            return
        try:
            await super()._handle_data(data)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  # asserts and parse errors, provoked by the other end
            logger.warning("data channels ended, the client sent nonsense: %s", repr(error))
            await self.stop()
        finally:
            ended = monotonic()
            self._time.spend(ended, ended - began)
        if self._holds_too_much():
            logger.warning("data channels ended, the client left too much unfinished")
            await self.stop()

    def _holds_too_much(self) -> bool:
        return (
            self._advertised_rwnd < -MOST_HELD_BYTES
            or len(self._sack_misordered) > MOST_MISORDERED
            or len(self._inbound_streams) > MOST_INBOUND_STREAMS
        )


class Handshakes:
    """The DTLS handshakes of one engine that are under way: so many, beyond which the oldest is given up."""

    def __init__(self, most: int = MOST_UNFINISHED_HANDSHAKES) -> None:
        self._most = most
        self._under_way: dict[SecureTransport, None] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, transport: SecureTransport) -> None:
        self._under_way[transport] = None
        if len(self._under_way) > self._most:
            next(iter(self._under_way)).give_up()

    def done(self, transport: SecureTransport) -> None:
        self._under_way.pop(transport, None)


class SecureTransport:
    """DTLS, the SRTP keys it yields, and SCTP, for one connection. We are always the DTLS server.

    `send` puts a datagram on the wire; `on_ready` is called once when DTLS is up, `on_end` once, with a reason, when it
    failed or the other end closed it.
    """

    def __init__(
        self,
        certificate: RTCCertificate,
        send: Callable[[bytes], None],
        on_ready: Callable[[], None],
        on_end: Callable[[str], None],
        handshakes: Handshakes,
    ) -> None:
        self._handshakes = handshakes
        self._pipe = _Pipe(send)
        self._dtls = RTCDtlsTransport(self._pipe, [certificate])  # type: ignore[arg-type]
        self._dtls._set_role("server")
        self._on_ready = on_ready
        self._on_end = on_end
        self._handshake: asyncio.Task[None] | None = None
        self._associating: asyncio.Task[None] | None = None
        self._sctp: RTCSctpTransport | None = None
        self._ended = False
        self._sessions: tuple[Any, Any] | None = None  # keeps the memory that the two pointers point to
        self.srtp_receive: Any = None
        self.srtp_send: Any = None

    @property
    def is_ready(self) -> bool:
        return self.srtp_send is not None

    @property
    def has_ended(self) -> bool:
        return self._ended

    def datagram(self, data: bytes) -> None:
        """Hand in a DTLS record from the network; it waits where the handshake has not begun."""
        self._pipe.put(data)

    def start(self, fingerprints: tuple[tuple[str, str], ...]) -> None:
        """Begin the handshake; the client must show a certificate with these fingerprints. Later calls do nothing."""
        if self._handshake is None and not self._ended:
            parameters = RTCDtlsParameters([RTCDtlsFingerprint(*pair) for pair in fingerprints], role="client")
            self._handshake = asyncio.create_task(self._shake_hands(parameters), name="sfu dtls")
            self._handshakes.begin(self)

    def give_up(self) -> None:
        """End a handshake that is under way."""
        self._handshakes.done(self)
        if self._handshake is not None:
            self._handshake.cancel()
        self._end("DTLS handshake given up, too many are under way")

    async def _shake_hands(self, parameters: RTCDtlsParameters) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT_S):
                await self._dtls.start(parameters)
        except TimeoutError:
            self._end(f"DTLS handshake not within {HANDSHAKE_LIMIT_S:.0f} s")
            return
        except Exception as error:  # noqa: BLE001  # OpenSSL's and cryptography's, provoked by the other end
            self._end(f"DTLS failed: {error!r}")
            return
        finally:
            self._handshakes.done(self)
        if self._ended:
            return
        if self._dtls.state != "connected":
            self._end("DTLS handshake failed")
            return
        self._sessions = (self._dtls._rx_srtp, self._dtls._tx_srtp)
        self.srtp_receive, self.srtp_send = (session._srtp[0] for session in self._sessions)
        self._dtls.on("statechange", self._dtls_changed)
        pump = self._dtls._task
        if pump is not None:
            pump.add_done_callback(_retrieve)
        self._on_ready()

    def _dtls_changed(self) -> None:
        if self._dtls.state in ("closed", "failed"):
            if self._sctp is not None:
                # Else what is sent to its channels fails on a task that nobody waits for.
                self._associating = asyncio.create_task(self._sctp.stop(), name="sfu sctp stop")
            self._end("DTLS closed by the client")

    def _end(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(reason)

    def start_data(self, remote_port: int, max_message_size: int, on_channel: Callable[[RTCDataChannel], None]) -> None:
        """Begin the SCTP association; needs DTLS up. `on_channel` is called with each channel the client opens."""
        if self._sctp is None and not self._ended:
            self._sctp = Association(self._dtls)
            self._sctp.on("datachannel", on_channel)
            self._associating = asyncio.create_task(
                self._sctp.start(RTCSctpCapabilities(max_message_size), remote_port), name="sfu sctp"
            )
            self._associating.add_done_callback(_retrieve)

    @property
    def has_data(self) -> bool:
        return self._sctp is not None

    def open_channel(
        self, label: str, *, ordered: bool, max_packet_life_time: int | None, max_retransmits: int | None
    ) -> RTCDataChannel:
        """Open a channel towards the client; usable when its `readyState` becomes "open". Needs `start_data` before."""
        assert self._sctp is not None
        parameters = RTCDataChannelParameters(
            label=label, ordered=ordered, maxPacketLifeTime=max_packet_life_time, maxRetransmits=max_retransmits
        )
        return RTCDataChannel(self._sctp, parameters)

    async def close(self) -> None:
        """Say goodbye and free everything. Closing twice is fine."""
        self._ended = True
        self.srtp_receive = self.srtp_send = None
        self._handshakes.done(self)  # one that is cancelled before it began does not say so itself
        if self._handshake is not None:
            self._handshake.cancel()
            await asyncio.gather(self._handshake, return_exceptions=True)
        if self._associating is not None:
            await asyncio.gather(self._associating, return_exceptions=True)
        if self._sctp is not None:
            await self._sctp.stop()
            self._sctp.remove_all_listeners()
        self._dtls.remove_all_listeners()
        pump = self._dtls._task
        await self._dtls.stop()
        if pump is not None:
            await asyncio.gather(pump, return_exceptions=True)
        self._pipe.put(None)
        self._sessions = None


def _retrieve(task: asyncio.Future[None]) -> None:
    """Take the error of a pump that ended: what its other end sent broke it, and the state change told us already."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.debug("transport ended by %r", error)
