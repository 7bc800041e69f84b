"""What kiosk.toml may say about devices (kiosk.md 14). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from appliance.settings import Between, Problem

Pin = Annotated[int, Between(0, 27)]
"""BCM number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """Table `video`.

    Args:
        source: `auto` or `auto_or_virtual` (see catalog), `csi:0`, `usb:/dev/v4l/by-id/…`, `test` (the
            virtual camera) or `none`.
        encoder: `auto` and `hardware` take H.264 from the camera module, `software` takes frames and encodes them here.
        worker_command: argument vector that starts the capture worker; empty is the OS's Python with our worker file.
    """

    source: str = "auto"
    width: Annotated[int, Between(160, 1920)] = 1280
    height: Annotated[int, Between(120, 1080)] = 720
    fps: Annotated[int, Between(5, 30)] = 30
    bitrate_kbps: Annotated[int, Between(100, 4000)] = 1500
    encoder: Literal["auto", "hardware", "software"] = "auto"
    worker_command: tuple[str, ...] = ()

    def problems(self) -> Iterator[Problem]:
        for key, size in (("width", self.width), ("height", self.height)):
            if size % 2:
                yield Problem(key, "must be even", "encoders take pictures in squares of 2 x 2")
        kind, _, rest = self.source.partition(":")
        if not (self.source in ("auto", "auto_or_virtual", "test", "none") or (kind in ("csi", "usb") and rest)):
            yield Problem(
                "source", "must be auto, csi:<n>, usb:<path>, test or none", "`room-kiosk doctor` lists cameras"
            )
        if kind == "csi" and not rest.isdecimal():
            yield Problem("source", "must have a number after csi:", "the first camera module is csi:0")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSettings:
    """Table `audio`.

    Args:
        input: `auto`, `auto_or_virtual`, a card's stable id (`Speakerphone`), an ALSA device (`plughw:CARD=…`,
            `pcm:NAME`, `default`), `none`, or `virtual` (speech-like sound), `virtual:silence`, `virtual:tone:440`,
            `virtual:/path/to.wav`.
        output: the same; virtual: `virtual` (a meter), `virtual:/path/to.wav` (a recorder).
        aec: `software` is our own canceller; `hardware`, `system` and `none` leave the sound as it is.
    """

    input: str = "auto"
    output: str = "auto"
    aec: Literal["auto", "hardware", "software", "system", "duplex", "none"] = "auto"
    noise_suppression: bool = True
    auto_gain: bool = True
    volume: Annotated[int, Between(0, 100)] = 60
    max_volume: Annotated[int, Between(0, 100)] = 100
    cues: bool = True
    bitrate_kbps: Annotated[int, Between(16, 128)] = 40
    fec: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonSettings:
    """Table `buttons`, as far as pins go."""

    mute_pin: Pin = 17
    leave_pin: Pin = 27
    join_pin: Pin | None = None
    privacy_pin: Pin | None = None
    debounce_ms: Annotated[int, Between(1, 200)] = 30
    push_to_talk: bool = True
    leave_hold: Annotated[float, Between(0, 5)] = 0.0
    active_low: bool = True

    @property
    def pins(self) -> dict[str, int]:
        """Return the wired buttons by name."""
        wired = {"mute": self.mute_pin, "leave": self.leave_pin, "join": self.join_pin, "privacy": self.privacy_pin}
        return {name: pin for name, pin in wired.items() if pin is not None}

    def problems(self) -> Iterator[Problem]:
        yield from pin_problems([(f"{name}_pin", pin) for name, pin in self.pins.items()])


@dataclass(frozen=True, slots=True, kw_only=True)
class LedSettings:
    """Table `leds`."""

    mute_pin: Pin = 22
    live_pin: Pin = 23
    status_pin: Pin = 24
    active_high: bool = True
    brightness: Annotated[float, Between(0.02, 1)] = 0.6

    def problems(self) -> Iterator[Problem]:
        pins = [("mute_pin", self.mute_pin), ("live_pin", self.live_pin), ("status_pin", self.status_pin)]
        yield from pin_problems(pins)


def pin_problems(uses: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield a problem for each pin that is used twice; `uses` holds key and BCM number."""
    taken: dict[int, str] = {}
    for key, pin in uses:
        if pin in taken:
            yield Problem(key, f"GPIO {pin} is already used by {taken[pin]}", "choose another BCM pin")
        taken.setdefault(pin, key)
