"""The SDK's transport over a Unix socket, with three repairs. Imports the SDK: import it where the SDK is needed.

The SDK leaves the socket of a failed connection to the garbage collector, one descriptor for each try while the
engine is away; it keeps a pool of connections for each path, so that twenty inspections hold twenty connections;
and nothing in it can end a request that another thread waits for.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from docker import APIClient
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool

from moalog_tui.adapters.live_sockets import LiveSockets

_ONE_POOL: Final = "engine"


class _Connection(UnixHTTPConnection):
    live: LiveSockets

    def connect(self) -> None:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            one.settimeout(self.timeout)
            one.connect(self.unix_socket)
            self.live.add(one)
        except BaseException:
            one.close()
            raise
        self.sock = one


class _Pool(UnixHTTPConnectionPool):
    live: LiveSockets

    def _new_conn(self) -> Any:
        seconds: Any = self.timeout
        connection = _Connection(self.base_url, self.socket_path, seconds)
        connection.live = self.live
        return connection


class _Adapter(UnixHTTPAdapter):
    live: LiveSockets

    def get_connection(self, url: bytes | str, proxies: Any = None) -> UnixHTTPConnectionPool:
        with self.pools.lock:
            pool: UnixHTTPConnectionPool | None = self.pools.get(_ONE_POOL)
            if pool is None:
                pool = _Pool(str(url), self.socket_path, self.timeout, maxsize=self.max_pool_size)
                pool.live = self.live
                self.pools[_ONE_POOL] = pool
        return pool


def mend(client: APIClient, live: LiveSockets) -> None:
    """Give a client that speaks over a Unix socket the repaired transport; leave others as they are."""
    before = client.adapters.get("http+docker://")
    if isinstance(before, UnixHTTPAdapter):
        after = _Adapter(f"http+unix://{before.socket_path}", before.timeout, max_pool_size=before.max_pool_size)
        after.live = live
        client.mount("http+docker://", after)
        before.close()
