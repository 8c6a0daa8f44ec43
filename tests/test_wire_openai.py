"""OpenAI's wire: what goes out, what is read, what each speaker of the dialect does otherwise."""

import orjson
import pytest

from llm.providers.base import IncompleteAnswer, InvalidAnswer, UnsupportedRequest, UpstreamError
from llm.providers.openai import WIRE
from llm.types import ChatRequest, Delta, Finish, Image, Message, Text, Tool, ToolCall, ToolCallDelta, Usage


def sse(*payloads):
    return b"".join(b"data: " + (item if isinstance(item, bytes) else orjson.dumps(item)) + b"\n\n" for item in payloads)


def chunk(delta=None, finish=None, **more):
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


def text(*words):
    return [chunk({"content": word}) for word in words]


def events(data, quirks=None):
    parser = WIRE.parser(quirks or {})
    return parser.feed(data) + parser.close()


def body(chat, quirks=None, native_id="gpt"):
    return WIRE.outgoing(chat, native_id, quirks or {})[1]


def asking(**more):
    return ChatRequest((Message("user", "Hi"),), **more)


def test_it_sends_a_streamed_request_with_usage():
    chat = asking(temperature=0.5, max_tokens=9, top_p=0.9, seed=3, stop=("x",))
    path, sent = WIRE.outgoing(chat, "gpt")
    assert path == "/chat/completions"
    assert sent == {
        "model": "gpt",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "max_tokens": 9,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["x"],
    }


def test_it_sends_only_what_was_asked():
    assert set(body(asking())) == {"model", "messages", "stream", "stream_options"}


def test_it_sends_images_as_data_or_address():
    parts = (Text("look"), Image("image/png", "QUJD"), Image(url="https://example.org/a.png"))
    content = body(ChatRequest((Message("user", parts),)))["messages"][0]["content"]
    assert [part.get("image_url", {}).get("url") for part in content] == [None, "data:image/png;base64,QUJD", "https://example.org/a.png"]


def test_it_refuses_images_where_the_format_has_no_place_for_them():
    with pytest.raises(UnsupportedRequest) as refusal:
        body(ChatRequest((Message("assistant", (Image("image/png", "QUJD"),)),)))
    assert refusal.value.field == "messages"


def test_it_sends_tools_calls_and_results():
    chat = ChatRequest(
        (
            Message("user", "Weather?"),
            Message("assistant", tool_calls=(ToolCall("c1", "weather", '{"city":"Ulm"}'),)),
            Message("tool", "rain", tool_call_id="c1"),
        ),
        tools=(Tool("weather", "tells", {"type": "object"}), Tool("bare")),
        tool_choice="weather",
    )
    sent = body(chat)
    assert sent["messages"][1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}],
    }
    assert sent["messages"][2] == {"role": "tool", "content": "rain", "tool_call_id": "c1"}
    assert sent["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


@pytest.mark.parametrize("choice", ["none", "required"])
def test_it_sends_a_plain_tool_choice(choice):
    assert body(asking(tools=(Tool("t"),), tool_choice=choice))["tool_choice"] == choice


def test_it_asks_for_json_of_a_schema():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert body(asking(json_schema=schema))["response_format"]["json_schema"]["schema"] == schema
    plain = body(asking(json_schema=schema), {"json_schema": "json_object"})
    assert plain["response_format"] == {"type": "json_object"}
    assert '"integer"' in plain["messages"][0]["content"]


@pytest.mark.parametrize(
    ("quirks", "expected", "gone"),
    [
        ({"no_stream_options": True}, {}, "stream_options"),
        ({"max_tokens_field": "max_completion_tokens"}, {"max_completion_tokens": 9}, "max_tokens"),
        ({"rename": {"seed": "random_seed"}}, {"random_seed": 3}, "seed"),
        ({"drop": ["seed"]}, {}, "seed"),
        ({"extra": {"usage": {"include": True}}}, {"usage": {"include": True}}, "nothing"),
        ({"temperature_max": 1.0}, {"temperature": 1.0}, "nothing"),
        ({"fixed_sampling": ["gpt-5"]}, {"seed": 3}, "temperature"),
    ],
)
def test_it_follows_the_quirks(quirks, expected, gone):
    sent = body(asking(max_tokens=9, seed=3, temperature=1.5), quirks, "gpt-5-mini")
    assert {name: sent[name] for name in expected} == expected
    assert gone not in sent


def test_it_carries_the_key_where_the_provider_wants_it():
    assert WIRE.headers("k")["Authorization"] == "Bearer k"
    assert "Authorization" not in WIRE.headers("")
    assert WIRE.headers("k", {"auth_header": "api-key", "headers": {"X-Title": "TriForce"}}) == {
        "Content-Type": "application/json",
        "X-Title": "TriForce",
        "api-key": "k",
    }


def test_it_joins_the_text_of_one_read():
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    data = sse(*text("Hel", "lo"), chunk(finish="stop"), {"choices": [], "usage": usage}, b"[DONE]")
    assert events(data) == [Delta("Hello", chunks=2), Finish("stop", "m-1"), Usage(5, 2)]


def test_it_takes_usage_from_a_chunk_with_text():
    data = sse(chunk({"content": "a"}, usage={"prompt_tokens": 0, "completion_tokens": 0}), chunk(finish="stop"))
    assert events(data) == [Delta("a"), Usage(0, 0), Finish("stop", "m-1")]


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": 1, "completion_tokens": 100_000_001},
        {"prompt_tokens": 1.5, "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"prompt_tokens": "3", "completion_tokens": 2},
        {"prompt_tokens": 3},
        {"prompt_tokens": None, "completion_tokens": 1},
        {"total_tokens": 3},
        [1],
        "many",
    ],
)
def test_it_ignores_usage_that_cannot_be_true(usage):
    found = events(sse(chunk({"content": "a"}), chunk(finish="stop", usage=usage), b"[DONE]"))
    assert not any(isinstance(event, Usage) for event in found)


@pytest.mark.parametrize(
    ("usage", "quirks", "expected"),
    [
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 6},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            {},
            Usage(9, 4, cached_input=6, reasoning=3),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 2}, {}, Usage(9, 4, cached_input=2)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": None}, {}, Usage(9, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 20}, {"output_from_total": True}, Usage(9, 11)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 20}, {}, Usage(9, 4)),
    ],
)
def test_it_reads_the_parts_of_the_usage(usage, quirks, expected):
    assert expected in events(sse(*text("a"), chunk(finish="stop", usage=usage), b"[DONE]"), quirks)


def test_it_reads_groqs_usage():
    assert Usage(3, 1) in events(sse(chunk(finish="stop", x_groq={"usage": {"prompt_tokens": 3, "completion_tokens": 1}})))


def test_it_passes_on_only_the_last_of_running_totals():
    totals = [chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": count}) for count in (1, 2, 3)]
    assert events(sse(*totals, chunk(finish="stop"))) == [Delta("aaa", chunks=3), Usage(3, 3), Finish("stop", "m-1")]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_it_reads_reasoning(name):
    data = sse(chunk({name: "hm"}), chunk({name: "m"}), *text("So"), chunk(finish="stop"))
    assert events(data)[:2] == [Delta(reasoning="hmm", chunks=2), Delta("So")]


def test_it_reads_content_in_parts_and_leaves_think_tags_alone():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "<think>So"}]
    assert events(sse(chunk({"content": parts}), chunk(finish="stop")))[:2] == [Delta(reasoning="hm"), Delta("<think>So")]


def call(index, **function):
    call_id = function.pop("id", None)
    piece = {"function": function, **({"id": call_id} if call_id else {})}
    return chunk({"tool_calls": [piece if index is None else {**piece, "index": index}]})


def calls(*chunks):
    """The calls as an accumulator sees them: {index: [id, name, arguments]}."""
    found = {}
    for event in events(sse(*chunks, chunk(finish="stop"))):
        for piece in event.tool_calls if isinstance(event, Delta) else ():
            entry = found.setdefault(piece.index, ["", "", ""])
            entry[0] += piece.id
            entry[1] += piece.name
            entry[2] += piece.arguments
    return found


def test_it_reads_parallel_tool_calls_in_pieces():
    assert calls(
        call(0, id="a", name="one", arguments=""),
        call(0, arguments='{"x"'),
        call(0, arguments=":1}"),
        call(1, id="b", name="two", arguments="{}"),
    ) == {0: ["a", "one", '{"x":1}'], 1: ["b", "two", "{}"]}


def test_it_numbers_calls_from_zero():
    assert calls(call(1, id="a", name="one", arguments="{"), call(1, arguments="}")) == {0: ["a", "one", "{}"]}


def test_it_tells_calls_apart_that_share_an_index():
    assert calls(call(0, id="a", name="one", arguments="{}"), call(0, id="b", name="two", arguments="{}")) == {
        0: ["a", "one", "{}"],
        1: ["b", "two", "{}"],
    }


def test_it_bears_missing_indexes_and_repeated_ids():
    assert calls(call(None, id="a", name="one", arguments='{"x'), call(None, arguments='":1'), call(None, id="a", arguments="}")) == {
        0: ["a", "one", '{"x":1}']
    }


def test_it_makes_up_missing_ids_and_fills_empty_arguments():
    found = calls(call(0, name="one"), call(1, name="two", arguments={"a": 1}))
    assert [entry[1:] for entry in found.values()] == [["one", "{}"], ["two", '{"a":1}']]
    ids = {entry[0] for entry in found.values()}
    assert len(ids) == 2 and all(one.startswith("call_") for one in ids)


def test_it_ends_with_tool_calls_where_the_provider_says_stop():
    found = events(sse(call(0, id="a", name="one", arguments="{}"), chunk(finish="stop")))
    assert found == [Delta(tool_calls=(ToolCallDelta(0, "a", "one", "{}"),)), Finish("tool_calls", "m-1")]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("eos", "stop"),
        (7, "stop"),
    ],
)
def test_it_knows_the_reasons(said, reason):
    assert events(sse(*text("a"), chunk(finish=said)))[-1] == Finish(reason, "m-1")


def test_it_ends_with_done_alone_or_with_a_reason_alone():
    assert isinstance(events(sse(*text("a"), b"[DONE]"))[-1], Finish)
    assert isinstance(events(sse(*text("a"), chunk(finish="stop")))[-1], Finish)
    assert isinstance(events(sse(*text("a")) + b"data: [DONE]")[-1], Finish)


@pytest.mark.parametrize("tail", [b"", b'data: {"choices": [{"del', b": keep-alive\n\n"])
def test_it_calls_a_stream_without_its_end_incomplete(tail):
    parser = WIRE.parser()
    assert parser.feed(sse(*text("a")) + tail) == [Delta("a")]
    with pytest.raises(IncompleteAnswer):
        parser.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<!DOCTYPE html><html>\n<body>Bad gateway</body></html>",
        b"{}",
        b'{"choices": []}\n',
        b"\x00\xff\xfe garbage\n\n",
        b"data: nonsense\n\n",
        b"data: 7\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        b": only comments\n\n",
    ],
)
def test_it_calls_what_is_no_answer_invalid(data):
    with pytest.raises(InvalidAnswer):
        events(data)


