"""Anthropic's wire: what goes out, what is read."""

import orjson
import pytest

from llm.providers.anthropic import WIRE
from llm.providers.base import IncompleteAnswer, InvalidAnswer, UnsupportedRequest, UpstreamError
from llm.types import ChatRequest, Delta, Finish, Image, Message, Text, Tool, ToolCall, Usage


def sse(*payloads):
    return b"".join(b"event: " + item["type"].encode() + b"\ndata: " + orjson.dumps(item) + b"\n\n" for item in payloads)


def start(**usage):
    return {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 5, "output_tokens": 1, **usage}}}


def block(index, **content):
    return {"type": "content_block_start", "index": index, "content_block": content}


def delta(index, kind, **content):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **content}}


def text(*words):
    return [
        block(0, type="text", text=""),
        *(delta(0, "text_delta", text=word) for word in words),
        {"type": "content_block_stop", "index": 0},
    ]


def stop(reason="end_turn", **usage):
    usage = {"output_tokens": 7, **usage}
    return [{"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}, {"type": "message_stop"}]


def events(data):
    parser = WIRE.parser()
    return parser.feed(data) + parser.close()


def body(chat, quirks=None, native_id="claude"):
    return WIRE.outgoing(chat, native_id, quirks or {})[1]


def asking(**more):
    return ChatRequest((Message("user", "Hi"),), **more)


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def test_it_sends_a_streamed_request():
    messages = (Message("system", "Be short."), Message("user", "Hi"), Message("system", "Be kind."))
    chat = ChatRequest(messages, temperature=1.7, top_p=0.9, max_tokens=9, seed=3, stop=("x", "\n"))
    path, sent = WIRE.outgoing(chat, "claude")
    assert path == "/v1/messages"
    assert sent == {
        "model": "claude",
        "max_tokens": 9,
        "messages": [user({"type": "text", "text": "Hi"})],
        "stream": True,
        "temperature": 1.0,
        "system": "Be short.\n\nBe kind.",
        "stop_sequences": ["x"],
    }


def test_it_always_sends_a_maximum():
    assert body(asking())["max_tokens"] == 4096
    assert body(asking(top_p=0.5))["top_p"] == 0.5


def test_it_follows_the_quirks():
    sent = body(asking(temperature=0.5), {"fixed_sampling": ["claude-opus-4-7"]}, "claude-opus-4-7-x")
    assert "temperature" not in sent


def test_it_asks_for_json_of_a_schema():
    assert body(asking(json_schema={"type": "object"}))["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }


def test_it_sends_images_as_data_or_address():
    parts = (Text("look"), Image("image/png", "QUJD"), Image(url="https://example.org/a.png"))
    assert body(ChatRequest((Message("user", parts),)))["messages"][0]["content"][1:] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
    ]
    with pytest.raises(UnsupportedRequest):
        body(ChatRequest((Message("assistant", parts),)))


def test_it_puts_the_results_of_a_turn_into_one_message_and_leaves_empty_text_out():
    chat = ChatRequest(
        (
            Message("user", "Weather?"),
            Message("assistant", " ", tool_calls=(ToolCall("a", "one", '{"x":1}'), ToolCall("b", "two", ""))),
            Message("tool", "rain", tool_call_id="a"),
            Message("tool", "", tool_call_id="b"),
            Message("user", "And?"),
            Message("assistant", ""),
        ),
        tools=(Tool("one", "does", {"type": "object"}), Tool("two")),
    )
    sent = body(chat)
    assert sent["messages"][1]["content"] == [
        {"type": "tool_use", "id": "a", "name": "one", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "two", "input": {}},
    ]
    assert sent["messages"][2] == user(
        {"type": "tool_result", "tool_use_id": "a", "content": "rain"},
        {"type": "tool_result", "tool_use_id": "b", "content": ""},
        {"type": "text", "text": "And?"},
    )
    assert len(sent["messages"]) == 3
    assert [tool["input_schema"] for tool in sent["tools"]] == [{"type": "object"}, {"type": "object"}]


@pytest.mark.parametrize(
    ("choice", "sent"), [("auto", None), ("none", {"type": "none"}), ("required", {"type": "any"}), ("t", {"type": "tool", "name": "t"})]
)
def test_it_sends_the_tool_choice(choice, sent):
    assert body(asking(tools=(Tool("t"),), tool_choice=choice)).get("tool_choice") == sent


def test_it_carries_the_key_and_the_version():
    assert WIRE.headers("k") == {"anthropic-version": "2023-06-01", "Content-Type": "application/json", "x-api-key": "k"}


def test_it_reads_thinking_text_and_usage():
    data = sse(
        start(),
        {"type": "ping"},
        block(0, type="thinking", thinking=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="xyz"),
        *text("Hel", "lo"),
        *stop(),
    )
    assert events(data) == [Delta(reasoning="hm"), Delta("Hello", chunks=2), Usage(5, 7), Finish("stop", "claude")]


def test_it_adds_what_the_cache_gave_and_took_to_the_input():
    data = sse(start(cache_read_input_tokens=100, cache_creation_input_tokens=20), *text("a"), *stop(cache_read_input_tokens=None))
    assert Usage(125, 7, cached_input=100, cache_write=20) in events(data)


def test_it_takes_zero_as_a_number_and_ignores_what_cannot_be():
    assert Usage(0, 0) in events(sse(start(input_tokens=0), *stop(output_tokens=0)))
    for usage in ({"input_tokens": -1}, {"input_tokens": 10**12}, {"input_tokens": "5"}):
        assert not any(isinstance(event, Usage) for event in events(sse(start(**usage), *text("a"), *stop())))


def test_it_does_not_report_half_a_usage_before_the_end():
    parser = WIRE.parser()
    assert parser.feed(sse(start(), *text("a"))) == [Delta("a")]


def test_it_reads_parallel_tool_calls_in_pieces():
    data = sse(
        start(),
        *text("Let me see"),
        block(1, type="tool_use", id="a", name="one", input={}),
        delta(1, "input_json_delta", partial_json=""),
        delta(1, "input_json_delta", partial_json='{"x"'),
        delta(1, "input_json_delta", partial_json=":1}"),
        block(2, type="tool_use", id="b", name="two", input={}),
        *stop("tool_use"),
    )
    found = {}
    all_events = events(data)
    for event in all_events:
        for piece in event.tool_calls if isinstance(event, Delta) else ():
            entry = found.setdefault(piece.index, ["", "", ""])
            entry[:] = [entry[0] + piece.id, entry[1] + piece.name, entry[2] + piece.arguments]
    assert found == {0: ["a", "one", '{"x":1}'], 1: ["b", "two", "{}"]}
    assert all_events[-1] == Finish("tool_calls", "claude")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        (None, "stop"),
    ],
)
def test_it_knows_the_reasons(said, reason):
    assert events(sse(start(), *text("a"), *stop(said)))[-1] == Finish(reason, "claude")


