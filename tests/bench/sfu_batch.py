"""Many datagrams for one system call: recvmmsg(2), which Python does not have, by cffi on the C library.

One batch of memory serves all sockets of a process: what came is read before the next socket is.
"""

import errno
import socket
import struct
from typing import Any

from cffi import FFI  # type: ignore[import-untyped]
from pylibsrtp import _binding

SLOTS = 64
SLOT_SIZE = 2048
_NAME_SIZE = 16  # sockaddr_in
_CONTROL_SIZE = 64
_HEADER_SIZE = 64  # mmsghdr, with its padding
_TIMESPEC = struct.Struct("qq")
_TIME_AT = 16  # behind cmsghdr
_PORT_AND_HOST = struct.Struct("!2xH4s")

_ffi = FFI()
_ffi.cdef("""
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; unsigned int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen; int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    int recvmmsg(int socket, struct mmsghdr *messages, unsigned int count, int flags, void *timeout);
""")
_libc: Any = _ffi.dlopen(None)


class Batch:
    """Room for 64 datagrams, each with who sent it and the kernel's time of its arrival.

    The datagram in slot n begins at `n * SLOT_SIZE` of `view`; `memory` is the same for libsrtp.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(SLOTS * SLOT_SIZE)
        self.view = memoryview(self._buffer)
        self.memory: Any = _binding.ffi.from_buffer("unsigned char[]", self._buffer)
        base = _ffi.from_buffer("char[]", self._buffer)
        names, control = _ffi.new("char[]", SLOTS * _NAME_SIZE), _ffi.new("char[]", SLOTS * _CONTROL_SIZE)
        vectors = _ffi.new("struct iovec[]", SLOTS)
        self._headers = _ffi.new("struct mmsghdr[]", SLOTS)
        for slot in range(SLOTS):
            vectors[slot].iov_base, vectors[slot].iov_len = base + slot * SLOT_SIZE, SLOT_SIZE
            head = self._headers[slot].msg_hdr
            head.msg_name, head.msg_namelen = names + slot * _NAME_SIZE, _NAME_SIZE
            head.msg_iov, head.msg_iovlen = vectors + slot, 1
            head.msg_control, head.msg_controllen = control + slot * _CONTROL_SIZE, _CONTROL_SIZE
        assert _ffi.sizeof("struct mmsghdr") == _HEADER_SIZE
        self._fresh = bytes(_ffi.buffer(self._headers))
        self._names, self._control = _ffi.buffer(names), _ffi.buffer(control)
        self._sizes = memoryview(_ffi.buffer(self._headers)).cast("I")
        self._kept = (base, names, control, vectors)

    def receive(self, descriptor: int) -> int:
        """Take up to 64 datagrams that wait at a socket; return how many there were."""
        while True:
            count: int = _libc.recvmmsg(descriptor, self._headers, SLOTS, socket.MSG_DONTWAIT, _ffi.NULL)
            if count >= 0:
                return count
            if _ffi.errno in (errno.EAGAIN, errno.EINTR, errno.EBADF):
                return 0  # any other error is of an earlier send, and is gone with this call

    def sizes(self, count: int) -> list[int]:
        """Return the sizes of the datagrams that came, and make the slots ready for the next ones."""
        sizes: list[int] = self._sizes[14 : 16 * count : 16].tolist()
        _ffi.memmove(self._headers, self._fresh, count * _HEADER_SIZE)
        return sizes

    def arrived_ns(self, slot: int) -> int:
        """Return when the kernel took it, in ns on CLOCK_REALTIME; the socket has SO_TIMESTAMPNS."""
        seconds, nanoseconds = _TIMESPEC.unpack_from(self._control, slot * _CONTROL_SIZE + _TIME_AT)
        return int(seconds * 1_000_000_000 + nanoseconds)

    def source(self, slot: int) -> tuple[str, int]:
        """Return the IPv4 address that it came from."""
        port, host = _PORT_AND_HOST.unpack_from(self._names, slot * _NAME_SIZE)
        return socket.inet_ntoa(host), port