def test_it_refuses_an_event_over_4_mib():
    parser = WIRE.parser()
    parser.feed(sse(*text("a")))
    with pytest.raises(InvalidAnswer):
        for _piece in range(5):
            parser.feed(b"data: " + b"x" * 1024 * 1024)


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        ({"message": "Overloaded", "code": 502}, "upstream_error", True),
        ({"message": "slow down", "type": "rate_limit_exceeded"}, "rate_limited", True),
        ({"message": "It is long", "code": "context_length_exceeded", "type": "invalid_request_error"}, "context_length", False),
        ("timed out waiting for a concurrent request slot", "rate_limited", True),
        ({"odd": 1}, "upstream_error", False),
    ],
)
def test_it_raises_errors_inside_the_stream_after_the_text_before_them(error, code, retryable):
    parser = WIRE.parser()
    assert parser.feed(sse(*text("a"), {"error": error})) == [Delta("a")]
    with pytest.raises(UpstreamError) as raised:
        parser.close()
    assert (raised.value.code, raised.value.retryable) == (code, retryable)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_it_reads_an_error_that_came_as_plain_json(end):
    with pytest.raises(UpstreamError) as raised:
        events(b'{"error": {"message": "no such account", "type": "authentication_error"}}' + end)
    assert raised.value.code == "unauthorized"


def test_it_raises_a_failure_told_as_finish_reason():
    with pytest.raises(UpstreamError):
        events(sse(chunk(finish="error")))


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_it_reads_every_kind_of_line_end_however_it_is_cut(newline):
    data = b": hello\n\nevent: x\ndata:" + orjson.dumps(text("äö")[0]) + b"\n\n" + sse(chunk(finish="stop"), b"[DONE]")
    data = data.replace(b"\n", newline)
    parser = WIRE.parser()
    found = [event for number in range(len(data)) for event in parser.feed(data[number : number + 1])]
    assert [*found, *parser.close()] == [Delta("äö"), Finish("stop", "m-1")]


def test_it_reads_an_event_whose_data_has_several_lines():
    assert events(b'data: {"choices": [{"delta":\ndata: {"content": "a"}}]}\n\n' + sse(b"[DONE]"))[0] == Delta("a")


def test_it_lists_models_of_many_kinds():
    rows = [
        {"id": "gpt-5", "object": "model", "created": 1700000000},
        {
            "id": "vendor/model:free",
            "name": "Vendor: Model",
            "context_length": 128000,
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            "supported_parameters": ["tools", "reasoning", "structured_outputs", "seed"],
            "top_provider": {"max_completion_tokens": 8192},
        },
        {
            "id": "mistral-small",
            "max_context_length": 32768,
            "capabilities": {"completion_chat": True, "function_calling": True, "vision": False},
        },
        {"id": "whisper", "context_window": 448, "active": True},
        {"id": "gone", "active": False},
        {"id": "models/gemini-2.5-pro", "display_name": "Gemini 2.5 Pro"},
        {"no": "id"},
        "odd",
    ]
    models, page = WIRE.parse_models({"object": "list", "data": rows})
    assert page is None
    assert [(m.native_id, m.name, m.context_window, m.max_output, m.capabilities, m.created) for m in models] == [
        ("gpt-5", "", None, None, None, 1700000000),
        ("vendor/model:free", "Vendor: Model", 128000, 8192, ("chat", "json", "reasoning", "tools", "vision"), None),
        ("mistral-small", "", 32768, None, ("chat", "tools"), None),
        ("whisper", "", 448, None, None, None),
        ("gemini-2.5-pro", "Gemini 2.5 Pro", None, None, None, None),
    ]


def test_it_lists_togethers_bare_list_and_geminis_own_pages():
    bare, _ = WIRE.parse_models([{"id": "meta/llama", "type": "chat", "context_length": 8192, "display_name": "Llama"}])
    assert (bare[0].name, bare[0].capabilities) == ("Llama", ("chat",))
    row = {
        "name": "models/gemini-2.5-pro",
        "displayName": "Gemini",
        "inputTokenLimit": 1048576,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "thinking": True,
    }
    models, page = WIRE.parse_models({"models": [row], "nextPageToken": "a b"})
    assert page == "pageToken=a+b"
    assert (models[0].native_id, models[0].max_output, models[0].capabilities) == ("gemini-2.5-pro", 65536, ("chat", "reasoning"))


@pytest.mark.parametrize("payload", [None, {}, {"data": 7}, "x", {"data": None}])
def test_it_refuses_a_list_that_is_none(payload):
    with pytest.raises(InvalidAnswer):
        WIRE.parse_models(payload)
