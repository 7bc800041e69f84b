"""What rooms.toml may say (rest.md 17). Defaults serve a machine of its own; unknown keys are errors."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from appliance import ROOMS_TOPIC
from appliance.rooms.addresses import Network
from appliance.rooms.gate import GateLimits
from appliance.rooms.parameters import VIDEO_CODECS, is_callback_url
from appliance.rooms.problems import DEFAULT_MORE_INFO
from appliance.rooms.room import MAX_PARTICIPANTS, MAX_PUBLISHED_TRACKS, RoomSettings, RoomType
from appliance.settings import Between, Length, Matches, Problem
from appliance.signaling.states import IceServer

_LISTENER = r"(?:(?:[A-Za-z0-9.-]+|\*|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})?"
_LISTENER_RULE = 'must be "address:port", "[IPv6]:port", or "" for off'
_PREFIX = r"[^/#+\x00$][^#+\x00]*[^/#+\x00]|[^/#+\x00$]"

Listener = Annotated[str, Matches(_LISTENER, _LISTENER_RULE)]
WebAddress = Annotated[str, Matches(r"https?://[^/?#]+[^?#]*", "must be an http or https address")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Listeners, their certificate, and the address others know us by."""

    http: Listener = "127.0.0.1:8080"
    https: Listener = "[::]:8443"
    certificate: Path | None = None
    key: Path | None = None
    public_base_url: Annotated[str, Matches(r"https?://[^/?#]+[^?#]*", "must be an http or https address")] | None = (
        None
    )
    trusted_proxies: tuple[str, ...] = ()
    more_info_prefix: WebAddress = DEFAULT_MORE_INFO
    rate_limit: bool = False

    def problems(self) -> Iterator[Problem]:
        if (self.certificate is None) != (self.key is None):
            yield Problem("certificate" if self.certificate else "key", "certificate and key are set together")
        if not self.http and not self.https:
            yield Problem("http", "http and https cannot both be off")
        for name, listener in (("http", self.http), ("https", self.https)):
            if listener and int(listener.rpartition(":")[2]) > 65_535:
                yield Problem(name, "a port is at most 65535")
        yield from network_problems("trusted_proxies", self.trusted_proxies)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """`url`: SQLAlchemy's, with an async driver; SQLite in the state directory unless given.

    `read_deadline_s`: a REST request that only reads is answered 503 where the database takes longer.
    """

    url: Annotated[str, Matches(r"(sqlite\+aiosqlite|postgresql\+asyncpg)://.*", "unknown store")] | None = None
    retention_days: Annotated[int, Between(1, 3650)] = 30
    read_deadline_s: Annotated[float, Between(0.5, 60)] = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomDefaults:
    """What an ad-hoc room is like (rest.md 13)."""

    type: RoomType = RoomType.GROUP
    max_participants: Annotated[int, Between(1, 50)] | None = None
    max_participant_duration_s: Annotated[int, Between(600, 86_400)] = 14_400
    video_codecs: tuple[Literal["VP8", "H264"], ...] = ("VP8", "H264")
    audio_only: bool = False
    status_callback: str | None = None
    status_callback_method: Literal["POST", "GET"] = "POST"

    def problems(self) -> Iterator[Problem]:
        cap = MAX_PARTICIPANTS[self.type]
        if self.max_participants and self.max_participants > cap:
            yield Problem("max_participants", f"a room of type {self.type} holds at most {cap}")
        if self.status_callback is not None and not is_callback_url(self.status_callback):
            yield Problem("status_callback", "must be an absolute http or https address")
        if self.audio_only and self.type is not RoomType.GROUP:
            yield Problem("audio_only", "only rooms of type group can be audio only")
        if not self.video_codecs and not self.audio_only:
            yield Problem("video_codecs", f"must name at least one of {', '.join(VIDEO_CODECS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRules:
    """Which rooms there are and how many."""

    ad_hoc_rooms: bool = True
    legacy_room_types: Literal["serve", "reject"] = "serve"
    unsupported_features: Literal["reject", "ignore"] = "reject"
    defaults: RoomDefaults = field(default_factory=RoomDefaults)
    max_rooms: Annotated[int, Between(1, 1_000_000)] = 10_000
    max_participants_in_account: Annotated[int, Between(1, 1_000_000)] = 10_000
    media_region: Annotated[str, Length(1, 32)] = "us1"

    def ad_hoc_settings(self) -> RoomSettings:
        given = self.defaults
        return RoomSettings(
            type=given.type,
            max_participants=given.max_participants or MAX_PARTICIPANTS[given.type],
            max_participant_duration_s=given.max_participant_duration_s,
            max_published_tracks=MAX_PUBLISHED_TRACKS[given.type],
            video_codecs=() if given.audio_only else given.video_codecs,
            media_region=self.media_region,
            audio_only=given.audio_only,
            empty_timeout_min=0,
            unused_timeout_min=0,
            status_callback=given.status_callback,
            status_callback_method=given.status_callback_method,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    leeway_s: Annotated[float, Between(0, 300)] = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalingSettings:
    """`session_timeout_s` to come back after a lost connection; the others say when newcomers have to wait."""

    session_timeout_s: Annotated[float, Between(1, 300)] = 30.0
    max_admissions: Annotated[int, Between(0, 10_000)] = 50
    max_participants: Annotated[int, Between(0, 1_000_000)] = 0
    max_waiting: Annotated[int, Between(0, 10_000)] = 200
    busy_lateness_s: Annotated[float, Between(0, 60)] = 1.0
    busy_patience_s: Annotated[float, Between(1, 3600)] = 120.0

    def gate(self) -> GateLimits:
        return GateLimits(
            admissions=self.max_admissions,
            participants=self.max_participants,
            waiting=self.max_waiting,
            lateness_s=self.busy_lateness_s,
            patience_s=self.busy_patience_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServerSettings:
    """As RTCPeerConnection takes it."""

    urls: tuple[Annotated[str, Matches(r"(stuns?|turns?):.+", "must be a stun: or turn: address")], ...]
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """The engine, its UDP port, and the addresses that the SDP names: the host's own unless given."""

    engine: Literal["embedded"] = "embedded"
    port: Annotated[int, Between(0, 65_535)] = 8444
    workers: Literal[0] = 0  # child processes are not there yet
    advertised_addresses: tuple[str, ...] = ()
    ice_servers: tuple[IceServerSettings, ...] = ()
    turn_urls: tuple[Annotated[str, Matches(r"turns?:.+", "must be a turn: address")], ...] = ()
    turn_secret_file: Path | None = None

    def problems(self) -> Iterator[Problem]:
        for address in self.advertised_addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                yield Problem("advertised_addresses", f"{address!r} is no IP address")
        if self.turn_urls and not self.turn_secret_file:
            yield Problem("turn_urls", "needs turn_secret_file")

    def servers(self) -> tuple[IceServer, ...]:
        return tuple(
            IceServer(urls=server.urls, username=server.username, credential=server.credential)
            for server in self.ice_servers
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSettings:
    """Which networks status callbacks may go to: `deny` wins; link-local is denied unless `deny` says otherwise."""

    allow: tuple[str, ...] = ("0.0.0.0/0", "::/0")
    deny: tuple[str, ...] = ("169.254.0.0/16", "fe80::/10")
    ca_file: Path | None = None

    def problems(self) -> Iterator[Problem]:
        yield from network_problems("allow", self.allow)
        yield from network_problems("deny", self.deny)


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """`url`: mqtt:// or mqtts://, None for off. `credential_file`: user name and password, one a line."""

    url: Annotated[str, Matches(r"mqtts?://[^@]+", "must be mqtt:// or mqtts:// without a password")] | None = None
    prefix: Annotated[str, Matches(_PREFIX, "must be topic levels without wildcards or a slash in front")] = ROOMS_TOPIC
    ca_file: Path | None = None
    credential_file: Path | None = None

    def credentials(self) -> tuple[str | None, str | None]:
        """Return user name and password.

        Raises:
            OSError: the file cannot be read.
        """
        if not self.credential_file:
            return None, None
        user, _, password = self.credential_file.read_text(encoding="utf-8").strip().partition("\n")
        return user.strip(), password.strip() or None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")

    def problems(self) -> Iterator[Problem]:
        yield from network_problems("allow", self.allow)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomsSettings:
    """The whole of rooms.toml."""

    server: ServerSettings = field(default_factory=ServerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    rooms: RoomRules = field(default_factory=RoomRules)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    signaling: SignalingSettings = field(default_factory=SignalingSettings)
    media: MediaSettings = field(default_factory=MediaSettings)
    callbacks: CallbackSettings = field(default_factory=CallbackSettings)
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return networks in CIDR notation, or single addresses, as values. Raise ValueError for anything else."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def network_problems(key: str, texts: tuple[str, ...]) -> Iterator[Problem]:
    for text in texts:
        try:
            networks((text,))
        except ValueError:
            yield Problem(key, f"{text!r} is no address or network", "such as 192.168.0.0/16")


def host_and_port(listener: str) -> tuple[str, int]:
    """Split `"[::]:8443"` into `("::", 8443)`."""
    host, _, port = listener.rpartition(":")
    return re.sub(r"[\[\]]", "", host), int(port)
