"""The docker SDK over a link: its HTTP connections are streams dialled on the node, its errors become ours."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dgrid.errors import EngineError, EngineNotFound, EngineTimeout, EngineUnreachable
from dgrid.nodes.link import Dial, ssh_errors

if TYPE_CHECKING:
    from docker import APIClient

BASE_URL = "http://engine:2375"  # never resolved nor connected to; the SDK wants a port
_POOL_SIZE = 8


def api_client(dial: Dial, version: str, timeout_s: float) -> APIClient:
    """An SDK client that speaks to the engine behind ``dial``. Does not connect yet."""
    from docker import APIClient

    # The version is given because the SDK would otherwise connect from its constructor, before it can be told how.
    client = APIClient(base_url=BASE_URL, version=version, timeout=max(1, int(timeout_s)))
    client.mount(BASE_URL, _adapter(dial, timeout_s))
    return client


def _adapter(dial: Dial, timeout_s: float) -> Any:
    from docker.transport.basehttpadapter import BaseHTTPAdapter
    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool

    class Connection(HTTPConnection):
        def connect(self) -> None:
            self.sock = dial(timeout_s)

    class Pool(HTTPConnectionPool):
        def _new_conn(self) -> Connection:
            return Connection("engine", timeout=timeout_s)

    # block: at most this many calls at once on one engine, the others wait their turn.
    pool = Pool("engine", timeout=timeout_s, maxsize=_POOL_SIZE, block=True, retries=False)

    class Adapter(BaseHTTPAdapter):
        def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> Pool:
            return pool

        def get_connection(self, *_args: Any, **_kwargs: Any) -> Pool:
            return pool

        def request_url(self, request: Any, _proxies: Any) -> str:
            return str(request.path_url)

        def close(self) -> None:
            pool.close()

    return Adapter()


def checked(response: Any) -> Any:
    """The answer to a call made by hand; raises the SDK's APIError for a refusal, as its own calls do."""
    import requests
    from docker.errors import create_api_error_from_http_exception

    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)
    return response


@contextmanager
def our_errors(node: str, action: str) -> Iterator[None]:
    """Within it, every error of the SDK and of what it is built on leaves as an EngineError that tells ``action``."""
    import requests
    import urllib3
    from docker.errors import APIError, DockerException, NotFound, StreamParseError

    try:
        yield
    except NotFound as error:
        raise EngineNotFound(node, f"cannot {action}: {_explanation(error)}", 404) from error
    except APIError as error:
        raise EngineError(node, f"cannot {action}: {_explanation(error)}", error.status_code) from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
        raise EngineTimeout(node, f"the engine did not answer in time; wanted to {action}") from error
    except (DockerException, StreamParseError, struct.error) as error:
        raise EngineError(node, f"cannot {action}: {error}") from error
    except _broken_connections() as error:
        raise _lost(node, action, error) from error
    except requests.RequestException as error:
        raise EngineError(node, f"cannot {action}: {error}") from error
    except OSError as error:  # only now, as every RequestException is one, too
        raise _lost(node, action, error) from error


def _broken_connections() -> tuple[type[Exception], ...]:
    import http.client

    import requests
    import urllib3
    from docker.utils.socket import SocketError

    kinds = (requests.ConnectionError, urllib3.exceptions.HTTPError, http.client.HTTPException, SocketError, EOFError)
    return (*kinds, *ssh_errors())


def _lost(node: str, action: str, error: Exception) -> EngineError:
    # A read timeout inside a body reaches us as a ConnectionError that says so.
    if "timed out" in str(error).lower():
        return EngineTimeout(node, f"the engine did not answer in time; wanted to {action}")
    return EngineUnreachable(node, f"lost the engine; wanted to {action} ({_root(error)})")


def _explanation(error: Any) -> str:
    return str(error.explanation or error).strip()


def _root(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__
