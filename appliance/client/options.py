"""What may be asked of `connect`."""

import ipaddress
import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from appliance import PRODUCT, __version__
from appliance.client.link_report import NetworkQualityConfiguration
from appliance.client.local_tracks import LocalTrack
from appliance.media_engine import SwitchOffMode, TrackPriority, VideoMode
from appliance.signaling.side_channels import Channel
from appliance.signaling.states import IceServer
from appliance.signaling.wishes import BandwidthProfile

CONNECT_DEADLINE_S = 20.0
SIGNALING_PATH = "/signaling"
_WEB_SOCKET_SCHEMES = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoBandwidthProfile:
    """How the videos that we receive share our connection; all of it are hints to the service (signaling.md 2.11).

    Attributes:
        dominant_speaker_priority: what the videos of whoever speaks count as.
        max_subscription_bitrate: bits per second, for all videos together.
        client_track_switch_off_control: "auto": a video of which nobody takes pictures need not be sent; "manual": one
            that was switched off by RemoteVideoTrack.switch_off.
    """

    mode: VideoMode | None = None
    dominant_speaker_priority: TrackPriority | None = None
    max_subscription_bitrate: int | None = None
    track_switch_off_mode: SwitchOffMode | None = None
    client_track_switch_off_control: Literal["auto", "manual"] = "auto"

    def as_wish(self) -> BandwidthProfile:
        """Return it as it goes over the wire."""
        return BandwidthProfile(
            mode=self.mode,
            active_speaker_priority=self.dominant_speaker_priority,
            max_subscription_bandwidth=self.max_subscription_bitrate,
            track_switch_off=self.track_switch_off_mode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthProfileOptions:
    """As the SDK's `bandwidthProfile`."""

    video: VideoBandwidthProfile = field(default_factory=VideoBandwidthProfile)


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is a loopback one; anything else than an address is not."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """Everything but the token.

    Attributes:
        url: the service's base address, `http://host:port` or `https://…`; the SDK's `wsServer` has `/signaling` added.
        name: the room's name or SID; None leaves it to the token.
        tracks: published from the start.
        ca_file: PEM file of the authority that signed the service's certificate, where the system's do not know it.
        ssl_context: instead of `ca_file`, for full control.
        ice_servers: None asks the service for them; a tuple is taken as it is.
        relay_only: use TURN alone.
        automatic_subscription: receive every track that others publish.
        deadline_s: for the whole of `connect`.
        dominant_speaker: be told who speaks: `Room.dominant_speaker`.
        network_quality: be told how good the connections are, and how much of it; None: nothing.
        bandwidth_profile: how what we receive shares our connection. With it, tracks may be switched off, and heed
            `set_priority`, `switch_off` and `set_content_preferences`; without, every video comes as large as it can.
        preferred_video_codecs: for pictures that the stack encodes, `"VP8"` or `"H264"` first; "auto": VP8 where
            possible, and nothing is sent as long as nobody receives it.
        receive_transcriptions: be told what is said in words, where the service can tell.
    """

    url: str
    name: str | None = None
    tracks: tuple[LocalTrack, ...] = ()
    ca_file: str | None = None
    ssl_context: ssl.SSLContext | None = None
    ice_servers: tuple[IceServer, ...] | None = None
    relay_only: bool = False
    automatic_subscription: bool = True
    deadline_s: float = CONNECT_DEADLINE_S
    dominant_speaker: bool = False
    network_quality: NetworkQualityConfiguration | None = None
    bandwidth_profile: BandwidthProfileOptions | None = None
    preferred_video_codecs: tuple[str, ...] | Literal["auto"] = ()
    receive_transcriptions: bool = False
    user_agent: str = f"{PRODUCT}/{__version__}"

    def channels(self) -> frozenset[str]:
        """Return the media-signaling channels to ask for (signaling.md 5.1)."""
        steering = (Channel.RENDER_HINTS, Channel.TRACK_PRIORITY, Channel.TRACK_SWITCH_OFF)
        asked = {
            Channel.ACTIVE_SPEAKER: self.dominant_speaker,
            Channel.NETWORK_QUALITY: self.network_quality is not None,
            Channel.PUBLISHER_HINTS: self.preferred_video_codecs == "auto",
            Channel.TRANSCRIPTIONS: self.receive_transcriptions,
            **dict.fromkeys(steering, self.bandwidth_profile is not None),
        }
        return frozenset(channel.value for channel, wanted in asked.items() if wanted)

    def signaling_url(self) -> str:
        """Return the WebSocket's address.

        Raises:
            ValueError: not an http or https address.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in _WEB_SOCKET_SCHEMES or not parts.hostname:
            raise ValueError(f"the service's address must be http://host:port or https://host:port, not {self.url!r}")
        path = parts.path.rstrip("/") + SIGNALING_PATH
        return urlunsplit((_WEB_SOCKET_SCHEMES[parts.scheme], parts.netloc, path, "", ""))

    def is_loopback(self) -> bool:
        """Tell whether the address itself says that the service is on this machine."""
        host = urlsplit(self.url).hostname or ""
        return host == "localhost" or is_loopback(host)

    def tls(self) -> ssl.SSLContext | None:
        """Return how to check the service's certificate; None over plain http.

        Raises:
            OSError: `ca_file` cannot be read. ssl.SSLError: it holds no certificate.
        """
        if urlsplit(self.url).scheme != "https":
            return None
        return self.ssl_context or ssl.create_default_context(cafile=self.ca_file)
