"""A fake provider that costs as little as Python can: precomputed answers in OpenAI's and Ollama's wire formats.

The model's name says what it answers: `bench-100-10` is 100 tokens, one every 10 ms. Run as `python -m bench.upstream`; it prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from functools import lru_cache

import orjson
import uvloop

WORD = "zeta "  # one token; it occurs in nothing else that a gateway sends
MODELS = ("bench-20-0", "bench-100-0", "bench-100-10", "bench-1000-10", "bench-100-50")
CREATED = 1_750_000_000


class Counters:
    """What GET /stats tells: chunks sent, requests begun, streams open now, streams whose client left."""

    def __init__(self) -> None:
        self.chunks = self.requests = self.open = self.left = 0


def head(content_type: str, length: int | None) -> bytes:
    size = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b\r\n\r\n" % (content_type.encode(), size)


def plain(payload: object) -> bytes:
    body = orjson.dumps(payload)
    return head("application/json", len(body)) + body


def framed(event: bytes) -> bytes:
    """One chunk of HTTP's chunked encoding."""
    return b"%x\r\n%b\r\n" % (len(event), event)


def usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 12, "completion_tokens": tokens, "total_tokens": tokens + 12}


@lru_cache
def openai_plain(model: str, tokens: int) -> bytes:
    message = {"role": "assistant", "content": WORD * tokens}
    return plain(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": CREATED,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage(tokens),
        }
    )


@lru_cache
def openai_stream(model: str, tokens: int) -> tuple[bytes, bytes, bytes]:
    """What goes out at the start, for each token, and at the end."""
    base = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": CREATED, "model": model}

    def event(delta: dict[str, str], reason: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return framed(b"data: " + orjson.dumps({**base, "choices": choices}) + b"\n\n")

    counted = framed(b"data: " + orjson.dumps({**base, "choices": [], "usage": usage(tokens)}) + b"\n\n")
    begin = head("text/event-stream", None) + event({"role": "assistant", "content": ""})
    return begin, event({"content": WORD}), event({}, "stop") + counted + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


@lru_cache
def ollama_stream(model: str, tokens: int) -> tuple[bytes, bytes, bytes]:
    base = {"model": model, "created_at": "2026-01-01T00:00:00Z"}

    def line(text: str, **rest: object) -> bytes:
        message = {"role": "assistant", "content": text}
        return framed(orjson.dumps({**base, "message": message, "done": False, **rest}) + b"\n")

    last = line("", done=True, done_reason="stop", prompt_eval_count=12, eval_count=tokens)
    return head("application/x-ndjson", None), line(WORD), last + b"0\r\n\r\n"


@lru_cache
def ollama_plain(model: str, tokens: int) -> bytes:
    message = {"role": "assistant", "content": WORD * tokens}
    counts = {"prompt_eval_count": 12, "eval_count": tokens}
    return plain({"model": model, "message": message, "done": True, "done_reason": "stop", **counts})


@lru_cache
def whole(parts: Callable[[str, int], tuple[bytes, bytes, bytes]], model: str, tokens: int) -> bytes:
    begin, token, end = parts(model, tokens)
    return begin + token * tokens + end


class Upstream(asyncio.Protocol):
    """One connection: requests one after another, bodies with a Content-Length."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.loop = asyncio.get_running_loop()
        self.buffer = b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        if self.timer:
            self.timer.cancel()
            self.counters.open -= 1
            self.counters.left += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            lines = self.buffer[:end].lower()
            place = lines.find(b"content-length:")
            length = int(lines[place + 15 :].partition(b"\r\n")[0]) if place >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            path = self.buffer.split(b" ", 2)[1]
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.request(path, body)

    def request(self, path: bytes, body: bytes) -> None:
        if not body:
            return self.transport.write(self.look(path))
        asked = orjson.loads(body)
        model = asked["model"]
        _, tokens, delay = model.split("-")
        ollama = path.endswith(b"/api/chat")
        self.counters.requests += 1
        if not asked.get("stream", ollama):
            return self.transport.write((ollama_plain if ollama else openai_plain)(model, int(tokens)))
        self.stream(ollama_stream if ollama else openai_stream, model, int(tokens), int(delay) / 1000)

    def look(self, path: bytes) -> bytes:
        if path == b"/stats":
            return plain(vars(self.counters))
        if path == b"/api/tags":
            return plain({"models": [{"name": name, "model": name} for name in MODELS]})
        return plain({"object": "list", "data": [{"id": name, "object": "model", "created": CREATED} for name in MODELS]})

    def stream(self, parts: Callable[[str, int], tuple[bytes, bytes, bytes]], model: str, tokens: int, delay: float) -> None:
        if not delay:
            self.counters.chunks += tokens
            return self.transport.write(whole(parts, model, tokens))
        begin, token, end = parts(model, tokens)
        start, sent = self.loop.time(), 0
        self.counters.open += 1

        def tick() -> None:
            nonlocal sent
            sent += 1
            self.counters.chunks += 1
            if sent < tokens:
                self.transport.write(begin + token if sent == 1 else token)
                self.timer = self.loop.call_at(start + sent * delay, tick)
            else:
                self.timer = None
                self.counters.open -= 1
                self.transport.write(token + end)

        tick()


async def serve(port: int) -> None:
    counters = Counters()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(counters), "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(serve(parser.parse_args().port))
