"""Where the Docker Engine is: DOCKER_HOST, else the command line's context, else the default socket.

The order is the docker command line's own. The SDK falls back to the default socket when a context is unknown;
here that is an error, for the answer would come from another engine than the operator named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from moalog_tui.platform.containers import EngineError

DEFAULT_URL: Final = "unix:///var/run/docker.sock"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of a TLS endpoint. `verify` is false where the context or the environment waives the check."""

    folder: Path
    ca: Path
    certificate: Path
    key: Path
    verify: bool


@dataclass(frozen=True, slots=True)
class EngineEndpoint:
    """A resolved endpoint and where it came from."""

    url: str
    source: str
    """`DOCKER_HOST`, `context NAME` or `default`."""
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        waived = ", TLS not verified" if self.tls is not None and not self.tls.verify else ""
        return f"{self.url} ({self.source}{waived})"

    @property
    def socket(self) -> Path | None:
        """The path of a Unix socket, or None."""
        return Path("/" + self.url.removeprefix("unix://").lstrip("/")) if self.url.startswith("unix://") else None

    @property
    def remote(self) -> bool:
        """True where the engine is on another host: published ports are not on our loopback then."""
        if self.socket is not None or self.url.startswith("npipe://"):
            return False
        if self.url.startswith("ssh://"):
            return True
        try:
            return urlsplit(self.url).hostname not in _LOOPBACK
        except ValueError:
            return True


def resolve_endpoint(environment: Mapping[str, str]) -> EngineEndpoint:
    """Return the endpoint that the docker command line would use in this environment.

    Raises EngineError of kind `context` where a named context does not exist or cannot be read.
    """
    host = environment.get("DOCKER_HOST", "").strip()
    if host:
        return EngineEndpoint(host, "DOCKER_HOST", _tls_of_environment(environment))
    folder = _config_folder(environment)
    name, named_by = environment.get("DOCKER_CONTEXT", "").strip(), "DOCKER_CONTEXT"
    if not name:
        name, named_by = _current_context(folder), str(folder / "config.json")
    if name in ("", "default"):
        return EngineEndpoint(DEFAULT_URL, "default")
    return _context_endpoint(folder, name, named_by)


def _config_folder(environment: Mapping[str, str]) -> Path:
    named = environment.get("DOCKER_CONFIG")
    if named:
        return Path(named)
    home = environment.get("HOME")
    return (Path(home) if home else Path.home()) / ".docker"


def _current_context(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return ""  # no configuration, or none that the command line could read: its default applies
    name = config.get("currentContext") if isinstance(config, dict) else None
    return name if isinstance(name, str) else ""


def _context_endpoint(folder: Path, name: str, named_by: str) -> EngineEndpoint:
    key = hashlib.sha256(name.encode()).hexdigest()
    meta_path = folder / "contexts" / "meta" / key / "meta.json"
    try:
        meta: Any = json.loads(meta_path.read_text("utf-8"))
        endpoint = meta["Endpoints"]["docker"]
        url = endpoint["Host"]
        skip_verify = bool(endpoint.get("SkipTLSVerify", False))
    except FileNotFoundError:
        raise EngineError(
            f'the Docker context "{name}" (named by {named_by}) does not exist; `docker context ls` lists them',
            "context",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f'the Docker context "{name}" cannot be read: {meta_path}: {error}', "context") from None
    if not isinstance(url, str) or not url:
        raise EngineError(f'the Docker context "{name}" names no host: {meta_path}', "context")
    tls_folder = folder / "contexts" / "tls" / key / "docker"
    tls = _tls_files(tls_folder, not skip_verify) if (tls_folder / "key.pem").is_file() else None
    return EngineEndpoint(url, f"context {name}", tls)


def _tls_of_environment(environment: Mapping[str, str]) -> TlsFiles | None:
    # As the SDK and the command line read them: a set but empty variable is unset; a certificate path alone
    # means TLS without verification of the server.
    verify, folder = bool(environment.get("DOCKER_TLS_VERIFY")), environment.get("DOCKER_CERT_PATH")
    if not verify and not folder:
        return None
    return _tls_files(Path(folder) if folder else _config_folder(environment), verify)


def _tls_files(folder: Path, verify: bool) -> TlsFiles:
    return TlsFiles(folder, folder / "ca.pem", folder / "cert.pem", folder / "key.pem", verify)
