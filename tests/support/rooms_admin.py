"""`room-kiosk rooms VERB` as an administrator runs it, beside a running service."""

import asyncio
import subprocess
from pathlib import Path

from tests.support import rooms_running
from tests.support.processes import appliance


async def administer(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run `room-kiosk rooms …` as a process of its own and return what it prints."""

    def run() -> subprocess.CompletedProcess[str]:
        config = folder / "administrator.toml"
        if folder.is_dir():
            config.write_text(f'[store]\nurl = "{rooms_running.database_of(folder)}"\n')
        options = ("--config", str(config)) if config.exists() else ()
        command = appliance("rooms", "--state-dir", str(folder), *options, *arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = await asyncio.to_thread(run)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr
