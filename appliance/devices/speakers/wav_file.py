"""A WAV file that can be read while it grows, and after its writer was killed."""

import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.devices.samples import SAMPLE_RATE_HZ

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_HEADER_EVERY_BYTES = SAMPLE_RATE_HZ * 2


class WavFile:
    """Mono, 48 kHz, 16 bit. The header is brought up to date every second."""

    def __init__(self, path: Path) -> None:
        """Create or replace the file; raise OSError where that is impossible."""
        self._file = path.open("wb")
        self._written = 0
        self._in_header = 0
        self._write_header()

    def write(self, pcm: bytes) -> None:
        self._file.write(pcm)
        self._written += len(pcm)
        if self._written - self._in_header >= _HEADER_EVERY_BYTES:
            self._write_header()

    def close(self) -> None:
        if not self._file.closed:
            self._write_header()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_header(self) -> None:
        rate, size = SAMPLE_RATE_HZ, self._written
        header = _HEADER.pack(
            b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", size
        )  # fmt: skip
        self._file.seek(0)
        self._file.write(header)
        self._file.seek(0, 2)
        self._file.flush()
        self._in_header = self._written
