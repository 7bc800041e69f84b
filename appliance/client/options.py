"""What may be asked of `connect`."""

import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from appliance import PRODUCT, __version__
from appliance.client.local_tracks import LocalTrack
from appliance.signaling.states import IceServer

CONNECT_DEADLINE_S = 20.0
SIGNALING_PATH = "/signaling"
_WEB_SOCKET_SCHEMES = {"http": "ws", "https": "wss"}


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
    user_agent: str = f"{PRODUCT}/{__version__}"

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