def test_it_calls_a_stream_without_message_stop_incomplete():
    for cut in (sse(start(), *text("a")), sse(start(), *text("a"), stop()[0])):
        parser = WIRE.parser()
        parser.feed(cut)
        with pytest.raises(IncompleteAnswer):
            parser.close()


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"data: {}\n\n", b"data: [1]\n\n", b'data: {"type": "content_block_delta", "delta": 1}\n\n']
)
def test_it_calls_what_is_no_answer_invalid(data):
    with pytest.raises(InvalidAnswer):
        events(data)


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("overloaded_error", "upstream_error", 529),
        ("rate_limit_error", "rate_limited", 429),
        ("authentication_error", "unauthorized", 401),
        ("new_error", "upstream_error", 200),
    ],
)
def test_it_raises_errors_inside_the_stream_after_the_text_before_them(kind, code, status):
    parser = WIRE.parser()
    data = sse(start(), *text("a"), {"type": "error", "error": {"type": kind, "message": "Oh"}})
    assert parser.feed(data) == [Delta("a")]
    with pytest.raises(UpstreamError) as raised:
        parser.close()
    assert (raised.value.code, raised.value.status, raised.value.message) == (code, status, "Oh")


def test_it_lists_models_in_pages():
    rows = [
        {
            "id": "claude-sonnet",
            "display_name": "Claude Sonnet",
            "created_at": "2025-09-29T00:00:00Z",
            "max_input_tokens": 200000,
            "max_tokens": 64000,
            "capabilities": {
                "image_input": {"supported": True},
                "thinking": {"supported": False},
                "structured_outputs": {"supported": True},
            },
        },
        {"id": "claude-old", "lifecycle": "retired"},
        {"id": "claude-plain", "created_at": "never"},
    ]
    models, page = WIRE.parse_models({"data": rows, "has_more": True, "last_id": "claude-plain"})
    assert page == "after_id=claude-plain"
    assert [(m.native_id, m.context_window, m.max_output, m.capabilities, m.created) for m in models] == [
        ("claude-sonnet", 200000, 64000, ("chat", "json", "tools", "vision"), 1759104000),
        ("claude-plain", None, None, None, None),
    ]
    assert WIRE.parse_models({"data": [], "has_more": False})[1] is None
    with pytest.raises(InvalidAnswer):
        WIRE.parse_models([])
