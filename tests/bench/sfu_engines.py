"""The engines under measurement, each a process: our rooms service, and Debian's Janus in two settings."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.sfu.port import own_addresses
from tests.support.processes import STOPPED_WITHIN_S, free_port

_JANUS = "janus"
_LIBRARIES = sorted(Path("/usr/lib").glob("*/janus/plugins"))
_WITHIN_S = 15.0

_GENERAL = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{libraries}/plugins"
    transports_folder = "{libraries}/transports"
    events_folder = "{folder}/none"
    loggers_folder = "{folder}/none"
    debug_level = 3
    {loops}
}}
media: {{ ipv6 = false }}
nat: {{ ice_enforce_list = "{address}" }}
plugins: {{ disable = "{other_plugins}" }}
transports: {{ disable = "{other_transports}" }}
"""
_WEBSOCKETS = """
general: {{ ws = true, ws_port = {port}, ws_ip = "127.0.0.1", wss = false, json = "compact" }}
admin: {{ admin_ws = false }}
"""
_VIDEOROOM = "general: { string_ids = false }\n"


def own_address() -> str | None:
    """Return an IPv4 address of this machine, reached over loopback, since Janus never offers 127.0.0.1 itself."""
    return next((a for a in own_addresses() if ":" not in a and not a.startswith("127.")), None)


def has_janus() -> bool:
    """Tell whether Debian's Janus with its VideoRoom is installed and has an address to offer."""
    return shutil.which(_JANUS) is not None and bool(_LIBRARIES) and own_address() is not None


def janus_version() -> str:
    told = subprocess.run([_JANUS, "--help"], capture_output=True, text=True, check=False, timeout=10).stdout
    found = re.search(r"Janus version: \d+ \(([\d.]+)\)", told)
    return found.group(1) if found else "of unknown version"


class JanusProcess:
    """Janus on loopback, all else than VideoRoom and WebSockets left out. `loops` 0: its default, a thread a handle."""

    def __init__(self, folder: Path, *, loops: int = 0) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        libraries = _LIBRARIES[0].parent
        others = {
            kind: ",".join(p.name for p in sorted((libraries / kind).glob("*.so")) if wanted not in p.name)
            for kind, wanted in (("plugins", "videoroom"), ("transports", "websockets"))
        }
        general = _GENERAL.format(
            folder=folder,
            address=own_address(),
            libraries=libraries,
            loops=f"event_loops = {loops}" if loops else "",
            other_plugins=others["plugins"],
            other_transports=others["transports"],
        )
        (folder / "janus.jcfg").write_text(general)
        (folder / "janus.transport.websockets.jcfg").write_text(_WEBSOCKETS.format(port=self._port))
        (folder / "janus.plugin.videoroom.jcfg").write_text(_VIDEOROOM)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it and wait until it takes sockets.

        Raises:
            RuntimeError: it does not start.
        """
        log = self._folder / "janus.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [_JANUS, "--configs-folder", str(self._folder)],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
            )
        deadline = time.monotonic() + _WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__(None, None, None)
                    raise RuntimeError(f"Janus does not start:\n{log.read_text()[-2000:]}") from None
                time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOPPED_WITHIN_S)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of all threads of a process that live, to the nanosecond where possible."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except FileNotFoundError:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_seconds(pid: int) -> float:
    """Return how long the threads of a process could have run and got no core (sched-stats.rst, schedstat).

    It is 0 where the system does not count it. What a core of a virtual machine waits for outside is not in it.
    """
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9
    except FileNotFoundError:
        return 0.0


def dropped_datagrams(pid: int) -> int:
    """Return how many datagrams the kernel threw away since the UDP sockets of a process were full (proc(5))."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(descriptor.readlink().name)
    dropped = 0
    for table in ("udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes:
                dropped += int(fields[-1])
    return dropped


def pin(pid: int, cores: set[int]) -> None:
    """Let all threads of a process run on these cores alone, and those that they begin."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (1e6 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
