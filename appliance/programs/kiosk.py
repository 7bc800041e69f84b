"""`room-kiosk kiosk`: build every part of a kiosk, run until told to stop. `room-kiosk check-config`: only read."""

import asyncio
import gc
import logging
import os
import random
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from appliance import PRODUCT, __version__
from appliance.broker import Broker, BrokerSettings, Will
from appliance.client.connect import connect
from appliance.client.link_report import NetworkQualityConfiguration
from appliance.client.local_tracks import LocalTrack
from appliance.client.options import BandwidthProfileOptions, VideoBandwidthProfile
from appliance.client.room import Room
from appliance.clock import Clock
from appliance.devices import catalog
from appliance.devices.buttons.virtual import VirtualButtons
from appliance.devices.microphones.virtual import VirtualMicrophone
from appliance.devices.screens.base import Screen
from appliance.devices.sound import Sound
from appliance.devices.speakers.virtual import VirtualSpeaker
from appliance.errors import ConfigurationError, DeviceError
from appliance.journal import set_up_logging
from appliance.kiosk.access import Access, read_key
from appliance.kiosk.capture import LiveLamp
from appliance.kiosk.inputs import Booted, IssueSeen, Resume, StopAsked
from appliance.kiosk.invitations import Invitations
from appliance.kiosk.resume import Memory
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.settings import KioskSettings, RoomsServiceSettings
from appliance.kiosk.showing import Showing
from appliance.kiosk.stage import Devices, Stage
from appliance.kiosk.state import Device, KioskState, Phase, Speaker
from appliance.kiosk.words import Words
from appliance.media_engine import TrackPriority, VideoMode
from appliance.programs.ready_file import write_ready_file
from appliance.settings import load_settings
from appliance.surfaces.base import Surface
from appliance.surfaces.control_socket import ControlSocket, panel_users
from appliance.surfaces.front_panel import FrontPanel
from appliance.surfaces.mqtt.bridge import MqttBridge
from appliance.surfaces.systemd_notify import from_environment
from appliance.system_clock import SystemClock

log = logging.getLogger(__name__)

WALL_PROFILE = BandwidthProfileOptions(
    video=VideoBandwidthProfile(
        mode=VideoMode.GRID,
        dominant_speaker_priority=TrackPriority.HIGH,
        client_track_switch_off_control="manual",
    )
)
"""The tiles on the screen share the connection by their sizes; whoever speaks goes first where it does not suffice."""

CONFIG_FOLDER = Path("/etc/room-kiosk")
PANEL_USER = f"{PRODUCT}-panel"
EX_NOINPUT, EX_CONFIG = 66, 78


@dataclass(frozen=True, slots=True)
class Plate:
    """The front panel, not open yet, and the lamp that only the devices' owner may light."""

    hands: FrontPanel
    lamp: LiveLamp
    kind: catalog.FrontPanelKind


def find_plate(settings: KioskSettings) -> Plate:
    panel = catalog.find_front_panel(settings.buttons, settings.leds, settings.device.front_panel)
    log.info("front panel: %s (%s)", panel.kind, panel.reason)
    lamp = LiveLamp(panel.lamps)
    hands = FrontPanel(
        panel.buttons,
        panel.lamps,
        lamp,
        pressable=panel.buttons if isinstance(panel.buttons, VirtualButtons) else None,
        debounce_s=settings.buttons.debounce_ms / 1000,
        leave_hold_s=settings.buttons.leave_hold,
        brightness=settings.leds.brightness,
    )
    return Plate(hands, lamp, panel.kind)


