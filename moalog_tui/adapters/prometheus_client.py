"""The Prometheus client over bounded sockets: no retries, no proxies, no answer without end."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeAlias

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util.retry import Retry

from moalog_tui.adapters.bounded import Bound, NameUnknown, NotAccepted, open_bounded
from moalog_tui.adapters.outcomes import quote
from moalog_tui.platform.metrics import NO_ANSWER
from moalog_tui.platform.services import Endpoint

Series: TypeAlias = list[tuple[float, str]]
"""Points of one series: epoch seconds and Prometheus' value string."""

BUDGET: Final = 4 * 1024 * 1024
"""Bytes of one read. Forty points of a handful of series take some kilobytes."""


class RangeQueries:
    """A session of range queries under one deadline in seconds. For one thread."""

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        self._bound = Bound(deadline, BUDGET)
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        url = f"http://{host}:{endpoint.port}"
        session = requests.Session()
        session.trust_env = False
        session.headers["Accept-Encoding"] = "identity"
        # More specific than the client's own adapter for the whole host, and so taken before it.
        session.mount(f"{url}/api/", _BoundedAdapter(endpoint, self._bound))
        # The time-out is the bounded socket's; this one only keeps the client from having none.
        self._client = PrometheusConnect(url=url, session=session, retry=Retry(0), timeout=math.ceil(deadline))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def run(self, query: str, start: int, end: int, step: int) -> Series | str:
        """Return the first series of the answer, or why there is none. Times are epoch seconds."""
        began, finish = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        try:
            result = self._client.custom_query_range(query, began, finish, str(step))
            return _series(result)
        except PrometheusApiClientException as error:
            return f"Prometheus refuses the query: {quote(str(error))}"
        except (requests.RequestException, OSError):
            return NO_ANSWER
        except (ValueError, KeyError, TypeError, LookupError, RecursionError):
            return "the answer is not Prometheus'"


def _series(result: Any) -> Series | str:
    if not isinstance(result, list):
        return "the answer is not Prometheus'"
    if not result:
        return "no data"
    return [(float(at), str(value)) for at, value in result[0]["values"]]


class _BoundedAdapter(HTTPAdapter):
    """Sends over bounded sockets to one endpoint."""

    def __init__(self, endpoint: Endpoint, bound: Bound) -> None:
        self._endpoint = endpoint
        self._bound = bound
        super().__init__(max_retries=Retry(0), pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool open our sockets."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _pool_class(self._endpoint, self._bound)}

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send, and refuse a compressed answer, which nobody asked for and which may unpack to any size."""
        response = super().send(*args, **kwargs)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise requests.exceptions.ContentDecodingError("the answer is compressed")
        return response


def _pool_class(endpoint: Endpoint, bound: Bound) -> type[HTTPConnectionPool]:
    class Connection(HTTPConnection):
        def _new_conn(self) -> Any:
            try:
                return open_bounded(endpoint, bound)
            except (NameUnknown, NotAccepted, TimeoutError) as error:
                raise NewConnectionError(self, str(error)) from error

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    return Pool
