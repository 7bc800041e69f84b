"""One synthetic peer connection: ICE checks both ways, DTLS by aiortc, SRTP by libsrtp on bare buffers, kernel times.

It speaks to any engine that takes a browser's descriptions: the same code sits before ours and before Janus.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aioice import stun
from aiortc import rtcdtlstransport
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from pylibsrtp import _binding

from tests.bench.sfu_batch import SLOT_SIZE, SLOTS, Batch

SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; Python names it from 3.14 on."""
BUFFER_SIZE = 2048
CHECK_EVERY_S = 0.1
_CONSENT_EVERY_S = 5.0
READ_EVERY_S = 0.004
_ffi: Any = _binding.ffi
_lib: Any = _binding.lib

BATCH = Batch()
"""What the line that reads now has received; all lines share it."""

# One cipher for every engine: the dearer ones would otherwise be chosen by some and not by others.
rtcdtlstransport.SRTP_PROFILES[:] = [rtcdtlstransport.SRTP_AEAD_AES_256_GCM]

CERTIFICATE = RTCCertificate.generateCertificate()
FINGERPRINT = next(f.value for f in CERTIFICATE.getFingerprints() if f.algorithm == "sha-256")


def lines_of(sdp: str, name: str) -> Iterator[str]:
    """Yield the values of an attribute, of the session and of all sections."""
    prefix = f"a={name}:"
    return (line[len(prefix) :].strip() for line in sdp.splitlines() if line.startswith(prefix))


class _Pipe:
    """What RTCDtlsTransport takes for an ICE transport."""

    state = "completed"

    def __init__(self, line: "Line", role: str) -> None:
        self._line = line
        self.role = role
        self.waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def _recv(self) -> bytes:
        datagram = await self.waiting.get()
        if datagram is None:
            raise ConnectionError("closed")
        return datagram

    async def _send(self, data: bytes) -> None:
        self._line.send_raw(data)