async def find_devices(
    settings: KioskSettings, screen: Screen | None, lamp: LiveLamp
) -> tuple[Devices, dict[str, str]]:
    """Probe camera and sound, and choose (kiosk.md 3, booting); returns them, none of it open, and their names."""
    camera, microphone, speaker = await asyncio.gather(
        catalog.find_camera(settings.video, settings.device.name or settings.device.id),
        catalog.find_microphone(settings.audio),
        catalog.find_speaker(settings.audio),
    )
    for what, found in (("camera", camera), ("microphone", microphone), ("speaker", speaker)):
        log.info("%s: %s (%s)", what, found.name, found.reason)
    virtual = isinstance(microphone.device, VirtualMicrophone) or isinstance(speaker.device, VirtualSpeaker)
    real = microphone.device is not None and speaker.device is not None and not virtual
    sound = Sound(
        microphone.device,
        speaker.device,
        catalog.sound_settings(settings.audio),
        catalog.find_echo_canceller(settings.audio, real=real),
    )
    devices = Devices(
        sound=sound,
        has_microphone=microphone.device is not None,
        has_speaker=speaker.device is not None,
        camera=camera.device,
        picture_size=(settings.video.width, settings.video.height),
        screen=screen,
        lamp=lamp,
    )
    return devices, {"camera": camera.name, "microphone": microphone.name, "speaker": speaker.name}


def find_screen(settings: KioskSettings) -> Screen | None:
    """Return the screen that `display.mode` names; without a display or desktop `auto` draws into memory."""
    mode = settings.display.mode
    if mode == "none":
        return None
    # SDL and Pillow come with the extra `kiosk`, and take a while to import.
    from appliance.devices.screens.hdmi import HdmiScreen
    from appliance.devices.screens.virtual import VirtualScreen

    desktop = bool(os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY"))
    if mode == "dummy" or (mode == "auto" and not desktop and not any(Path("/sys/class/drm").glob("card*-*"))):
        return VirtualScreen()
    return HdmiScreen("kmsdrm" if mode == "kmsdrm" else None)


def screen_name(screen: Screen | None) -> str:
    """Return what people are told of the screen, such as `1920x1080 by KMSDRM`."""
    if screen is None:
        return "none"
    health = screen.health()
    width, height = health.size
    return f"{width}x{height} by {health.driver}" if width else "none connected"


def first_state(settings: KioskSettings, panel_kind: catalog.FrontPanelKind) -> KioskState:
    device = Device(
        id=settings.device.id,
        name=settings.device.name or settings.device.id,
        locale=settings.device.locale,
        timezone=settings.device.timezone,
        default_room=settings.join.default_room,
        front_panel=panel_kind,
        panel_url=settings.web.url,
    )
    return KioskState(
        device=device,
        rules=settings.rules,
        mqtt="connecting" if settings.mqtt.enabled else "disabled",
        speaker=Speaker(volume=settings.audio.volume),
    )


def tls_for(settings: RoomsServiceSettings) -> ssl.SSLContext | None:
    """Return how to check the rooms service; its own authority where `ca_file` names one."""
    if not settings.url.startswith("https:"):
        return None
    return ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)


def make_broker(settings: KioskSettings) -> Broker | None:
    """Return the connection to the broker, not open yet. Raise ConfigurationError."""
    mqtt = settings.mqtt
    if not mqtt.enabled:
        return None
    password = mqtt.password_file.read_text(encoding="utf-8").strip() if mqtt.password_file else None
    status = f"{mqtt.base_topic}/{settings.device.id}/status"
    return Broker(
        BrokerSettings(
            url=mqtt.url,
            client_id=settings.device.id,
            username=mqtt.username,
            password=password,
            ca_file=mqtt.ca_file,
            cert_file=mqtt.cert_file,
            key_file=mqtt.key_file,
            protocol=mqtt.protocol,
        ),
        will=Will(topic=status, payload=b"offline"),
    )


