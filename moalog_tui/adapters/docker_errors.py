"""The engine's failures, told as sentences an operator can act on."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import ssl
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import gaierror
from typing import Any, Final

from moalog_tui.adapters.docker_endpoint import DEFAULT_URL, EngineEndpoint
from moalog_tui.platform.containers import EngineError

_LOST: Final = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, EOFError)
_LOST_NAMES: Final = ("RemoteDisconnected", "IncompleteRead", "ProtocolError", "ChunkedEncodingError", "BadStatusLine")


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and everything it wraps: causes, contexts, `reason`s and exceptions among its arguments."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]


def is_connection_error(error: BaseException) -> bool:
    """True where the connection itself failed, so that its client is worth nothing any more."""
    return _status(error) is None


def is_stale(error: BaseException) -> bool:
    """True where a kept-alive connection turned out to be dead: a read may be asked again on a fresh one."""
    found = list(causes(error))
    if _status(error) is not None or any(type(one).__name__.endswith("Timeout") for one in found):
        return False
    return any(isinstance(one, _LOST) or type(one).__name__ in _LOST_NAMES for one in found)


def is_version_refusal(error: BaseException) -> bool:
    """True where another engine than the one we negotiated with answers: it refuses our API version."""
    return _status(error) == 400 and "client version" in _explanation(error)


def name_error(error: BaseException, endpoint: EngineEndpoint, timeout: float) -> EngineError:
    """Return the failure of a call as an EngineError with its kind: absent, refused, permission, timeout or other."""
    if isinstance(error, EngineError):
        return error
    status = _status(error)
    if status is not None:
        return EngineError(f"the engine answered {status}: {_explanation(error) or 'without a reason'}")
    found = list(causes(error))
    # TLS and name resolution number their errors themselves.
    numbers = {one.errno for one in found if isinstance(one, OSError) and not isinstance(one, (ssl.SSLError, gaierror))}
    if errno.ENOENT in numbers and endpoint.socket is not None:
        return EngineError(f"no Docker Engine at {endpoint.socket}; {_how_to_start(endpoint)}", "absent")
    if numbers & {errno.EACCES, errno.EPERM}:
        return EngineError(_permission_sentence(endpoint), "permission")
    if errno.ECONNREFUSED in numbers:
        return EngineError(
            f"the Docker Engine at {endpoint.url} refuses connections: it is not running; {_how_to_start(endpoint)}",
            "refused",
        )
    if errno.EAGAIN in numbers or any(
        isinstance(one, TimeoutError) or type(one).__name__.endswith("Timeout") for one in found
    ):
        return timed_out(endpoint, timeout)
    return _other(found, endpoint)


def timed_out(endpoint: EngineEndpoint, timeout: float) -> EngineError:
    """Return the error of an engine that accepts and does not answer."""
    return EngineError(f"the Docker Engine at {endpoint.url} did not answer within {timeout:g} s", "timeout")


def _other(found: list[BaseException], endpoint: EngineEndpoint) -> EngineError:
    if any("paramiko" in str(one) for one in found):
        return EngineError("an ssh:// engine needs the ssh extra: pip install 'moalog-tui[ssh]'")
    tls = next((one for one in found if isinstance(one, ssl.SSLError)), None)
    if tls is not None:
        return EngineError(f"the TLS connection to {endpoint.url} fails: {getattr(tls, 'reason', None) or tls}")
    if any(isinstance(one, gaierror) for one in found):
        return EngineError(f"the name of the Docker Engine does not resolve: {endpoint.url}")
    if any(isinstance(one, _LOST) or type(one).__name__ in _LOST_NAMES for one in found):
        return EngineError(f"the Docker Engine at {endpoint.url} closed the connection", "refused")
    first = found[0]
    return EngineError(f"the Docker Engine at {endpoint.url} cannot be asked: {str(first) or type(first).__name__}")


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an answer that the engine did give, or None."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _explanation(error: BaseException) -> str:
    told = getattr(error, "explanation", None)
    return (told if isinstance(told, str) else "").strip()


def _how_to_start(endpoint: EngineEndpoint) -> str:
    path = str(endpoint.socket or "")
    if sys.platform == "darwin":
        return "start it with Docker Desktop (or your VM's own command)"
    if path.startswith("/run/user/"):
        return "start it with `systemctl --user start docker`"
    if endpoint.url == DEFAULT_URL or path == "/run/docker.sock":
        return "start it with `sudo systemctl start docker`"
    return (
        f"start it there, or correct {'DOCKER_HOST' if endpoint.source == 'DOCKER_HOST' else 'the ' + endpoint.source}"
    )


def _permission_sentence(endpoint: EngineEndpoint) -> str:
    path = endpoint.socket
    if path is None:
        return f"the Docker Engine at {endpoint.url} may not be reached: permission denied"
    user = _user_name()
    group, usable = _socket_group(path)
    refused = f"{user} may not use the Docker Engine's socket {path}"
    if group is None:
        return f"{refused}: permission denied; ask its owner, or run as a user who may"
    if not usable:
        return f"{refused}: its group {group} may not either; ask the socket's owner"
    if _is_listed(user, group):
        return f"{refused} yet: {user} is in group {group} since after this session began; log in again"
    return f"{refused}: it belongs to group {group}; join with `sudo usermod -aG {group} {user}`, then log in again"


def _socket_group(path: Path) -> tuple[str | None, bool]:
    """Return the name of the group that owns the socket, and whether being in it is enough to connect."""
    try:
        found = path.stat()
    except OSError:
        return None, False
    usable = bool(found.st_mode & stat.S_IWGRP)
    try:
        return grp.getgrgid(found.st_gid).gr_name, usable
    except KeyError:
        return str(found.st_gid), usable


def _is_listed(user: str, group: str) -> bool:
    try:
        return user in grp.getgrnam(group).gr_mem
    except KeyError:
        return False


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
