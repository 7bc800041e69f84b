"""Runs inside the Debian root of virtual-pi: the capture worker, unchanged, on libcamera's virtual pipeline.

That pipeline needs a few adaptations of picamera2, which virtual-pi's vcam.py makes; a Pi needs none of them.
"""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, "/srv/vpi")
import vcam  # type: ignore[import-not-found]  # only there

vcam.install()
worker = Path(__file__).parents[2] / "appliance" / "devices" / "cameras" / "capture_worker.py"
runpy.run_path(str(worker), run_name="__main__")
