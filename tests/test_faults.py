"""P10 and P11 through the server, on every wire: whatever a provider does, a caller gets an answer or one documented error.

After each test the books are compared with what the provider saw: nothing held, used = sum(charged), no charge for nothing.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from llm.providers import transport
from tests.fakes.upstream import Answer, FakeUpstream
from tests.server import LiveServer
from tests.wired import STAND_IN, Wired, ask, oracle

FAILED, AWAY, LATE = (502, "upstream_error"), (503, "upstream_unavailable"), (504, "upstream_timeout")
THRICE, ONCE = 3, 1
BEFORE_A_TOKEN = {  # what a caller without a substitute is told, and how often the provider is asked
    "close_before": (AWAY, THRICE),
    "reset_before": (AWAY, THRICE),
    "cut_before": (FAILED, ONCE),
    "reset_headers": (FAILED, ONCE),
    "empty": (FAILED, ONCE),
    "html": (FAILED, ONCE),
    "garbage": (FAILED, ONCE),
    "huge": (FAILED, ONCE),
    "401": (AWAY, ONCE),
    "404": (FAILED, ONCE),
    "429": (AWAY, THRICE),
    "slots_429": (AWAY, THRICE),
    "slots_503": (AWAY, THRICE),
    "500": (FAILED, ONCE),
    "503": (FAILED, THRICE),
    "html_502": (FAILED, THRICE),
}
AFTER_A_TOKEN = ("cut_after", "reset_after", "no_end", "error_event", "silence_after")
BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])

pytestmark = pytest.mark.usefixtures("no_pauses")


def asked(upstream: FakeUpstream, model: str) -> int:
    return sum(record.model == model for record in upstream.chats)


@BOTH
@pytest.mark.parametrize("fault", BEFORE_A_TOKEN)
def test_p10_before_a_token_there_is_one_error_or_a_substitute(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, fault: str, streamed: bool
) -> None:
    outcome, calls = BEFORE_A_TOKEN[fault]
    upstream.always(Answer(fault=fault), model=wired.native_id)
    upstream.always(Answer(["Hi"], usage=(5, 1)), model="stand-in")
    refused = ask(http, wired.model_id, stream=streamed)
    assert refused.outcome == outcome
    assert len(upstream.chats) == calls
    answered = ask(http, wired.model_id, stream=streamed, substitution="any")
    assert (answered.outcome, answered.text) == ((200, ""), "Hi")
    assert (answered.end["model"], answered.end["fallback_used"], answered.end["tokens_used"]) == (STAND_IN, True, 6)
    assert asked(upstream, "stand-in") == 1
    receipts = oracle(live, upstream)
    assert [(receipt.rule, receipt.charged) for receipt in receipts] == [("refused", 0), ("answered", 6)]


@BOTH
@pytest.mark.parametrize("where", ["refused_url", "tls_garbage_url", "hanging_url"])
def test_p10_p12_a_provider_out_of_reach(
    http: httpx.Client,
    live: LiveServer,
    upstream: FakeUpstream,
    wired: Wired,
    settings: Any,
    quick_connect: None,
    where: str,
    streamed: bool,
) -> None:
    settings.PROVIDER_URLS = {**settings.PROVIDER_URLS, wired.wire: getattr(upstream, where)}
    assert ask(http, wired.model_id, stream=streamed).outcome == AWAY
    assert not upstream.chats
    (receipt,) = oracle(live, upstream)
    assert (receipt.rule, receipt.charged) == ("refused", 0)
    assert len(receipt.attempts) == (3 if where == "refused_url" else 1)


@pytest.fixture
def quick_connect(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A connection must be made within 0.2 s. The limit belongs to the HTTP session, so that is made anew."""
    monkeypatch.setattr(transport, "TIMEOUT", transport.aiohttp.ClientTimeout(total=None, connect=0.2, sock_connect=0.2))
    live.run(transport.close())
    yield
    live.run(transport.close())


