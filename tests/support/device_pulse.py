"""A private PulseAudio with a virtual microphone and speaker, seen through ALSA's `pulse` plug-in.

tests ──play──▶ sink mic_feed ▶ source mic ▶ ALSA room_kiosk_microphone
ALSA room_kiosk_speaker ▶ sink speaker ──record──▶ tests
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from appliance.devices.samples import SAMPLE_RATE_HZ, Samples

START_DEADLINE_S = 10.0
MICROPHONE = "room_kiosk_microphone"
SPEAKER = "room_kiosk_speaker"

_SERVER = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-null-sink sink_name=speaker rate=48000 channels=2
load-module module-null-sink sink_name=mic_feed rate=48000 channels=1
load-module module-remap-source source_name=mic master=mic_feed.monitor channels=1
load-module module-null-sink sink_name=trash rate=48000 channels=1
load-module module-loopback source=speaker.monitor sink=trash latency_msec=20 adjust_time=0
load-module module-loopback source=mic_feed.monitor sink=trash latency_msec=20 adjust_time=0
set-default-sink speaker
set-default-source mic
"""  # the loopbacks keep idle null sinks from sleeping two seconds at a time

_ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.{microphone} {{ type pulse; device mic; server "unix:{socket}" }}
pcm.{speaker} {{ type pulse; device speaker; server "unix:{socket}"; handle_underrun 1 }}
pcm.room_kiosk {{ type asym; capture.pcm {microphone}; playback.pcm {speaker} }}
pcm.!default room_kiosk
ctl.!default {{ type pulse; server "unix:{socket}" }}
"""


def pulse_missing() -> str | None:
    """Return why no sound server can be started here, None where it can."""
    tools = [tool for tool in ("pulseaudio", "pactl", "paplay", "parec") if shutil.which(tool) is None]
    if tools:
        return f"{', '.join(tools)} not installed (apt install pulseaudio pulseaudio-utils)"
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        return "ALSA's pulse plug-in is not installed (apt install libasound2-plugins)"
    return None


@dataclass
class PulseServer:
    """A running server. Environment variables point ALSA and PulseAudio's tools of this process at it."""

    process: subprocess.Popen[bytes]
    folder: Path
    environment: dict[str, str]

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Let it hang; `thaw` lets it go on."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def playing(self, samples: Samples) -> Iterator[None]:
        """Play samples into the microphone while the block runs."""
        player = subprocess.Popen(
            ["paplay", "--raw", "--device=mic_feed", "--rate=48000", "--channels=1", "--format=s16le"],
            stdin=subprocess.PIPE,
            env=self.environment,
        )
        assert player.stdin is not None
        sound = self.folder / "playing.raw"
        sound.write_bytes(samples.tobytes())
        feeder = subprocess.Popen(["cat", str(sound)], stdout=player.stdin)
        player.stdin.close()
        try:
            yield
        finally:
            player.kill()
            player.wait()
            feeder.kill()
            feeder.wait()

    def heard(self, seconds: float) -> Samples:
        """Record what the speaker plays for so long; blocks."""
        size = round(seconds * SAMPLE_RATE_HZ) * 2
        recorder = subprocess.Popen(
            [
                "parec",
                "--device=speaker.monitor",
                "--rate=48000",
                "--channels=1",
                "--format=s16le",
                "--latency-msec=20",
            ],
            stdout=subprocess.PIPE,
            env=self.environment,
        )
        assert recorder.stdout is not None
        try:
            return np.frombuffer(recorder.stdout.read(size), np.int16)
        finally:
            recorder.kill()
            recorder.wait()
            recorder.stdout.close()

    def streams_of(self, process_id: int) -> list[str]:
        """Return what a process has open at the server: `source-outputs` (it records), `sink-inputs` (it plays)."""
        found: list[str] = []
        for kind in ("source-outputs", "sink-inputs"):
            listed = subprocess.run(
                ["pactl", "--format=json", "list", kind], env=self.environment, capture_output=True, check=True
            )
            owners = [stream["properties"].get("application.process.id") for stream in json.loads(listed.stdout)]
            found += [kind] * owners.count(str(process_id))
        return found


@contextmanager
def pulse_server(folder: Path) -> Iterator[PulseServer]:
    """Run a server of our own in `folder` (its path at most 90 characters: sockets), with ALSA pointed at it."""
    socket = folder / "native"
    (folder / "server.pa").write_text(_SERVER.format(socket=socket))
    (folder / "asound.conf").write_text(_ALSA.format(socket=socket, microphone=MICROPHONE, speaker=SPEAKER))
    ours = {
        "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        "PULSE_SERVER": f"unix:{socket}",
        "PULSE_RUNTIME_PATH": str(folder),
    }
    environment = {**os.environ, **ours, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disallow-exit"]
    command += ["--realtime=no", "--high-priority=no", "--log-level=error", "-F", str(folder / "server.pa")]
    before = {key: os.environ.get(key) for key in ours}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_until_up(process, environment, folder)
        os.environ.update(ours)
        yield PulseServer(process, folder, environment)
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        asked = subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False)
        if asked.returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(f"PulseAudio did not start: {(folder / 'log').read_text()}")
