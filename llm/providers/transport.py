"""The one HTTP client of the process, for every provider: aiohttp, one session an event loop.

No proxy of the environment, no redirects, no cookies, no compression. Leaving a response early closes its connection at once, so that
the provider stops; reading it to its end returns the connection to the pool.
"""

from __future__ import annotations

import asyncio
import io
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter

from llm.providers.errors import IncompleteAnswer, InvalidAnswer, UpstreamError, classify
from llm.providers.guard import BlockedAddress, GuardedResolver, checked_url, refused

T = TypeVar("T")

CONNECT_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 30.0
IDLE_SECONDS = 30.0
ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_SECONDS = 5.0
LARGE_BODY = 512 * 1024  # above this it is written piece by piece
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)


class Transport:
    """Asks providers. One for each event loop; `current()` gives it."""

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        first_byte_timeout: float = 30.0,
        deadline: float | None = None,
        allow_private: bool = False,
    ) -> Response:
        """`async with transport.post(…) as response`: sends and waits for the head of the answer, whatever its status.

        `first_byte_timeout` in seconds until the first byte of the body, `deadline` for all of it by `time.monotonic()`.
        `allow_private` is for addresses of the operator's (the environment, the local model), never for those of a database row.
        Raises UpstreamError (connect, timeout, invalid_answer).
        """
        return Response(self._session(allow_private), "POST", url, headers, body, first_byte_timeout, deadline, allow_private)

    async def get_json(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout: float = 15.0,
        max_bytes: int = 16 * 1024 * 1024,
        allow_private: bool = False,
    ) -> Any:
        """The JSON that a GET answers with, all within `timeout` seconds. Raises UpstreamError, also for any status but 200."""
        deadline = time.monotonic() + timeout
        async with Response(self._session(allow_private), "GET", url, headers, None, timeout, deadline, allow_private) as response:
            if response.status != 200:
                raise await response.error()
            try:
                return orjson.loads(await response.read(max_bytes))
            except orjson.JSONDecodeError:
                raise InvalidAnswer("The provider answered with something that is not JSON.") from None

    async def close(self) -> None:
        """Close every connection; the next request would open a session anew."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    def _session(self, private: bool) -> aiohttp.ClientSession:
        """Connections are pooled by host name: what one rule let in must not serve the other, so each rule has its own pool."""
        session = self._sessions.get(private)
        if session is None:
            session = self._sessions[private] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=30, resolver=GuardedResolver(private=private)
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity"},
                skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
                timeout=TIMEOUT,
                auto_decompress=False,
                trust_env=False,
            )
        return session


class _Noticed(aiohttp.payload.Payload):
    """Knows whether it began to be written: from then on the provider may work for us."""

    begun = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.begun = True
        await super().write_with_length(writer, content_length)


class _Body(_Noticed, aiohttp.payload.BytesPayload):
    """Written in one piece."""


class _LargeBody(_Noticed, aiohttp.payload.BytesIOPayload):
    """Written piece by piece, so that other requests get their turn."""


def _payload(body: bytes) -> _Noticed:
    return _Body(body) if len(body) <= LARGE_BODY else _LargeBody(io.BytesIO(body))


class Response:
    """One answer being read: `status`, `headers`, `chunks()`. Made by Transport, opened with `async with`."""

    status = 0
    headers: Mapping[str, str] = {}

    def __init__(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        first_byte_timeout: float,
        deadline: float | None,
        allow_private: bool,
    ) -> None:
        self._session = session
        self._method = method
        self._url = checked_url(url, allow_private)
        self._sent_headers = headers
        self._body = _payload(body) if body else None
        self._first_byte_at = time.monotonic() + first_byte_timeout
        self._deadline = float("inf") if deadline is None else deadline
        self._answer: aiohttp.ClientResponse | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waits_until: float | None = None  # None while nobody waits for bytes
        self._idle = IDLE_SECONDS
        self._cut: UpstreamError | None = None
        self._waiting: asyncio.Timeout | None = None  # for the head

    @property
    def sent(self) -> bool:
        """Has the request begun to be written? Until then its connection was only being made."""
        return self._body is not None and self._body.begun

    async def __aenter__(self) -> Self:
        wait = min(self._first_byte_at, self._deadline) - time.monotonic()
        if self._cut or wait <= 0:
            raise self._cut or UpstreamError("timeout")
        try:
            async with asyncio.timeout(wait) as self._waiting:
                self._answer = await self._session.request(
                    self._method, self._url, data=self._body, headers=self._sent_headers, allow_redirects=False
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise self._cut or _before_the_head(error) from error
        finally:
            self._waiting = None
        if self._cut:
            self._answer.close()
            raise self._cut
        self.status = self._answer.status
        self.headers = self._answer.headers
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._timer:
            self._timer.cancel()
        if self._answer:
            self._answer.close()  # nothing is left to close where it was read to its end

    async def chunks(self, idle_timeout: float = IDLE_SECONDS) -> AsyncIterator[bytes]:
        """The body as it comes: what the socket had, joined. `idle_timeout` is the longest silence between two pieces, in seconds.

        Raises UpstreamError: timeout, incomplete when the connection broke, invalid_answer for a compressed body.
        """
        answer = self._answer
        assert answer is not None, "chunks() outside of `async with`"
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise InvalidAnswer("The provider compressed its answer, which it was not asked to do.")
        self._idle = idle_timeout
        self._waits_until = self._first_byte_at
        self._watch()
        try:
            while data := await answer.content.readany():
                self._waits_until = None
                yield data
                self._await_next()
        except aiohttp.ClientError as error:
            error.with_traceback(None)  # aiohttp raises one object for every answer we close: it would hold all their frames for good
            raise self._cut or IncompleteAnswer("The connection broke off.", status=self.status) from error
        if self._cut:
            raise self._cut

    def ends_by(self, deadline: float) -> None:
        """Another deadline, by time.monotonic()."""
        sooner, self._deadline = deadline < self._deadline, deadline  # a later one is found by the timer that runs
        if sooner and self._answer and not self._answer.content.is_eof():
            self._watch()

    def abort(self) -> None:
        """Break off now, from wherever: whoever reads gets IncompleteAnswer, the provider sees its connection closed."""
        self._close(IncompleteAnswer("The answer was interrupted.", status=self.status))

    async def read(self, max_bytes: int) -> bytes:
        """The whole body. Raises InvalidAnswer for more than `max_bytes`, else as `chunks`."""
        parts, size = [], 0
        async for data in self.chunks():
            size += len(data)
            if size > max_bytes:
                raise InvalidAnswer("The provider's answer is too long.")
            parts.append(data)
        return b"".join(parts)

    async def error(self) -> UpstreamError:
        """The error that an answer other than 200 means. Reads its body for at most 5 s."""
        self._deadline = min(self._deadline, time.monotonic() + ERROR_BODY_SECONDS)
        parts, size = [], 0
        try:
            async for data in self.chunks(ERROR_BODY_SECONDS):
                parts.append(data)
                size += len(data)
                if size > ERROR_BODY_BYTES:
                    break
        except UpstreamError:
            pass  # the status says enough
        return classify(self.status, b"".join(parts), self.headers, secrets=self._secrets())

    def _secrets(self) -> Iterator[str]:
        for name, value in self._sent_headers.items():
            if "auth" in name.lower() or "key" in name.lower():
                yield value
                yield value.removeprefix("Bearer ")

    def _await_next(self) -> None:
        """From the second piece on the idle time counts. One timer is moved every half minute, not one set for each piece."""
        first = self._first_byte_at < float("inf")
        self._first_byte_at = float("inf")
        self._waits_until = time.monotonic() + self._idle
        if first:
            self._watch()

    def _watch(self) -> None:
        if self._timer:
            self._timer.cancel()
        now = time.monotonic()
        waits_until = now + self._idle if self._waits_until is None else self._waits_until
        if now >= self._deadline or (self._waits_until is not None and now >= waits_until):
            self._close(UpstreamError("timeout", status=self.status, retryable=False))
        else:
            self._timer = asyncio.get_running_loop().call_later(min(waits_until, self._deadline) - now + 0.001, self._watch)

    def _close(self, reason: UpstreamError) -> None:
        self._cut = self._cut or reason
        if self._waiting and not self._waiting.expired():
            self._waiting.reschedule(0)
        if self._answer:
            self._answer.close()


def _before_the_head(error: Exception) -> UpstreamError:
    """What went wrong before the head of the answer came. A reset then may be a pooled connection that the provider had closed."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamError("connect", retryable=False)  # 5 s are gone; a second try costs the fallback its time
    if isinstance(error, TimeoutError):
        return UpstreamError("timeout", retryable=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, BlockedAddress):
            return refused()
        return UpstreamError("connect", retryable=not isinstance(error, aiohttp.ClientSSLError))
    if isinstance(error, aiohttp.ClientResponseError):
        return InvalidAnswer("The provider does not speak HTTP.", status=0)
    if isinstance(error, aiohttp.InvalidURL):
        return refused()
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return UpstreamError("connect", "The provider closed the connection before it answered.", retryable=True)
    return UpstreamError("connect", retryable=False)


_transports: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Transport] = weakref.WeakKeyDictionary()


def current() -> Transport:
    """The transport of the running event loop, made at first use."""
    loop = asyncio.get_running_loop()
    found = _transports.get(loop)
    if found is None:
        found = _transports[loop] = Transport()
    return found


async def once(work: Awaitable[T]) -> T:
    """What comes of it, on an event loop that ends with it: leaves no connection open."""
    try:
        return await work
    finally:
        await close()


async def close() -> None:
    """Close the running loop's transport; for the shutdown."""
    found = _transports.pop(asyncio.get_running_loop(), None)
    if found:
        await found.close()