async def run(settings: KioskSettings, ready_file: Path | None = None) -> None:
    """Build every part, run until SIGTERM or SIGINT, or until one fails.

    What people meet comes first, so that they see a kiosk that starts; devices are closed before any light goes out.
    """
    clock = SystemClock()
    settings.paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    plate, screen = find_plate(settings), find_screen(settings)
    kiosk = Kiosk(first_state(settings, plate.kind), clock, random.Random())
    stop_on_signals(kiosk)
    access = Access(settings.rooms_service, settings.device.id, clock.now)
    service = settings.rooms_service
    tls = tls_for(service)

    async def join_room(token: str, room: str, tracks: Sequence[LocalTrack]) -> Room:
        return await connect(
            token,
            url=service.url,
            name=room,
            tracks=tracks,
            ssl_context=tls,
            dominant_speaker=True,
            network_quality=NetworkQualityConfiguration(local=1, remote=1),
            bandwidth_profile=WALL_PROFILE,
        )

    async with AsyncExitStack() as stack:
        if screen is not None:
            open_screen(screen, settings, stack, kiosk)
        figures = Figures(kiosk, screen)
        surfaces = make_surfaces(settings, plate, screen, kiosk, clock, figures)
        broker = make_broker(settings)
        if broker is not None:
            state_folder = settings.paths.state
            bridge = MqttBridge(broker, settings.mqtt, settings.device.id, state_folder, clock, plate.hands)
            surfaces.append(bridge)
            await stack.enter_async_context(broker)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(kiosk.run(), name="kiosk")]
            running += [tasks.create_task(surface.run(kiosk), name=surface.name) for surface in surfaces]
            await plate.hands.opened.wait()
            devices, names = await find_devices(settings, screen, plate.lamp)
            memory = Memory(settings.paths.state / "resume.json", enabled=settings.join.resume_after_restart)
            async with Stage(
                devices, connect=join_room, access=access, memory=memory, clock=clock, tell=kiosk.submit
            ) as stage:
                stage.front_panel, figures.sound = plate.hands, devices.sound
                if access.signs and settings.join.default_room:
                    running.append(tasks.create_task(invite(settings, access, tls, kiosk, clock), name="invitations"))
                gc.collect()
                gc.freeze()  # before any card opens: the collector has little to walk then (kiosk-processes.md 4)
                kiosk.perform_with(stage)
                kiosk.watch(stage.look)
                kiosk.submit(booted(devices, memory.recall(clock.now())))
                await left_booting(kiosk)
                shown = {"screen": screen_name(screen), "front panel": plate.kind}
                say_ready(ready_file, settings, names | shown)
                await kiosk.ended.wait()
            for task in running:
                task.cancel()


def stop_on_signals(kiosk: Kiosk) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, kiosk.submit, StopAsked())


async def invite(
    settings: KioskSettings, access: Access, tls: ssl.SSLContext | None, kiosk: Kiosk, clock: Clock
) -> None:
    """Keep a guest's invitation to the default room on the idle screen."""
    url, room = settings.rooms_service.url, settings.join.default_room
    await Invitations(url, room, access=access, tls=tls, clock=clock, tell=kiosk.submit).run()


def make_surfaces(
    settings: KioskSettings, plate: Plate, screen: Screen | None, kiosk: Kiosk, clock: Clock, figures: "Figures"
) -> list[Surface]:
    """Return what people and the service manager meet, but MQTT: that needs a connection."""
    surfaces: list[Surface] = [
        plate.hands,
        ControlSocket(
            settings.paths.control_socket,
            clock=clock,
            panel_uids=panel_users(PANEL_USER),
            picture=screen.picture if screen else None,
            health=figures.all,
        ),
        from_environment(figures.healthy),
    ]
    if screen is not None:
        surfaces.append(
            Showing(
                screen,
                clock,
                Words(settings.device.locale),
                zone=time_zone(settings.device.timezone),
                dim_after_s=settings.display.dim_after,
                standby_after_s=settings.display.standby_after,
            )
        )
    return surfaces


def booted(devices: Devices, resume: Resume | None) -> Booted:
    return Booted(
        microphone_absent=not devices.has_microphone,
        camera_absent=devices.camera is None,
        speaker_absent=not devices.has_speaker,
        display="on" if devices.screen else "absent",
        resume=resume,
    )


def open_screen(screen: Screen, settings: KioskSettings, stack: AsyncExitStack, kiosk: Kiosk) -> None:
    size = (settings.display.width, settings.display.height)
    try:
        stack.enter_context(screen.open(size if all(size) else None))
    except DeviceError as error:
        log.warning("screen: %s; running without it", error)
        kiosk.submit(IssueSeen(code="display_absent", present=True, subject=str(error)))


def time_zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError([f"device.timezone: {name!r} is not a time zone; for example Europe/Berlin"]) from None


async def left_booting(kiosk: Kiosk) -> None:
    left = asyncio.Event()
    forget = kiosk.watch(lambda state: left.set() if state.phase is not Phase.BOOTING else None)
    await left.wait()
    forget()


