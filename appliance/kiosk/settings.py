"""What kiosk.toml may say (kiosk.md 14), as far as it is used so far. Pure."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from appliance import PRODUCT
from appliance.devices.settings import AudioSettings, ButtonSettings, LedSettings, VideoSettings
from appliance.kiosk.rules import Rules, StartMedia
from appliance.settings import Between, Length, Matches, Problem

DEVICE_ID = r"[a-z0-9][a-z0-9-]{1,31}"
_NO_START_MEDIA = StartMedia(mic=False, camera=False)
_ALL_START_MEDIA = StartMedia()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """Table `device`.

    Args:
        name: what people call it; the id without one.
        timezone: IANA name, e.g. `Europe/Berlin`; the system's without one.
        front_panel: `auto` takes GPIO where there is one; `auto_or_virtual` draws buttons on the panel elsewhere.
    """

    id: Annotated[str, Matches(DEVICE_ID, "must be 2 to 32 of a-z, 0-9 and -, and not begin with -")] = PRODUCT
    name: Annotated[str, Length(0, 64)] = ""
    locale: Literal["en", "de"] = "en"
    timezone: str | None = None
    front_panel: Literal["auto", "auto_or_virtual", "gpio", "virtual", "none"] = "auto_or_virtual"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomsServiceSettings:
    """Table `rooms_service`. Secrets are in files, never here.

    Args:
        auth: `api_key` signs tokens here; `command` takes the token that comes with each command.
        credentials_file: JSON `{account_sid, api_key_sid, api_key_secret}`, as a rooms service on the same box writes
            it; instead of the three keys after it.
    """

    url: str
    allow_insecure: bool = False
    auth: Literal["api_key", "command"] = "api_key"
    credentials_file: Path | None = None
    account_sid: str | None = None
    api_key_sid: str | None = None
    api_key_secret_file: Path | None = None
    ca_file: Path | None = None

    def problems(self) -> Iterator[Problem]:
        yield from _service_url_problems(self.url, self.allow_insecure)
        three = (self.account_sid, self.api_key_sid, self.api_key_secret_file)
        if self.auth == "api_key" and self.credentials_file is None and None in three:
            yield Problem(
                "auth",
                "api_key needs account_sid, api_key_sid and api_key_secret_file",
                "or credentials_file, which a rooms service on the same box writes",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinSettings:
    """Table `join`. Times in seconds; `kick_holdoff` and `auto_leave_alone` as in kiosk.md 4."""

    mode: Literal["manual", "always"] = "manual"
    default_room: Annotated[str, Length(0, 128)] = ""
    allowed_rooms: tuple[str, ...] = ("*",)
    local_media: StartMedia = _ALL_START_MEDIA
    remote_media: StartMedia = _NO_START_MEDIA
    reconnect_limit: Annotated[float, Between(0, 3600)] = 120.0
    kick_holdoff: Annotated[float, Between(0, 86400)] = 300.0
    auto_leave_alone: Annotated[float, Between(0, 86400)] = 300.0
    resume_after_restart: bool = True

    def problems(self) -> Iterator[Problem]:
        if self.mode == "always" and not self.default_room:
            yield Problem("default_room", 'must be set with mode = "always"')


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplaySettings:
    """Table `display`.

    Args:
        mode: `auto` takes a window where there is a desktop, else the connected display; `dummy` draws into memory.
        width, height: of a window or of the memory, in pixels; 0 lets the display decide.
        dim_after, standby_after: seconds of idleness; 0 never.
    """

    mode: Literal["auto", "kmsdrm", "window", "dummy", "none"] = "auto"
    width: Annotated[int, Between(0, 7680)] = 0
    height: Annotated[int, Between(0, 4320)] = 0
    dim_after: Annotated[int, Between(0, 86400)] = 120
    standby_after: Annotated[int, Between(0, 86400)] = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySettings:
    """Table `privacy`. `remote_unmute`: the least role that may open microphone or camera from elsewhere."""

    remote_unmute: Literal["never", "admin", "operator"] = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Table `web`: the control page's address, as the screen shows it."""

    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """Table `mqtt`."""

    enabled: bool = False
    url: str = ""
    allow_insecure: bool = False
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    base_topic: Annotated[str, Matches(r"[^+#/\x00][^+#\x00]*", "must be a topic without + and #")] = PRODUCT
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    allow_commands: tuple[str, ...] = ("room.join", "room.leave", "mic.mute", "camera.off", "speaker.set")
    response_prefixes: tuple[str, ...] = ()

    def problems(self) -> Iterator[Problem]:
        if not self.enabled:
            return
        scheme = self.url.partition("://")[0]
        if scheme not in ("mqtt", "mqtts"):
            yield Problem("url", "must be mqtts://host[:port]")
        elif scheme == "mqtt" and not self.allow_insecure:
            yield Problem("url", "unencrypted", "use mqtts:// or set mqtt.allow_insecure = true")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSettings:
    """Table `paths`; for tests and demonstrations, the units' folders are right everywhere else."""

    state: Path = Path("/var/lib/room-kiosk")
    control_socket: Path = Path("/run/room-kiosk/control.sock")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Table `log`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["journal", "plain", "json"] = "journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class KioskSettings:
    """The whole file."""

    rooms_service: RoomsServiceSettings
    device: DeviceSettings = DeviceSettings()
    join: JoinSettings = JoinSettings()
    video: VideoSettings = VideoSettings()  # noqa: RUF009 - frozen
    audio: AudioSettings = AudioSettings()  # noqa: RUF009 - frozen
    display: DisplaySettings = DisplaySettings()
    buttons: ButtonSettings = ButtonSettings()  # noqa: RUF009 - frozen
    leds: LedSettings = LedSettings()  # noqa: RUF009 - frozen
    privacy: PrivacySettings = PrivacySettings()
    web: WebSettings = WebSettings()
    mqtt: MqttSettings = MqttSettings()
    paths: PathSettings = PathSettings()
    log: LogSettings = LogSettings()

    def problems(self) -> Iterator[Problem]:
        lamps = {self.leds.mute_pin: "mute_pin", self.leds.live_pin: "live_pin", self.leds.status_pin: "status_pin"}
        for name, pin in self.buttons.pins.items():
            if pin in lamps:
                yield Problem(f"buttons.{name}_pin", f"already used by leds.{lamps[pin]}", "choose another BCM pin")

    @property
    def rules(self) -> Rules:
        """What the machine decides by."""
        join = self.join
        return Rules(
            mode=join.mode,
            default_room=join.default_room,
            allowed_rooms=join.allowed_rooms,
            local_media=join.local_media,
            remote_media=join.remote_media,
            reconnect_limit_s=join.reconnect_limit,
            kick_holdoff_s=join.kick_holdoff,
            auto_leave_alone_s=join.auto_leave_alone,
            remote_unmute=self.privacy.remote_unmute,
            push_to_talk=self.buttons.push_to_talk,
        )


def _service_url_problems(url: str, allow_insecure: bool) -> Iterator[Problem]:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fine = False
    if not fine:
        yield Problem("url", "must be https://host[:port]")
    elif parts.scheme == "http" and not allow_insecure:
        yield Problem("url", "unencrypted", "use https:// or set rooms_service.allow_insecure = true")
    elif parts.scheme == "http" and not _is_private(parts.hostname or ""):
        yield Problem("url", "unencrypted to a public address", "allow_insecure is for private addresses only")


def _is_private(host: str) -> bool:
    """Tell whether a host is on this machine or this network; a bare or `.local` name cannot be anywhere else."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return re.fullmatch(r"[^.]+|.*\.(local|lan|internal|home\.arpa)", host) is not None
