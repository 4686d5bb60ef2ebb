"""What a server is told once, when it starts: who may reach it under which names, and the secret it signs with."""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from saqiya.errors import ConfigError, GuardRefusal, UsageError

__all__ = ["HEADERS", "SECRET_FILE", "ServerSettings", "is_loopback", "read_secret"]

SECRET_FILE: Final = "serve.secret"  # noqa: S105 - where it lies, not what it is
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # "no-referrer" would make a browser hide where its own forms come from
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), gamepad=(self)",
}
"""On every answer. No inline script or style, no frame, nothing from elsewhere."""
_SECRET_BYTES: Final = 32
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORT: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ServerSettings:
    """How a server is reached.

    Attributes:
        secret: signs cookies and the tokens against forged requests; at least 32 bytes.
        host, port: where it listens.
        public: the address that people type when that is another one ("https://saqiya.lab"); "" for the listening one.
        proxies: addresses or networks of proxies whose word on who asks is taken (`X-Forwarded-For`), where https is.
        session_s: how long a sign-in lasts.
        body_bytes: the most that a request may carry; `upload_bytes` for a log that is handed in.
    """

    secret: bytes
    host: str = "127.0.0.1"
    port: int = 8787
    public: str = ""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    session_s: float = 12 * 3600.0
    body_bytes: int = 1 << 20
    upload_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        """Refuse what would sign with nothing, and addresses that are none.

        Raises:
            UsageError: the secret is too short, the public address is not http(s)://name[:port], or a proxy's is none.
        """
        if len(self.secret) < _SECRET_BYTES:
            raise UsageError("the secret is shorter than 32 bytes", remedy="Use `read_secret`.")
        parts = urlsplit(self.public)
        if self.public and (parts.scheme not in _DEFAULT_PORT or not parts.hostname or parts.path.strip("/")):
            raise UsageError(
                "is not an address of a server", subject=self.public[:80], remedy="Give http(s)://name[:port]."
            )

        for one in self.proxies:
            try:
                ip_network(one)
            except ValueError as error:
                raise UsageError(
                    "is no address of a proxy", subject=one[:80], remedy="Give one like 10.0.0.7 or 10.0.0.0/24."
                ) from error

    @property
    def address(self) -> str:
        """The address that people type."""
        return self.public.rstrip("/") or _origin("http", _bracketed(self.host), self.port)

    @property
    def origins(self) -> frozenset[str]:
        """Where a page that may call this server comes from: scheme, name and port, as a browser writes them."""
        own = {self.address.lower()}
        if is_loopback(self.host):
            own |= {_origin("http", name, self.port) for name in _LOOPBACK_NAMES}
        return frozenset(own)

    @property
    def hosts(self) -> frozenset[str]:
        """The names by which it may be called: another name in a request is an attack (DNS rebinding) or a mistake."""
        return frozenset(urlsplit(one).netloc for one in self.origins)

    @property
    def https(self) -> bool:
        """Whether people reach it over TLS: then cookies never travel without."""
        return self.address.startswith("https://")


def is_loopback(host: str) -> bool:
    """Say whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def read_secret(root: Path, *, make: bool) -> bytes:
    """Return the workspace's secret, made at first when `make` says so; only its owner may read the file.

    Raises:
        GuardRefusal: there is none and none may be made, or others can read it.
        ConfigError: the file holds no secret.
    """
    path = root / SECRET_FILE
    if not path.exists():
        if not make:
            raise GuardRefusal(
                "there is no secret to sign cookies with", subject=str(path), remedy="Start it once on loopback first."
            )
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise GuardRefusal("others on this machine can read it", subject=str(path), remedy=f"chmod 600 {path}")
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError as error:
        raise ConfigError(
            "holds no secret", subject=str(path), remedy="Remove it: the next start makes one."
        ) from error
    if len(secret) < _SECRET_BYTES:
        raise ConfigError("holds too short a secret", subject=str(path), remedy="Remove it: the next start makes one.")
    return secret


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _origin(scheme: str, name: str, port: int) -> str:
    return f"{scheme}://{name}" if port == _DEFAULT_PORT[scheme] else f"{scheme}://{name}:{port}"
