"""From a name in the settings to the implementation that satisfies the protocol, and why that one was taken.

`auto` takes the best real device, or none. `auto_or_virtual` takes a virtual one where there is no real one: for
laptops and demonstrations; a kiosk on a wall must not babble made-up speech because its microphone was unplugged.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from appliance.devices.buttons.base import Buttons
from appliance.devices.cameras.base import Camera, CameraSettings, EncodedCamera
from appliance.devices.cameras.virtual import VirtualCamera
from appliance.devices.claim import OpenDevice, claimed
from appliance.devices.echo import EchoCanceller, LivekitEchoCanceller
from appliance.devices.lamps.base import Lamp, Lamps
from appliance.devices.microphones.base import Microphone
from appliance.devices.microphones.virtual import VirtualMicrophone
from appliance.devices.settings import AudioSettings, ButtonSettings, LedSettings, VideoSettings
from appliance.devices.sound import SoundSettings
from appliance.devices.sound_cards import Direction, candidates, sound_cards
from appliance.devices.speakers.base import Speaker
from appliance.devices.speakers.virtual import VirtualSpeaker
from appliance.errors import DeviceBusy, DeviceError, DeviceMissing

logger = logging.getLogger(__name__)

Device = TypeVar("Device")
Sounding = TypeVar("Sounding", Microphone, Speaker)
FrontPanelKind = Literal["gpio", "virtual", "none"]


@dataclass(frozen=True, slots=True)
class Found(Generic[Device]):
    """A device that is not open yet, or None, with its name and the reason for the choice, for people."""

    device: Device | None
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class FrontPanel:
    """Buttons and lamps, not open yet. With kind `virtual`, `buttons` is a VirtualButtons: it can be pressed."""

    kind: FrontPanelKind
    buttons: Buttons | None
    lamps: Lamps | None
    reason: str


# --- cameras ----------------------------------------------------------------------------------------------------------


def camera_settings(settings: VideoSettings, device: str = "auto") -> CameraSettings:
    """Return what a camera needs to know of the table `video`."""
    return CameraSettings(
        device=device,
        width_px=settings.width,
        height_px=settings.height,
        frames_per_second=settings.fps,
        bitrate_bps=settings.bitrate_kbps * 1000,
        worker_command=settings.worker_command,
    )


async def find_camera(settings: VideoSettings, name: str = "Virtual camera") -> Found[Camera | EncodedCamera]:
    """Return the camera that `video.source` names.

    Args:
        name: what the virtual camera writes into its picture.
    """
    # These two import drivers and start processes; nothing of it happens where only the virtual camera is used.
    from appliance.devices.cameras import pi, usb

    kind, _, rest = settings.source.partition(":")
    match kind:
        case "none":
            return Found(None, "none", "video.source is none")
        case "test":
            return _virtual(settings, name, "video.source is test")
        case "csi":
            return _named(_csi(settings, rest), f"video.source is {settings.source}")
        case "usb":
            return _named(usb.UsbCamera(camera_settings(settings, rest)), f"video.source is {settings.source}")
    modules = await pi.camera_modules(settings.worker_command)
    if modules:
        number, model = modules[0]
        return _named(_csi(settings, str(number)), f"{model} is the first camera module")
    plugged = usb.usb_cameras()
    if plugged:
        return _named(usb.UsbCamera(camera_settings(settings, plugged[0])), "the first USB camera")
    if kind == "auto_or_virtual":
        return _virtual(settings, name, "no camera module and no USB camera here")
    return Found(None, "none", "no camera module and no USB camera here")


def _virtual(settings: VideoSettings, name: str, reason: str) -> Found[Camera | EncodedCamera]:
    return Found(VirtualCamera(camera_settings(settings), name), "Virtual camera", reason)


def _csi(settings: VideoSettings, number: str) -> Camera | EncodedCamera:
    from appliance.devices.cameras import pi

    chosen = camera_settings(settings, f"csi:{number}")
    return pi.PiCamera(chosen) if settings.encoder == "software" else pi.PiEncodedCamera(chosen)


def _named(camera: Camera | EncodedCamera, reason: str) -> Found[Camera | EncodedCamera]:
    return Found(camera, camera.name, reason)


# --- sound ------------------------------------------------------------------------------------------------------------


async def find_microphone(settings: AudioSettings) -> Found[Microphone]:
    """Return the microphone that `audio.input` names."""
    kind, _, rest = settings.input.partition(":")
    if kind == "none":
        return Found(None, "none", "audio.input is none")
    if kind == "virtual":
        virtual = VirtualMicrophone(rest or "speech")
        return Found(virtual, virtual.name, f"audio.input is {settings.input}")
    from appliance.devices.microphones.alsa import AlsaMicrophone

    if kind not in ("auto", "auto_or_virtual"):
        chosen = AlsaMicrophone(settings.input)
        return Found(chosen, chosen.name, f"audio.input is {settings.input}")
    found = await _first_that_opens(AlsaMicrophone, "capture")
    if found.device is None and kind == "auto_or_virtual":
        return Found(VirtualMicrophone(), "Virtual microphone", found.reason)
    return found


async def find_speaker(settings: AudioSettings) -> Found[Speaker]:
    """Return the speaker that `audio.output` names."""
    kind, _, rest = settings.output.partition(":")
    if kind == "none":
        return Found(None, "none", "audio.output is none")
    if kind == "virtual":
        return Found(
            VirtualSpeaker(Path(rest) if rest else None), "Virtual speaker", f"audio.output is {settings.output}"
        )
    from appliance.devices.speakers.alsa import AlsaSpeaker

    if kind not in ("auto", "auto_or_virtual"):
        chosen = AlsaSpeaker(settings.output)
        return Found(chosen, chosen.name, f"audio.output is {settings.output}")
    found = await _first_that_opens(AlsaSpeaker, "playback")
    if found.device is None and kind == "auto_or_virtual":
        return Found(VirtualSpeaker(), "Virtual speaker", found.reason)
    return found


async def _first_that_opens(make: Callable[[str], Sounding], direction: Direction) -> Found[Sounding]:
    """Return the first candidate that can be opened; one that is busy is taken before none at all."""
    busy: Found[Sounding] | None = None
    refusals: list[str] = []
    for candidate in candidates(sound_cards(), direction):
        device = make(candidate.pcm)
        opened = await claimed(device)
        if isinstance(opened, OpenDevice):
            opened.close()
            return Found(device, device.name, candidate.reason)
        refusals.append(str(opened))
        if isinstance(opened, DeviceBusy) and busy is None:
            busy = Found(device, device.name, f"{candidate.reason}, but it is busy")
    return busy or Found(None, "none", f"no sound device opens: {'; '.join(refusals)}")


def sound_settings(settings: AudioSettings) -> SoundSettings:
    """Return what the sound thread needs to know of the table `audio`."""
    return SoundSettings(
        bitrate_bps=settings.bitrate_kbps * 1000,
        fec=settings.fec,
        volume_percent=settings.volume,
        max_volume_percent=settings.max_volume,
        cues=settings.cues,
    )


def find_echo_canceller(settings: AudioSettings, *, real: bool) -> EchoCanceller | None:
    """Return our own canceller where `audio.aec` asks for it.

    Args:
        real: microphone and loudspeaker stand in a room; `auto` cancels nothing between virtual ones.
    """
    if settings.aec != "software" and not (settings.aec == "auto" and real):
        return None
    try:
        return LivekitEchoCanceller(noise_suppression=settings.noise_suppression, auto_gain=settings.auto_gain)
    except DeviceMissing as error:
        logger.warning("%s; sound goes out as it is captured", error)
        return None


# --- front panel ------------------------------------------------------------------------------------------------------


def find_front_panel(buttons: ButtonSettings, leds: LedSettings, kind: str = "auto") -> FrontPanel:
    """Return the front panel of a kind: `gpio`, `virtual`, `none`, `auto` (gpio or none) or `auto_or_virtual`."""
    if kind == "none":
        return FrontPanel("none", None, None, "the front panel is switched off")
    # gpiozero takes a while to import, and is not there without the extra `kiosk`.
    from appliance.devices import gpio
    from appliance.devices.buttons.gpio import GpioButtons
    from appliance.devices.buttons.virtual import VirtualButtons
    from appliance.devices.lamps.gpio import GpioLamps
    from appliance.devices.lamps.virtual import VirtualLamps

    pins: dict[Lamp, int] = {"mute": leds.mute_pin, "live": leds.live_pin, "status": leds.status_pin}
    reason = f"the front panel is set to {kind}"
    if kind != "virtual":
        try:
            chip = gpio.chip_factory()
        except DeviceError as error:
            if kind != "auto_or_virtual":
                return FrontPanel("none", None, None, str(error))
            reason = str(error)
        else:
            keys = GpioButtons(chip, buttons.pins, active_low=buttons.active_low)
            return FrontPanel("gpio", keys, GpioLamps(chip, pins, active_high=leds.active_high), reason)
    software = gpio.software_factory()
    drawn = VirtualButtons(buttons.pins, software, active_low=buttons.active_low)
    return FrontPanel("virtual", drawn, VirtualLamps(pins, software, active_high=leds.active_high), reason)