@pytest.fixture
def quick_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that says nothing for 0.2 s after its first token is given up."""
    monkeypatch.setattr("llm.dispatch.IDLE_SECONDS", 0.2)


@pytest.mark.parametrize("fault", AFTER_A_TOKEN)
def test_p11_after_a_token_a_stream_ends_with_an_error_and_no_substitute(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, fault: str, quick_idle: None
) -> None:
    upstream.always(Answer(["a", "b", "c"], fault=fault), model=wired.native_id)
    broken = ask(http, wired.model_id, stream=True, substitution="any")
    assert broken.outcome == (200, "upstream_timeout" if fault == "silence_after" else "upstream_error")
    assert len(upstream.chats) == 1
    assert broken.text == upstream.chats[0].text == "abc"
    (receipt,) = oracle(live, upstream)
    assert (receipt.rule, receipt.charged, receipt.output_tokens, receipt.served_model) == ("broke_off", 3, 3, wired.model_id)


@pytest.mark.parametrize("fault", AFTER_A_TOKEN)
def test_p10_a_plain_answer_that_breaks_off_is_asked_elsewhere(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, fault: str, quick_idle: None
) -> None:
    upstream.always(Answer(["a", "b", "c"], fault=fault), model=wired.native_id)
    upstream.always(Answer(["Hi"], usage=(5, 1)), model="stand-in")
    assert ask(http, wired.model_id).outcome == (LATE if fault == "silence_after" else FAILED)
    whole = ask(http, wired.model_id, substitution="any")
    assert (whole.outcome, whole.text, whole.end["model"]) == ((200, ""), "Hi", STAND_IN)
    first, second = oracle(live, upstream)
    assert (first.charged, second.charged, second.output_tokens) == (0, 6, 1)


@BOTH
@pytest.mark.parametrize("fault", ["bytes", "split", "usage_with_text", "usage_after_finish", "wrong_model"])
def test_p10_what_is_odd_but_whole_is_answered(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, fault: str, streamed: bool
) -> None:
    upstream.always(Answer(["Grüße ", "🦊🌻", " „ja“\r\n", "…"], usage=(40, 17), fault=fault))
    answer = ask(http, wired.model_id, stream=streamed)
    assert (answer.outcome, answer.text) == ((200, ""), "Grüße 🦊🌻 „ja“\r\n…")
    assert (answer.end["model"], answer.end["tokens_used"]) == (wired.model_id, 57)
    (receipt,) = oracle(live, upstream)
    assert (receipt.served_model, receipt.estimated, receipt.charged) == (wired.model_id, False, 57)


@pytest.mark.parametrize("fault", ["negative_usage", "huge_usage"])
def test_p10_impossible_usage_is_counted_by_us(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, fault: str
) -> None:
    upstream.always(Answer(["a", "b"], fault=fault))
    answer = ask(http, wired.model_id, stream=True)
    (receipt,) = oracle(live, upstream)
    assert (receipt.estimated, receipt.output_tokens) == (True, 2)
    assert answer.end["tokens_used"] == receipt.charged == receipt.input_tokens + 2


@BOTH
def test_p10_an_endless_answer_is_cut_at_the_budget(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, streamed: bool
) -> None:
    upstream.always(Answer(["tok "], fault="endless"))
    answer = ask(http, wired.model_id, stream=streamed, max_tokens=50)
    assert (answer.outcome, answer.end["finish_reason"]) == ((200, ""), "length")
    assert 50 <= answer.text.count("tok") <= 60
    assert upstream.chats[0].closed.wait(1), "the provider was not dropped"
    (receipt,) = oracle(live, upstream)
    assert receipt.rule == "answered"


def test_p10_a_slow_provider_is_no_fault_while_it_speaks(
    http: httpx.Client, live: LiveServer, upstream: FakeUpstream, wired: Wired, quick_idle: None
) -> None:
    upstream.always(Answer(["a", "b", "c", "d", "e", "f"], delay=0.07))
    assert ask(http, wired.model_id, stream=True).text == "abcdef"
    oracle(live, upstream)