def say_ready(ready_file: Path | None, settings: KioskSettings, devices: Mapping[str, str]) -> None:
    """Tell the log and the ready file that we run, and where we are to be found."""
    log.info("%s %s is ready, id %s", PRODUCT, __version__, settings.device.id)
    found = {
        "device_id": settings.device.id,
        "control_socket": str(settings.paths.control_socket),
        "devices": dict(devices),
    }
    write_ready_file(ready_file, found)


class Figures:
    """What the service manager and whoever asks over the control socket want to know of the running parts."""

    def __init__(self, kiosk: Kiosk, screen: Screen | None) -> None:
        self._kiosk, self._screen = kiosk, screen
        self.sound: Sound | None = None
        self._turns = -1

    def healthy(self) -> bool:
        """Tell whether sound went on, where it should, since this was last asked some seconds ago (kiosk.md 16)."""
        if self.sound is None:
            return True
        before, self._turns = self._turns, self.sound.turns
        return not self._kiosk.state.mic_live or self._turns != before

    def all(self) -> dict[str, Any]:
        found: dict[str, Any] = {"version": __version__, "pid": os.getpid()}
        if self.sound is not None and self._kiosk.state.mic_live:
            now = self.sound.figures()
            found["sound"] = {name: getattr(now, name) for name in type(now).__slots__}
        if self._screen is not None:
            screen = self._screen.health()
            found["screen"] = {"state": screen.state, "driver": screen.driver, "presented": screen.presented}
        return found


def read_settings(config: tuple[Path, ...]) -> KioskSettings:
    """Read the files named, or those of the machine (kiosk.md 14). Raise ConfigurationError, FileNotFoundError."""
    paths = list(config)
    if not paths:
        main_file = CONFIG_FOLDER / "kiosk.toml"
        paths = [main_file, *sorted((CONFIG_FOLDER / "kiosk.d").glob("*.toml"))]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(path)
    settings = load_settings(KioskSettings, paths)
    check_the_rest(settings)
    return settings


def check_the_rest(settings: KioskSettings) -> None:
    """Check what no single key tells: files that other keys name. Raise ConfigurationError with all of it."""
    problems: list[str] = []
    for check in (
        lambda: read_key(settings.rooms_service) if settings.rooms_service.auth == "api_key" else None,
        lambda: time_zone(settings.device.timezone),
        lambda: tls_for(settings.rooms_service),
        lambda: make_broker(settings),
    ):
        try:
            check()
        except ConfigurationError as error:
            problems.extend(error.problems)
        except (OSError, ValueError) as error:
            problems.append(str(error))
    if problems:
        raise ConfigurationError(problems)


CONFIG_OPTION = click.option(
    "--config",
    "config",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"A settings file; several may be given, later ones win. Default: {CONFIG_FOLDER}/kiosk.toml and kiosk.d.",
)


def settings_or_exit(config: tuple[Path, ...]) -> KioskSettings:
    try:
        return read_settings(config)
    except FileNotFoundError as error:
        click.echo(f"{error.args[0]}: no such file", err=True)
        sys.exit(EX_NOINPUT)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(EX_CONFIG)


@click.command("kiosk")
@CONFIG_OPTION
@click.option("--ready-file", type=click.Path(path_type=Path), help="Written, with what was found, once it runs.")
def kiosk(config: tuple[Path, ...], ready_file: Path | None) -> None:
    """Run the kiosk: capture, join rooms, show and play, until told to stop."""
    settings = settings_or_exit(config)
    set_up_logging(settings.log.level, settings.log.format)
    try:
        asyncio.run(run(settings, ready_file))
    except* ConfigurationError as group:
        for problem in _problems(group):
            click.echo(problem, err=True)
        sys.exit(EX_CONFIG)


def _problems(group: BaseExceptionGroup[ConfigurationError]) -> list[str]:
    found: list[str] = []
    for error in group.exceptions:
        found += _problems(error) if isinstance(error, BaseExceptionGroup) else error.problems
    return found


@click.command("check-config")
@CONFIG_OPTION
def check_config(config: tuple[Path, ...]) -> None:
    """Read the settings, tell everything that is wrong with them; exit 0, 78 (invalid) or 66 (missing)."""
    settings_or_exit(config)
    click.echo("The configuration can be used.")
