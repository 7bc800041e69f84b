"""Sound devices that misbehave on purpose."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from appliance.devices.samples import PERIOD_S, PERIOD_SAMPLES, SILENT_PERIOD
from appliance.errors import DeviceMissing


class HangingMicrophone:
    """Delivers until `hang` is set, then blocks as a dead sound server does, until `let_go`."""

    name = "hanging microphone"

    def __init__(self) -> None:
        self.overruns = 0
        self.hang = threading.Event()
        self.stuck = threading.Event()
        self.let_go = threading.Event()
        self.openings = 0
        self.closed = threading.Event()

    def open(self) -> AbstractContextManager[None]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        if self.hang.is_set():
            raise DeviceMissing(f"{self.name} does not answer")
        self.openings += 1
        yield
        self.closed.set()

    def read(self) -> bytes:
        if self.hang.is_set():
            self.stuck.set()
            self.let_go.wait()
        time.sleep(PERIOD_S)
        return SILENT_PERIOD


class NeverOpeningSpeaker:
    """Its driver never answers, until `let_go`."""

    name = "never opening speaker"

    def __init__(self) -> None:
        self.underruns = 0
        self.let_go = threading.Event()
        self.closed = threading.Event()

    def open(self) -> AbstractContextManager[None]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        self.let_go.wait()
        yield
        self.closed.set()

    def write(self, pcm: bytes) -> None:
        raise AssertionError("nobody may write to it")

    def queued(self) -> int:
        return 0

    def set_volume(self, percent: int) -> None:
        """Nothing to set."""


class HangingSpeaker:
    """Takes sound until `hang` is set, then blocks, until `let_go`."""

    name = "hanging speaker"

    def __init__(self) -> None:
        self.underruns = 0
        self.hang = threading.Event()
        self.stuck = threading.Event()
        self.let_go = threading.Event()
        self.closed = threading.Event()

    def open(self) -> AbstractContextManager[None]:
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        yield
        self.closed.set()

    def write(self, pcm: bytes) -> None:
        if self.hang.is_set():
            self.stuck.set()
            self.let_go.wait()

    def queued(self) -> int:
        return PERIOD_SAMPLES

    def set_volume(self, percent: int) -> None:
        """Nothing to set."""


class LateSpeaker(HangingSpeaker):
    """Its driver takes its time to open: until `may_open`."""

    name = "late speaker"

    def __init__(self) -> None:
        super().__init__()
        self.may_open = threading.Event()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        self.may_open.wait()
        with super()._opened():
            yield


class FaultyMicrophone(HangingMicrophone):
    """Its driver has a bug that shows once, when `fail` is set."""

    name = "faulty microphone"

    def __init__(self) -> None:
        super().__init__()
        self.fail = threading.Event()

    def read(self) -> bytes:
        if self.fail.is_set():
            self.fail.clear()
            raise ZeroDivisionError("a bug")
        return super().read()
