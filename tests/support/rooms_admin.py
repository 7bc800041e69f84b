"""`room-kiosk rooms VERB` as an administrator runs it, beside a running service."""

import asyncio
import subprocess
from pathlib import Path

from tests.support.processes import appliance


async def administer(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run `room-kiosk rooms …` as a process of its own and return what it prints."""
    command = appliance("rooms", "--state-dir", str(folder), *arguments)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = await asyncio.to_thread(run)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr
