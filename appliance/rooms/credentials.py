"""The one account of the service: its auth token and its API key, made at the first start, kept in a 0600 file."""

import json
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from appliance.errors import ConfigurationError
from appliance.sids import AccountSid, KeySid, looks_like, new_account_sid, new_key_sid
from appliance.tokens import SigningKey

FILE_NAME = "credentials.json"
_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 32
_FILE_MODE = 0o600


def new_auth_token() -> str:
    return secrets.token_hex(16)


def new_key_secret() -> str:
    """Return a secret for an API key; its ASCII bytes sign (tokens.md 6)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The account and its secrets.

    `auth_token` authenticates REST requests and signs callbacks; `api_key_secret` authenticates and signs access tokens
    (tokens.md 6). `service_secret` never leaves the service: it authenticates page tokens and invitations.
    """

    account_sid: AccountSid
    auth_token: str
    api_key_sid: KeySid
    api_key_secret: str
    service_secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.account_sid}, {self.api_key_sid})"

    @classmethod
    def new(cls) -> Self:
        return cls(
            account_sid=new_account_sid(),
            auth_token=new_auth_token(),
            api_key_sid=new_key_sid(),
            api_key_secret=new_key_secret(),
            service_secret=secrets.token_hex(32),
        )

    @property
    def signing_key(self) -> SigningKey:
        return SigningKey(sid=self.api_key_sid, secret=self.api_key_secret, account_sid=self.account_sid)


def load_or_make(folder: Path) -> tuple[Credentials, bool]:
    """Return the credentials in this folder, and whether they were made just now.

    Raises:
        ConfigurationError: the file is readable by others, damaged, or cannot be read or written.
    """
    path = folder / FILE_NAME
    return (load(path), False) if path.exists() else (_make(path), True)


def load(path: Path) -> Credentials:
    """Return the credentials in this file.

    Raises:
        ConfigurationError: the file is readable by others, damaged, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode & 0o777
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: cannot be read: {error}"]) from error
    if mode & 0o077:
        raise ConfigurationError([f"{path} is readable by others (mode {mode:04o}); expected 0600"])
    try:
        return _read(json.loads(text))
    except (ValueError, RecursionError) as error:
        problem = f"{path}: damaged ({error}); restore it, or remove it to get a new account and key"
        raise ConfigurationError([problem]) from error


def _make(path: Path) -> Credentials:
    credentials = Credentials.new()
    save(path, credentials)
    return credentials


def save(path: Path, credentials: Credentials) -> None:
    """Write them so that the file is whole or not there at all, and never readable by others.

    Raises:
        ConfigurationError: it cannot be written.
    """
    unfinished = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "w") as file:
            json.dump(asdict(credentials), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be written: {error.strerror}"]) from error


def _read(data: Any) -> Credentials:
    if not isinstance(data, Mapping):
        raise ValueError("not an object")
    texts = {name: data.get(name) for name in Credentials.__dataclass_fields__}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) < _SECRET_LENGTH or not text.isascii():
            raise ValueError(f"{name} is missing or too short")
    if not looks_like("AC", str(texts["account_sid"])) or not looks_like("SK", str(texts["api_key_sid"])):
        raise ValueError("account_sid or api_key_sid is no SID")
    return Credentials(**{name: str(text) for name, text in texts.items()})  # type: ignore[arg-type]
