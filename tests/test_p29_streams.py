"""P29: however the network cuts a stream, the same is read; whatever comes, only typed errors are raised."""

import itertools

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.providers import anthropic, ollama, openai
from llm.providers.base import UpstreamError
from llm.types import Delta, Finish, Usage

WIRES = {"openai": openai.WIRE, "ollama": ollama.WIRE, "anthropic": anthropic.WIRE}

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
numbers = st.integers(-2, 200_000_000)
pieces = st.lists(st.tuples(st.sampled_from(["text", "thought", "call", "args"]), words), max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "choices delta content tool_calls function arguments finish_reason usage error message done thinking type index content_block "
    "prompt_tokens completion_tokens input_tokens prompt_eval_count eval_count text partial_json x_groq code model id name"
).split()
KINDS = "content_block_delta content_block_start message_start message_delta message_stop error text_delta tool_use stop".split()


def mangled():
    """Objects that look like the providers', with anything anywhere."""
    leaves = json_values | st.sampled_from(KINDS)
    return st.recursive(
        leaves, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=5) | st.lists(inner, max_size=2), max_leaves=12
    )


def openai_stream(parts, usage, ending):
    def chunk(delta, finish=None):
        return {"model": "m", "choices": [{"delta": delta, "finish_reason": finish}]}

    kinds = {
        "text": lambda word: {"content": word},
        "thought": lambda word: {"reasoning_content": word},
        "call": lambda word: {"tool_calls": [{"index": 0, "id": word, "function": {"name": "f", "arguments": word}}]},
        "args": lambda word: {"tool_calls": [{"function": {"arguments": word}}]},
    }
    payloads = [chunk(kinds[kind](word)) for kind, word in parts]
    if ending:
        payloads += [chunk({}, "stop"), {"choices": [], "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}]
    body = b"".join(b": wait\n\ndata: " + orjson.dumps(payload) + b"\n\n" for payload in payloads)
    return body + (b"data: [DONE]\n\n" if ending else b"")


def ollama_stream(parts, usage, ending):
    kinds = {
        "text": lambda word: {"content": word},
        "thought": lambda word: {"thinking": word},
        "call": lambda word: {"tool_calls": [{"id": word, "function": {"name": "f", "arguments": {word: 1}}}]},
        "args": lambda word: {"tool_calls": [{"function": {"name": word}}]},
    }
    payloads = [{"message": kinds[kind](word), "done": False} for kind, word in parts]
    if ending:
        payloads.append({"model": "m", "done": True, "prompt_eval_count": usage[0], "eval_count": usage[1]})
    return b"".join(orjson.dumps(payload) + b"\n" for payload in payloads)


def anthropic_stream(parts, usage, ending):
    def delta(kind, name):
        return lambda word: {"type": "content_block_delta", "index": 1, "delta": {"type": kind, name: word}}

    kinds = {
        "text": delta("text_delta", "text"),
        "thought": delta("thinking_delta", "thinking"),
        "args": delta("input_json_delta", "partial_json"),
        "call": lambda word: {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": word, "name": "f", "input": {}},
        },
    }
    payloads = [{"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": usage[0]}}}]
    payloads += [kinds[kind](word) for kind, word in parts]
    if ending:
        payloads += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": usage[1]}}]
        payloads += [{"type": "message_stop"}]
    return b"".join(b"event: " + p["type"].encode() + b"\ndata: " + orjson.dumps(p) + b"\n\n" for p in payloads)


STREAMS = {"openai": openai_stream, "ollama": ollama_stream, "anthropic": anthropic_stream}


def outcome(wire, parts):
    """What a reader has in the end: texts, calls, pieces, last usage, finish, error. Made-up ids look alike."""
    parser = WIRES[wire].parser()
    events, error = [], None
    try:
        for part in parts:
            events += parser.feed(part)
        events += parser.close()
    except UpstreamError as raised:
        error = (type(raised), raised.code, raised.status, raised.message, raised.retryable)
    flow, calls, usage, finish, chunks = [], [], None, None, 0
    for event in events:
        if isinstance(event, Usage):
            usage = event
        elif isinstance(event, Finish):
            assert finish is None, "finished twice"
            finish = event
        else:
            assert isinstance(event, Delta) and event.chunks >= 1 and (event.text or event.reasoning or event.tool_calls)
            chunks += event.chunks
            for kind, text in (("thought", event.reasoning), ("text", event.text)):
                if text and flow and flow[-1][0] == kind:
                    flow[-1] = (kind, flow[-1][1] + text)
                elif text:
                    flow.append((kind, text))
            for call in event.tool_calls:
                made_up = call.id.startswith("call_")
                calls.append((call.index, "made up" if made_up else call.id, call.name, call.arguments))
                flow.append(("call", len(calls)))
    return flow, calls, usage, finish, chunks, error


def cut(data, places):
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(marks)]


places = st.lists(st.integers(0, 100_000), max_size=12)
newlines = st.sampled_from([b"\n", b"\r\n", b"\r"])


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=150, deadline=None)
@given(parts=pieces, usage=st.tuples(numbers, numbers), ending=st.booleans(), torn=st.integers(0, 30), newline=newlines, places=places)
def test_p29_a_stream_reads_the_same_however_it_is_cut(wire, parts, usage, ending, torn, newline, places):
    data = STREAMS[wire](parts, usage, ending)
    data = data[: len(data) - torn] if torn > 15 else data
    if wire != "ollama":
        data = data.replace(b"\n", newline)
    expected = outcome(wire, [data])
    assert outcome(wire, cut(data, places)) == expected
    assert outcome(wire, [data[i : i + 1] for i in range(len(data))]) == expected


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200), places=places)
def test_p29_random_bytes_give_only_typed_errors(wire, data, places):
    assert outcome(wire, [data]) == outcome(wire, cut(data, places))


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=300, deadline=None)
@given(payloads=st.lists(mangled(), min_size=1, max_size=4), places=places)
def test_p29_random_objects_give_only_typed_errors(wire, payloads, places):
    frame = (lambda raw: raw + b"\n") if wire == "ollama" else (lambda raw: b"data: " + raw + b"\n\n")
    data = b"".join(frame(orjson.dumps(payload)) for payload in payloads)
    assert outcome(wire, [data]) == outcome(wire, cut(data, places))


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=150, deadline=None)
@given(payload=mangled())
def test_p29_random_lists_of_models_give_only_typed_errors(wire, payload):
    for listed in (payload, {"data": [payload]}, {"models": [payload]}, [payload]):
        try:
            models, page = WIRES[wire].parse_models(listed)
        except UpstreamError:
            continue
        assert all(model.native_id for model in models) and (page is None or isinstance(page, str))
