"""This machine's addresses, to notice that the one in use has gone."""

import socket

import psutil


def own_addresses() -> frozenset[str]:
    """Return the IP addresses of all interfaces that are up, loopback included, without IPv6 zones."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    return frozenset(
        address.address.partition("%")[0]
        for name, addresses in psutil.net_if_addrs().items()
        if name in up
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    )
