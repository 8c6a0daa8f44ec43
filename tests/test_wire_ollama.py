"""Ollama's wire: what goes out, what is read."""

import orjson
import pytest

from llm.providers.base import IncompleteAnswer, InvalidAnswer, UnsupportedRequest, UpstreamError
from llm.providers.ollama import WIRE
from llm.types import ChatRequest, Delta, Finish, Image, Message, Text, Tool, ToolCall, Usage


def lines(*payloads):
    return b"".join(orjson.dumps(payload) + b"\n" for payload in payloads)


def say(**message):
    return {"model": "m", "message": {"role": "assistant", **message}, "done": False}


def done(**more):
    return {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **more}


def events(data):
    parser = WIRE.parser()
    return parser.feed(data) + parser.close()


def body(chat, quirks=None):
    return WIRE.outgoing(chat, "m:cloud", quirks or {})[1]


def asking(**more):
    return ChatRequest((Message("user", "Hi"),), **more)


def test_it_sends_a_streamed_request_with_options():
    chat = asking(temperature=0.5, max_tokens=9, top_p=0.9, seed=3, stop=("x",), json_schema={"type": "object"})
    path, sent = WIRE.outgoing(chat, "m:cloud")
    assert path == "/api/chat"
    assert sent == {
        "model": "m:cloud",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "options": {"temperature": 0.5, "top_p": 0.9, "seed": 3, "num_predict": 9, "stop": ["x"]},
        "format": {"type": "object"},
    }
    assert set(body(asking())) == {"model", "messages", "stream"}


def test_it_follows_the_quirks():
    sent = body(asking(), {"options": {"num_ctx": 32768}, "extra": {"keep_alive": "10m"}})
    assert (sent["options"], sent["keep_alive"]) == ({"num_ctx": 32768}, "10m")


def test_it_sends_images_as_data_and_refuses_addresses():
    chat = ChatRequest((Message("user", (Text("look"), Image("image/png", "QUJD"))),))
    assert body(chat)["messages"] == [{"role": "user", "content": "look", "images": ["QUJD"]}]
    with pytest.raises(UnsupportedRequest) as refusal:
        body(ChatRequest((Message("user", (Image(url="https://example.org/a.png"),)),)))
    assert refusal.value.field == "messages"


def test_it_sends_tools_calls_and_results():
    chat = ChatRequest(
        (
            Message("assistant", tool_calls=(ToolCall("c1", "weather", '{"city":"Ulm"}'), ToolCall("c2", "odd", "not json"))),
            Message("tool", "rain", tool_call_id="c1"),
        ),
        tools=(Tool("weather"),),
    )
    sent = body(chat)
    assert [call["function"] for call in sent["messages"][0]["tool_calls"]] == [
        {"name": "weather", "arguments": {"city": "Ulm"}},
        {"name": "odd", "arguments": {"arguments": "not json"}},
    ]
    assert sent["messages"][1] == {"role": "tool", "content": "rain", "tool_call_id": "c1", "tool_name": "weather"}
    assert sent["tools"][0]["function"]["name"] == "weather"


def test_it_leaves_tools_out_or_says_that_it_cannot_force_them():
    assert "tools" not in body(asking(tools=(Tool("t"),), tool_choice="none"))
    for choice in ("required", "t"):
        with pytest.raises(UnsupportedRequest) as refusal:
            body(asking(tools=(Tool("t"),), tool_choice=choice))
        assert refusal.value.field == "tool_choice"


def test_it_reads_thinking_text_and_usage():
    data = lines(say(thinking="h"), say(thinking="m"), say(content="a"), say(content="b"), done(prompt_eval_count=5, eval_count=0))
    assert events(data) == [Delta(reasoning="hm", chunks=2), Delta("ab", chunks=2), Usage(5, 0), Finish("stop", "m")]


def test_it_reports_no_usage_where_a_half_is_missing():
    assert events(lines(say(content="a"), done(eval_count=3))) == [Delta("a"), Finish("stop", "m")]
    assert events(lines(done(prompt_eval_count=-1, eval_count=3))) == [Finish("stop", "m")]


def test_it_reads_tool_calls():
    calls = [{"function": {"name": "one", "arguments": {"a": 1}}}, {"id": "x", "function": {"name": "two", "arguments": {}}}]
    *deltas, finish = events(lines(say(content="", tool_calls=calls), done()))
    pieces = [piece for delta in deltas for piece in delta.tool_calls]
    assert [(piece.index, piece.name, piece.arguments) for piece in pieces] == [(0, "one", '{"a":1}'), (1, "two", "{}")]
    assert pieces[0].id.startswith("call_") and pieces[1].id == "x"
    assert finish.reason == "tool_calls"


@pytest.mark.parametrize(("said", "reason"), [("stop", "stop"), ("length", "length"), ("load", "stop"), (None, "stop")])
def test_it_knows_the_reasons(said, reason):
    assert events(lines(say(content="a"), done(done_reason=said)))[-1].reason == reason


def test_it_needs_its_last_line_but_not_its_line_end():
    assert events(lines(say(content="a"), done())[:-1])[-1] == Finish("stop", "m")
    for cut in (lines(say(content="a")), lines(say(content="a"), done())[:-9]):
        parser = WIRE.parser()
        assert parser.feed(cut) == [Delta("a")]
        with pytest.raises(IncompleteAnswer):
            parser.close()


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"<html></html>", b"{}\n", b"[1]\n", b'{"message": 7}\n', b'{"message": {"content": 1}}\n', b"\xff\n"]
)
def test_it_calls_what_is_no_answer_invalid(data):
    with pytest.raises(InvalidAnswer):
        events(data)


@pytest.mark.parametrize(
    ("error", "code"),
    [("timed out waiting for a concurrent request slot", "rate_limited"), ("model runner has unexpectedly stopped", "upstream_error")],
)
def test_it_raises_errors_inside_the_stream(error, code):
    parser = WIRE.parser()
    assert parser.feed(lines(say(content="a"), {"error": error})) == [Delta("a")]
    with pytest.raises(UpstreamError) as raised:
        parser.close()
    assert raised.value.code == code


def test_it_lists_models():
    rows = [
        {"name": "gpt-oss:20b-cloud", "model": "gpt-oss:20b-cloud", "details": {"family": "gptoss"}},
        {
            "name": "qwen3-vl",
            "capabilities": ["completion", "vision", "tools", "thinking", "insert"],
            "details": {"context_length": 262144},
        },
        {"size": 1},
    ]
    models, page = WIRE.parse_models({"models": rows})
    assert page is None
    assert [(m.native_id, m.context_window, m.capabilities) for m in models] == [
        ("gpt-oss:20b-cloud", None, None),
        ("qwen3-vl", 262144, ("chat", "reasoning", "tools", "vision")),
    ]
    with pytest.raises(InvalidAnswer):
        WIRE.parse_models({"models": None})