class _Reader:
    """Reads all lines at a steady pace, not whenever one packet comes: that cost more than all else.

    The kernel has noted when each packet came.
    """

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: "Line") -> None:
        self._lines.append(line)
        if self._timer is None:
            self._read()

    def remove(self, line: "Line") -> None:
        self._lines.remove(line)

    def _read(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(READ_EVERY_S, self._read) if self._lines else None
        for line in list(self._lines):
            line.read()


_READER = _Reader()


class Line:
    """A client's end of a peer connection, on a socket of its own.

    `on_media(slot, size)` is called for each RTP packet, still encrypted in its slot of `BATCH`. `on_control(data)`
    gets decrypted RTCP.
    """

    def __init__(self, address: str) -> None:
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self._out: Any = _ffi.new("unsigned char[]", BUFFER_SIZE)
        self.out = memoryview(_ffi.buffer(self._out))
        self._length: Any = _ffi.new("int *")
        self.on_media: Callable[[int, int], None] = lambda slot, size: None
        self.on_control: Callable[[bytes], None] = lambda data: None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()
        self._remote: tuple[str, int] | None = None
        self._checked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._dtls: RTCDtlsTransport | None = None
        self._pipe: _Pipe | None = None
        self._early: list[bytes] = []
        self._rx: Any = None
        self._tx: Any = None
        _READER.add(self)

    def transport_lines(self, setup: str) -> list[str]:
        """Return what each section of a description says of this line; candidates at once, none follow."""
        host, port = self.address
        return [
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.password}",
            f"a=fingerprint:sha-256 {FINGERPRINT}",
            f"a=setup:{setup}",
            f"a=candidate:1 1 udp 2130706431 {host} {port} typ host",
            "a=end-of-candidates",
        ]

    async def connect(self, sdp: str, *, dtls_server: bool, controlling: bool) -> None:
        """Check and be checked, then shake hands; `sdp` is the engine's description."""
        candidate = next(line.split() for line in lines_of(sdp, "candidate") if line.split()[2].lower() == "udp")
        self._remote = (candidate[4], int(candidate[5]))
        remote_ufrag, remote_password = next(lines_of(sdp, "ice-ufrag")), next(lines_of(sdp, "ice-pwd"))
        self._tasks.append(asyncio.create_task(self._check(remote_ufrag, remote_password, controlling=controlling)))
        await asyncio.wait_for(self._checked.wait(), 10)
        algorithm, digest = next(lines_of(sdp, "fingerprint")).split()
        self._pipe = _Pipe(self, "controlled" if dtls_server else "controlling")
        for datagram in self._early:
            self._pipe.waiting.put_nowait(datagram)
        self._dtls = RTCDtlsTransport(self._pipe, [CERTIFICATE])  # type: ignore[arg-type]
        self._dtls._set_role("server" if dtls_server else "client")
        remote = RTCDtlsParameters([RTCDtlsFingerprint(algorithm.lower(), digest)])
        await asyncio.wait_for(self._dtls.start(remote), 10)
        if self._dtls.state != "connected":
            raise ConnectionError(f"DTLS is {self._dtls.state}")
        self._rx, self._tx = self._dtls._rx_srtp._srtp[0], self._dtls._tx_srtp._srtp[0]

    async def _check(self, remote_ufrag: str, remote_password: str, *, controlling: bool) -> None:
        tie_breaker = secrets.randbits(64)
        while True:
            request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
            request.attributes["USERNAME"] = f"{remote_ufrag}:{self.ufrag}"
            request.attributes["PRIORITY"] = 1853824767
            if controlling:
                request.attributes["ICE-CONTROLLING"] = tie_breaker
                request.attributes["USE-CANDIDATE"] = None
            else:
                request.attributes["ICE-CONTROLLED"] = tie_breaker
            request.add_message_integrity(remote_password.encode())
            request.add_fingerprint()
            self.send_raw(bytes(request))
            await asyncio.sleep(_CONSENT_EVERY_S if self._checked.is_set() else CHECK_EVERY_S)

    def _stun_arrived(self, data: bytes, source: tuple[str, int]) -> None:
        message = stun.parse_message(data)
        if message.message_class is stun.Class.RESPONSE:
            self._checked.set()
        elif message.message_class is stun.Class.REQUEST:
            answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = source
            answer.add_message_integrity(self.password.encode())
            answer.add_fingerprint()
            with contextlib.suppress(OSError):
                self.socket.sendto(bytes(answer), source)

    # --- packets

    def read(self) -> None:
        """Take what has come."""
        view = BATCH.view
        count = SLOTS
        while count == SLOTS:
            count = BATCH.receive(self.socket.fileno())
            for slot, size in enumerate(BATCH.sizes(count)):
                at = slot * SLOT_SIZE
                first = view[at] if size else 255
                if 127 < first < 192:
                    if 191 < view[at + 1] < 224:
                        self._control_arrived(slot, size)
                    elif self._rx is not None:
                        self.on_media(slot, size)
                elif first < 4:
                    self._stun_arrived(bytes(view[at : at + size]), BATCH.source(slot))
                elif 19 < first < 64:
                    if self._pipe is None:
                        self._early.append(bytes(view[at : at + size]))
                    else:
                        self._pipe.waiting.put_nowait(bytes(view[at : at + size]))

    def _control_arrived(self, slot: int, size: int) -> None:
        at = slot * SLOT_SIZE
        self._length[0] = size
        if self._rx is not None and not _lib.srtp_unprotect_rtcp(self._rx, BATCH.memory + at, self._length):
            self.on_control(bytes(BATCH.view[at : at + self._length[0]]))

    def decrypt(self, slot: int, size: int) -> int:
        """Decrypt the RTP packet in a slot; return its size, 0 where it is not authentic or came before."""
        self._length[0] = size
        memory = BATCH.memory + slot * SLOT_SIZE
        return 0 if _lib.srtp_unprotect(self._rx, memory, self._length) else int(self._length[0])

    def encrypt(self, size: int) -> memoryview:
        """Return the RTP packet in the first `size` bytes of `out` encrypted, valid until the next call."""
        self._length[0] = size
        if _lib.srtp_protect(self._tx, self._out, self._length):
            raise ValueError("libsrtp refuses to encrypt")
        return self.out[: self._length[0]]

    def send_control(self, packet: bytes) -> None:
        """Encrypt and send RTCP."""
        if self._tx is None:
            return
        self.out[: len(packet)] = packet
        self._length[0] = len(packet)
        if not _lib.srtp_protect_rtcp(self._tx, self._out, self._length):
            self.send_raw(self.out[: self._length[0]])

    def send_raw(self, data: bytes | memoryview) -> None:
        """Send as it is; where the socket's buffer is full it is lost."""
        if self._remote is not None and self.socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.socket.sendto(data, self._remote)

    async def close(self) -> None:
        _READER.remove(self)
        for task in self._tasks:
            task.cancel()
        if self._pipe is not None:
            self._pipe.waiting.put_nowait(None)
        stopping = [] if self._dtls is None else [self._dtls.stop()]
        await asyncio.gather(*self._tasks, *stopping, return_exceptions=True)
        self._rx = self._tx = None
        self.socket.close()


def section_lines(sdp: str) -> Sequence[list[str]]:
    """Return the sections of a description, each as its lines."""
    return [("m=" + part).splitlines() for part in sdp.replace("\r\n", "\n").split("\nm=")[1:]]
