"""Under which address a request reached us, for the absolute URLs in answers (rest.md 4.2). Pure."""

import ipaddress
import re
from collections.abc import Mapping, Sequence

from appliance.rooms.problems import invalid_parameter

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def base_url(
    scheme: str,
    headers: Mapping[str, str],
    *,
    peer: str | None,
    public_base_url: str | None = None,
    trusted_proxies: Sequence[Network] = (),
) -> str:
    """Return e.g. `https://video.example.org:8443`, without trailing slash.

    Args:
        scheme: of the listener.
        headers: case-insensitive.
        peer: the address that the request comes from.

    Raises:
        RestError: 20001, the Host header is none.
    """
    if public_base_url:
        return public_base_url.rstrip("/")
    host = headers.get("Host", "")
    if peer and is_within(peer, trusted_proxies):
        forwarded = _forwarded(headers)
        scheme = forwarded.get("proto", scheme)
        host = forwarded.get("host", host)
    if not _HOST.fullmatch(host) or scheme not in ("http", "https"):
        raise invalid_parameter("Host", "not a host name")
    return f"{scheme}://{host}"


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address, IPv4 also in its IPv6 clothes, lies in one of the networks."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain.version == network.version and plain in network for network in networks)


def addresses_meant(address: str) -> "tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]":
    """Return an address, and the IPv4 address that it is another form of; nothing for what is no address.

    Mapped (RFC 4291, 2.5.5.2), 6to4 (RFC 3056, 2) and NAT64 by its well-known prefix (RFC 6052, 2.1).
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ()
    if parsed.version == 4:
        return (parsed,)
    inner = parsed.ipv4_mapped or parsed.sixtofour
    if parsed in _NAT64:
        inner = ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
    return (parsed, inner) if inner else (parsed,)


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what the nearest proxy says: RFC 7239, else the older headers."""
    if "Forwarded" in headers:
        pairs = (pair.partition("=") for pair in headers["Forwarded"].split(",")[-1].split(";"))
        return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
    found = {"proto": headers.get("X-Forwarded-Proto", ""), "host": headers.get("X-Forwarded-Host", "")}
    return {name: value.split(",")[-1].strip() for name, value in found.items() if value}
