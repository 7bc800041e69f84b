"""The certificate of the HTTPS listener: the configured one, or one made at the first start."""

import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance import PRODUCT
from appliance.errors import ConfigurationError

CERTIFICATE_FILE = "https.crt"
KEY_FILE = "https.key"
_LIFETIME = timedelta(days=820)  # Apple's systems take none that lives longer than 825 days
_RENEW_BEFORE = timedelta(days=30)
_BACKDATED = timedelta(days=2)  # a phone's clock, or ours before it was set, may be behind
_KEY_MODE = 0o600


def own_names() -> list[str]:
    """Return the names this machine answers to."""
    name = socket.gethostname().partition(".")[0] or "localhost"
    return list(dict.fromkeys([name, f"{name}.local", socket.getfqdn(), "localhost"]))


def own_addresses() -> list[str]:
    """Return the addresses of this machine that others may reach it by: private and public ones, IPv4 first."""
    found = [
        entry.address.partition("%")[0]
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    ]
    parsed = [ipaddress.ip_address(address) for address in dict.fromkeys(found)]
    usable = [address for address in parsed if not address.is_loopback and not address.is_link_local]
    return [str(address) for address in sorted(usable, key=lambda address: address.version)]


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context for a server.

    Raises:
        ConfigurationError: the files cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError([f"server.certificate {certificate}, server.key {key}: {error}"]) from error
    return context


def load_or_make(folder: Path, names: Sequence[str], addresses: Sequence[str], now: datetime) -> tuple[Path, Path]:
    """Return the paths of certificate and key, made now where there are none or the old one is about to expire.

    Raises:
        ConfigurationError: they cannot be read or written.
    """
    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    try:
        if key.exists() and not _expires_soon(certificate, now):
            return certificate, key
        _make(certificate, key, names, addresses, now)
    except OSError as error:
        raise ConfigurationError([f"{error.filename}: {error.strerror}"]) from error
    return certificate, key


def _expires_soon(path: Path, now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return True
    return certificate.not_valid_after_utc - _RENEW_BEFORE < now


def _make(certificate: Path, key: Path, names: Sequence[str], addresses: Sequence[str], now: datetime) -> None:
    private_key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{PRODUCT} {names[0]}"[:64])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names if name.isascii()]
    everywhere = dict.fromkeys([*addresses, "127.0.0.1", "::1"])
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in everywhere]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private_key, hashes.SHA256())
    )
    secret = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = key.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _KEY_MODE), "wb") as file:
        file.write(secret)
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    unfinished.replace(key)
