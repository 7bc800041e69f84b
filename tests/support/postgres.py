"""A private PostgreSQL cluster on loopback, as an unprivileged user, in a folder of its own; and databases in it."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

import psutil

from appliance.rooms.store.store import Store
from tests.support.processes import free_port, wait_for

_numbers = count(1)
_COMMAND_WITHIN_S = 60


def postgres_folder() -> Path | None:
    """Return where Debian keeps the newest server's programs, None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def why_not() -> str | None:
    """Return why no cluster can be started here, None where one can."""
    if not postgres_folder():
        return "PostgreSQL is not installed (Debian: apt install postgresql)"
    if os.geteuid() == 0 and not (shutil.which("runuser") and _has_user("postgres")):
        return "PostgreSQL does not run as root, and there is no user postgres to run it"
    return None


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


async def _migrate(address: str) -> None:
    async with Store(address):
        pass


class Postgres:
    """Use as a context manager. Without fsync: what is tested is ours, not the disk."""

    def __init__(self) -> None:
        programs = postgres_folder()
        assert programs, why_not()
        self._programs = programs
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.port = free_port()
        self._template: str | None = None

    def __enter__(self) -> Self:
        self._folder = Path(mkdtemp(prefix="rooms-postgres-"))
        if self._as_user:
            shutil.chown(self._folder, "postgres")
        self._data = self._folder / "data"
        self._run("initdb", "-D", str(self._data), "-U", "rooms", "-A", "trust", "-E", "UTF8", "--no-sync", "-N")
        self.running = False
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, at the beginning or after `stop`, on the same port."""
        if self.running:
            return
        options = f"-F -p {self.port} -h 127.0.0.1 -k {self._folder}"
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", str(self._folder / "log"), "-w", "start")
        self.running = True
        wait_for("it takes connections", self._listens)

    def stop(self) -> None:
        """End it as a crash does: whoever is connected is cut off."""
        if self.running:
            self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")
        self.running = False

    def pause(self) -> None:
        """Let it answer nobody any more, with all connections open: as a network that swallows everything."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        server = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        for process in (server, *server.children(recursive=True)):
            process.send_signal(number)

    def new_database(self) -> str:
        """Make an empty database; return its address for SQLAlchemy."""
        return self._create()

    def new_migrated_database(self) -> str:
        """Make a database that is up to date: a copy of one that the real migrations made."""
        if self._template is None:
            address = self._create()
            # On a thread of its own: who asks may be inside a running loop.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, _migrate(address)).result(_COMMAND_WITHIN_S)
            self._template = address.rpartition("/")[2]
        return self._create("-T", self._template)

    def _create(self, *options: str) -> str:
        name = f"rooms{next(_numbers)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "rooms", *options, name)
        return f"postgresql+asyncpg://rooms@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), *arguments]
        # Its own output goes to files: what it starts would keep a pipe open.
        with (self._folder / f"{program}.out").open("wb") as out:
            done = subprocess.run(
                command,
                stdout=out,
                stderr=out,
                cwd="/",
                timeout=_COMMAND_WITHIN_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        assert done.returncode == 0, (self._folder / f"{program}.out").read_text()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
