"""The transport against real sockets: what comes, what breaks, what is closed, and where it refuses to go."""

import asyncio
import gc
import ipaddress
import time
import weakref
from contextlib import asynccontextmanager

import pytest

from llm.providers import transport as module
from llm.providers.base import IncompleteAnswer, InvalidAnswer, UpstreamError, classify
from llm.providers.errors import clean, retry_after
from llm.providers.guard import GuardedResolver, allowed, checked_url
from llm.providers.transport import Transport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def piece(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def whole(body, status="200 OK", headers=b""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode() + headers + b"\r\n" + body


class Peer:
    """A server that plays one script for each request; it records what it was sent and when its peers left."""

    def __init__(self, script):
        self.script = script
        self.requests = []
        self.connections = 0
        self.left = asyncio.Event()
        self.url = ""

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
                self.requests.append(head + await reader.readexactly(size))
                if await self.script(self, reader, writer) is False:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def peer(script):
    found = Peer(script)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = Transport()
    try:
        yield found, transport
    finally:
        await transport.close()
        server.close()


def says(*pieces, close=False):
    async def script(_peer, _reader, writer):
        for one in pieces:
            writer.write(one)
            await writer.drain()
        return not close

    return script


async def waits(_peer, reader, writer):
    """Sends a first piece, then waits for its peer to leave."""
    writer.write(HEAD + piece(b"a"))
    await reader.readexactly(1)


def post(transport, url, body=b"{}", headers=None, **more):
    return transport.post(url, headers or {}, body, allow_private=True, **more)


async def read(response, **more):
    return b"".join([data async for data in response.chunks(**more)])


async def failure(found, transport, **more):
    with pytest.raises(UpstreamError) as raised:
        async with post(transport, found.url, **more) as response:
            await read(response)
    return raised.value


async def test_it_reads_an_answer_and_keeps_the_connection():
    async with peer(says(HEAD, piece(b"one "), piece("äö".encode()), END)) as (found, transport):
        for _turn in range(3):
            async with post(transport, found.url + "/x", b'{"a":1}', {"Authorization": "Bearer k"}) as response:
                assert response.status == 200
                assert response.headers["content-type"] == "text/event-stream"
                assert await read(response) == "one äö".encode()
        assert found.connections == 1
    sent = found.requests[0]
    assert sent.startswith(b"POST /x HTTP/1.1\r\n") and sent.endswith(b'\r\n\r\n{"a":1}')
    assert b"Authorization: Bearer k" in sent and b"Accept-Encoding: identity" in sent
    assert b"User-Agent" not in sent and b"Cookie" not in sent


async def test_it_sends_large_bodies():
    body = b"x" * 3_000_000
    async with peer(says(whole(b"ok"))) as (found, transport), post(transport, found.url, body) as response:
        assert await read(response) == b"ok"
        assert found.requests[0].endswith(body)


async def test_it_gives_each_piece_as_it_comes():
    gate = asyncio.Event()

    async def script(_peer, _reader, writer):
        writer.write(HEAD + piece(b"first"))
        await gate.wait()
        writer.write(piece(b"second") + piece(b"third") + END)

    async with peer(script) as (found, transport), post(transport, found.url) as response:
        chunks = response.chunks()
        assert await anext(chunks) == b"first"
        gate.set()
        assert b"".join([data async for data in chunks]) == b"secondthird"


async def test_it_closes_the_connection_when_left_early():
    async with peer(waits) as (found, transport):
        started = time.monotonic()
        async with post(transport, found.url) as response:
            async for _data in response.chunks():
                break
        await asyncio.wait_for(found.left.wait(), 1)
        assert time.monotonic() - started < 1


async def test_it_closes_the_connection_when_cancelled():
    async with peer(waits) as (found, transport):
        reading = asyncio.Event()

        async def ask():
            async with post(transport, found.url) as response:
                async for _data in response.chunks():
                    reading.set()

        task = asyncio.create_task(ask())
        await reading.wait()
        task.cancel()
        await asyncio.wait_for(found.left.wait(), 1)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_it_closes_the_connection_when_cancelled_before_the_head():
    arrived = asyncio.Event()

    async def silent(_peer, reader, _writer):
        arrived.set()
        await reader.readexactly(1)

    async def ask():
        async with post(transport, found.url):
            pass

    async with peer(silent) as (found, transport):
        task = asyncio.create_task(ask())
        await arrived.wait()
        task.cancel()
        await asyncio.wait_for(found.left.wait(), 1)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_it_says_whether_the_request_was_sent(monkeypatch):
    for body in (b"{}", b"x" * 600_000):
        async with peer(says(whole(b"ok"))) as (found, transport), post(transport, found.url, body) as response:
            assert response.sent

    async def hangs(*_args, **_more):
        await asyncio.Event().wait()

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", hangs)
    async with peer(waits) as (found, transport):
        unsent = post(transport, found.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), unsent:
                raise AssertionError("it connected")
        assert not unsent.sent


async def test_it_breaks_off_from_outside():
    async with peer(waits) as (found, transport), post(transport, found.url) as response:
        chunks = response.chunks()
        assert await anext(chunks) == b"a"
        asyncio.get_running_loop().call_soon(response.abort)
        with pytest.raises(IncompleteAnswer):
            await anext(chunks)
        await asyncio.wait_for(found.left.wait(), 1)


async def test_it_follows_no_redirect_and_no_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with peer(says(whole(b"", "302 Found", b"Location: /elsewhere\r\nSet-Cookie: a=b\r\n"))) as (found, transport):
        for _turn in range(2):
            async with post(transport, found.url) as response:
                assert response.status == 302
                assert (await response.error()).code == "upstream_error"
    assert len(found.requests) == 2 and b"Cookie" not in found.requests[1]


async def test_it_times_out_before_the_first_byte():
    async def silent(_peer, reader, _writer):
        await reader.readexactly(1)

    async with peer(silent) as (found, transport):
        error = await failure(found, transport, first_byte_timeout=0.05)
        assert (error.code, error.status, error.retryable) == ("timeout", 0, False)
        await asyncio.wait_for(found.left.wait(), 1)


async def test_it_times_out_between_head_and_first_byte():
    async def only_head(_peer, reader, writer):
        writer.write(HEAD)
        await reader.readexactly(1)

    async with peer(only_head) as (found, transport):
        error = await failure(found, transport, first_byte_timeout=0.05)
        assert (error.code, error.status) == ("timeout", 200)


async def test_it_times_out_on_silence_after_the_first_byte():
    async with peer(waits) as (found, transport), post(transport, found.url) as response:
        with pytest.raises(UpstreamError) as raised:
            await read(response, idle_timeout=0.05)
    assert raised.value.code == "timeout"


async def test_an_answer_that_was_cut_leaves_the_memory():
    async with peer(waits) as (found, transport):
        async with post(transport, found.url) as response:
            with pytest.raises(UpstreamError):
                await read(response, idle_timeout=0.05)
        cut = weakref.ref(response)
        del response
    gc.collect()
    assert cut() is None


async def test_a_slow_reader_is_no_silence():
    async with peer(says(HEAD + piece(b"a"), piece(b"b") + END)) as (found, transport), post(transport, found.url) as response:
        got = []
        async for data in response.chunks(idle_timeout=0.03):
            got.append(data)
            await asyncio.to_thread(time.sleep, 0.08)  # the reader's own work, longer than the idle time
        assert b"".join(got) == b"ab"


async def test_it_keeps_to_the_deadline_while_bytes_come():
    async def endless(_peer, _reader, writer):
        writer.write(HEAD)
        while True:
            writer.write(piece(b"a"))
            await writer.drain()
            await asyncio.sleep(0)

    async with peer(endless) as (found, transport):
        started = time.monotonic()
        error = await failure(found, transport, deadline=started + 0.1)
        assert error.code == "timeout" and time.monotonic() - started < 1
        with pytest.raises(UpstreamError):
            async with post(transport, found.url, deadline=started):
                pass


async def test_it_maps_a_refused_connection():
    async with peer(waits) as (found, transport):
        pass
    error = await failure(found, transport)
    assert (error.code, error.status, error.retryable) == ("connect", 0, True)
    await transport.close()


async def test_it_maps_a_connection_that_hangs(monkeypatch):
    async def hangs(*_args, **_more):
        await asyncio.Event().wait()

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", hangs)
    monkeypatch.setattr(module, "TIMEOUT", module.aiohttp.ClientTimeout(total=None, connect=0.05))
    async with peer(waits) as (found, transport):
        error = await failure(found, transport)
    assert (error.code, error.retryable) == ("connect", False)


async def test_it_maps_a_reset_before_the_first_byte():
    async with peer(says(close=True)) as (found, transport):
        error = await failure(found, transport)
    assert (error.code, error.status, error.retryable) == ("connect", 0, True)


async def test_it_maps_a_pooled_connection_that_was_closed():
    async with peer(says(whole(b"ok"))) as (found, transport):
        async with post(transport, found.url) as response:
            await read(response)
        found.script = says(close=True)
        error = await failure(found, transport)
    assert (error.code, error.retryable, found.connections) == ("connect", True, 1)


@pytest.mark.parametrize("cut", [HEAD + piece(b"a"), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
async def test_it_maps_an_answer_that_is_cut(cut):
    async with peer(says(cut, close=True)) as (found, transport):
        error = await failure(found, transport)
    assert (error.code, error.status, error.retryable) == ("incomplete", 200, False)


async def test_it_maps_what_is_not_http_and_what_is_not_tls():
    async with peer(says(b"SSH-2.0-OpenSSH\r\n\r\n", close=True)) as (found, transport):
        assert (await failure(found, transport)).code == "invalid_answer"
        found.url = found.url.replace("http:", "https:")
        error = await failure(found, transport)
    assert (error.code, error.retryable) == ("connect", False)


async def test_it_refuses_a_compressed_answer():
    async with peer(says(whole(b"\x1f\x8b", headers=b"Content-Encoding: gzip\r\n"))) as (found, transport):
        error = await failure(found, transport)
    assert isinstance(error, InvalidAnswer)


async def test_it_reads_an_error_without_telling_the_key():
    body = b'{"error": {"message": "Wrong key my-own-secret for <b>you</b>", "type": "x"}}'
    async with (
        peer(says(whole(body, "429 Slow", b"Retry-After: 7\r\n"))) as (found, transport),
        post(transport, found.url, headers={"Authorization": "Bearer my-own-secret"}) as response,
    ):
        error = await response.error()
    assert (error.code, error.status, error.retry_after, error.retryable) == ("rate_limited", 429, 7.0, True)
    assert error.message == "Wrong key [secret] for you"


async def test_it_reads_an_endless_error_body_only_so_far():
    async with (
        peer(says(b"HTTP/1.1 500 Oh\r\n\r\n" + b"x" * 300_000)) as (found, transport),
        post(transport, found.url) as response,
    ):
        error = await asyncio.wait_for(response.error(), 2)
    assert (error.status, len(error.message)) == (500, 200)


async def test_it_gets_json():
    async with peer(says(whole(b'{"a": [1]}'))) as (found, transport):
        assert await transport.get_json(found.url + "/models", {}, allow_private=True) == {"a": [1]}
        assert found.requests[0].startswith(b"GET /models ")
        with pytest.raises(InvalidAnswer):
            await transport.get_json(found.url, {}, max_bytes=5, allow_private=True)
        found.script = says(whole(b"<html>"))
        with pytest.raises(InvalidAnswer):
            await transport.get_json(found.url, {}, allow_private=True)
        found.script = says(whole(b"no", "401 No"))
        with pytest.raises(UpstreamError) as raised:
            await transport.get_json(found.url, {}, allow_private=True)
        assert raised.value.code == "unauthorized"


async def test_it_is_one_for_each_loop():
    assert module.current() is module.current()
    await module.close()
    assert asyncio.get_running_loop() not in module._transports


# --- where it goes -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "user:secret@8.8.8.8",
    ],
)
async def test_p32_a_row_leads_to_no_address_of_our_own(host):
    """Nothing listens there; what counts is that it is refused rather than tried."""
    transport = Transport()
    with pytest.raises(UpstreamError) as raised:
        async with transport.post(f"http://{host}:9/v1", {}, b"{}", first_byte_timeout=2):
            pass
    assert (raised.value.code, raised.value.retryable) == ("connect", False)
    assert "not allowed" in raised.value.message
    await transport.close()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://8.8.8.8/", "//8.8.8.8", "http://", "http://[", "http://8.8.8.8:99999/", ""]
)
def test_p32_only_http_addresses_are_asked(url):
    with pytest.raises(UpstreamError):
        checked_url(url, True)


@pytest.mark.parametrize(
    ("address", "private", "expected"),
    [
        ("8.8.8.8", False, True),
        ("2606:4700::1111", False, True),
        ("127.0.0.1", True, True),
        ("192.168.1.5", True, True),
        ("0.0.0.0", True, True),
        ("::1", True, True),
        ("169.254.169.254", True, False),
        ("fe80::1%eth0", True, False),
        ("::ffff:169.254.169.254", True, False),
        ("fd00:ec2::254", True, False),
        ("no address", True, False),
    ],
)
def test_p32_the_operators_word_opens_private_addresses_but_no_metadata(address, private, expected):
    assert allowed(address, private=private) is expected


class Names:
    """A resolver that counts, and answers differently each time."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host, port=0, family=0):
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            {
                "hostname": host,
                "host": one,
                "port": port,
                "family": 10 if ipaddress.ip_address(one).version == 6 else 2,
                "proto": 6,
                "flags": 4,
            }
            for one in addresses
        ]

    async def close(self):
        pass


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:10.0.0.1"]])
async def test_p32_a_name_with_one_private_address_is_refused(answer):
    with pytest.raises(OSError, match="not allowed"):
        await GuardedResolver(private=False, resolver=Names(answer)).resolve("evil.example", 80)


async def test_p32_a_name_is_resolved_once_and_its_checked_address_connected(monkeypatch):
    """The second answer of a rebinding name would lead home; the connection goes to the first, which was checked."""
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    tried = []

    async def connects(addr_infos, **_more):
        tried.extend(info[4][0] for info in addr_infos)
        raise OSError("nobody there")

    monkeypatch.setattr("llm.providers.guard.ThreadedResolver", lambda: names)
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", connects)
    transport = Transport()
    for _turn in range(2):
        with pytest.raises(UpstreamError):
            async with transport.post("http://rebind.example/v1", {}, b"{}"):
                pass
    await transport.close()
    assert (names.asked, set(tried)) == (1, {"8.8.8.8"})


async def test_p32_a_pooled_connection_of_the_operators_serves_no_row():
    async with peer(says(whole(b"ok"))) as (found, transport):
        url = found.url.replace("127.0.0.1", "localhost")
        async with post(transport, url) as response:
            assert await read(response) == b"ok"
        with pytest.raises(UpstreamError):
            async with transport.post(url, {}, b"{}"):
                pass
        assert len(found.requests) == 1


# --- what an error says --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (400, b"", "upstream_error", False),
        (400, b'{"error": {"message": "too long", "code": "context_length_exceeded"}}', "context_length", False),
        (
            400,
            b'{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"}}',
            "context_length",
            False,
        ),
        (400, b'{"error": {"code": "content_filter", "message": "no"}}', "content_filter", False),
        (401, b"context length", "unauthorized", False),
        (402, b"", "unauthorized", False),
        (403, b"", "unauthorized", False),
        (404, b"", "not_found", False),
        (408, b"", "timeout", False),
        (413, b"", "context_length", False),
        (429, b"context length", "rate_limited", True),
        (500, b"", "upstream_error", False),
        (500, b'{"error": "timed out waiting for a concurrent request slot"}', "rate_limited", True),
        (502, b"<html><title>Bad</title></html>", "upstream_error", True),
        (503, b'{"error":"Server overloaded, please retry shortly"}', "upstream_error", True),
        (504, b"", "timeout", True),
        (529, b"", "upstream_error", False),
        (302, b"", "upstream_error", False),
    ],
)
def test_it_classifies_a_status(status, body, code, retryable):
    error = classify(status, body)
    assert (error.code, error.status, error.retryable) == (code, status, retryable)
    assert error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<html><head><style>a{}</style></head><body><h1>502</h1>\n<script>x()</script>Bad &amp; gone</body></html>", "502 Bad & gone"),
        ("Incorrect API key provided: sk-proj-abc123DEF456.", "Incorrect API key provided: [secret]"),
        ("GET /v1?key=AIzaSyA1234567890abc failed", "GET /v1[secret] failed"),
        ("Authorization: Bearer abc.def failed", "Authorization: [secret] failed"),
        ("model claude-sonnet-4-5-20250929 is away", "model claude-sonnet-4-5-20250929 is away"),
        ("a\x00b\x1b[31m", "a b [31m"),
        ("<script>" * 5000, ""),
    ],
)
def test_it_cleans_what_providers_say(text, expected):
    assert clean(text) == expected


def test_it_cuts_long_words_and_named_secrets():
    assert len(clean("word " * 100)) == 200
    assert clean("the hunter2 key", ["hunter2", ""]) == "the [secret] key"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "9999999"}, 86400.0),
    ],
)
def test_it_reads_how_long_to_wait(headers, expected):
    assert retry_after(headers) == expected
