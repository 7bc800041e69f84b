"""Commands that start the capture worker without a Pi: on a stand-in for picamera2, or on the real one.

The second needs the Debian root of the virtual-pi benches beside the project; a user's clone has none, and its tests
skip and say so.
"""

import os
import sys
from pathlib import Path

from appliance.devices.cameras.worker_link import WORKER_FILE

SUPPORT = Path(__file__).parent
PROJECT = SUPPORT.parent.parent
BENCHES = Path(os.environ.get("VIRTUAL_PI", PROJECT.parent / "shared" / "virtual-pi"))


def standin_worker(fault: str = "") -> tuple[str, ...]:
    """Return a command that runs the worker on the stand-in.

    Args:
        fault: `none`, `busy`, `hang_stop` or `stall`, see the stand-in.
    """
    return (
        "env",
        f"PYTHONPATH={SUPPORT / 'device_picamera2'}",
        f"STANDIN_CAMERA_FAULT={fault}",
        sys.executable,
        str(WORKER_FILE),
    )


def real_picamera2_missing() -> str | None:
    """Return why real picamera2 cannot run here, None where it can."""
    if not (BENCHES / "trixie-run").exists():
        return "the virtual-pi benches are not beside this clone"
    if os.geteuid() != 0:
        return "the Debian root of virtual-pi needs root"
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("VPI_CACHE") or caches / "virtual-pi")
    if not (cache / "root.ok").exists():
        return f"the Debian root of virtual-pi is not built: {BENCHES / 'trixie-root'} does it, in 2 to 5 minutes"
    return None


def real_worker() -> tuple[str, ...]:
    """Return a command that runs the worker on real picamera2 and libcamera's virtual pipeline, in the Debian root."""
    script = "/srv/src/tests/support/device_virtual_pipeline.py"
    return ("env", f"VPI_SRC={PROJECT}", str(BENCHES / "trixie-run"), "python", script)
