"""`room-kiosk rooms VERB` as an administrator runs it, beside a running service: each in a process of its own.

The processes are forked from one that has imported the program already, which is most of what a command takes.
"""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import rooms_running

_DONE_WITHIN_S = 60.0
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.support.rooms_admin", "appliance.__main__", "appliance.programs.rooms"])


async def administer(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run `room-kiosk rooms …` as a process of its own and return what it prints."""
    return await asyncio.to_thread(_run, folder, arguments, code)


def _run(folder: Path, arguments: Sequence[str], code: int) -> str:
    config = folder / "administrator.toml"
    if folder.is_dir():
        config.write_text(f'[store]\nurl = "{rooms_running.database_of(folder)}"\n')
    options = ("--config", str(config)) if config.exists() else ()
    command = ["rooms", "--state-dir", str(folder), *options, *arguments]
    with TemporaryDirectory(prefix="administrator-") as outputs:
        out, err = Path(outputs, "out"), Path(outputs, "err")
        process = _processes.Process(target=_command, args=(command, out, err, dict(os.environ)))
        process.start()
        process.join(_DONE_WITHIN_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        assert process.exitcode == code, err.read_text()
        return (out if code == 0 else err).read_text()


def _command(arguments: Sequence[str], out: Path, err: Path, environment: Mapping[str, str]) -> None:
    """Be the program: its arguments, its environment, its output."""
    os.environ.clear()
    os.environ.update(environment)
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    sys.argv = ["room-kiosk", *arguments]

    from appliance.__main__ import main

    main()
