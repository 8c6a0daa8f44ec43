"""The websocket: a turn is asked, followed, lost, resumed and stopped, through the real server."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import struct
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from accounts.keys import create_key
from accounts.models import User
from accounts.revocation import ended
from billing.db import in_database
from billing.models import UsageDay, UsageEvent
from llm import following, sockets, turns
from llm.chat import Chat
from llm.models import Conversation, Turn
from llm.serializers_chat import ChatResponseSerializer
from tests.fakes.upstream import Answer, FakeUpstream, Gate
from tests.server import LiveServer
from tests.sockets import as_browser, opened, text_of
from tests.wired import at_rest

VISITOR = "ab" * 16


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user("pro")


def test_a_turn_is_answered_and_kept(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    upstream.always(Answer(["Grü", "ße", " 🐻"], reasoning=["Hm", "m"], usage=(30, 5)))
    with opened(live, as_browser(live, alice)) as socket:
        assert socket.ready["type"] == "ready"
        assert (socket.ready["user"], socket.ready["tier"], socket.ready["token_limit"]) == (alice.email, "pro", 250_000)
        turn = socket.ask("Was ist Docker?\nGenau!", model="ollama/gpt-oss:120b-cloud", temperature=0.2)
        frames = socket.until("done")
    started, *pieces, done = frames
    assert (started["type"], started["id"], started["parent"], started["title"]) == ("started", turn, None, "Was ist Docker?")
    assert [piece["seq"] for piece in pieces] == list(range(1, len(pieces) + 1))
    assert "".join(piece["text"] for piece in pieces if piece["type"] == "reasoning") == "Hmm"
    assert text_of(frames) == done["response"] == "Grüße 🐻"
    assert done["conversation"] == started["conversation"] and done["tokens_used"] == 35
    assert set(ChatResponseSerializer().fields) <= set(done)
    row = Turn.objects.get()
    assert (row.state, row.answer, row.reasoning, row.tokens_used) == ("done", "Grüße 🐻", "Hmm", 35)
    assert (sum(n for n in row.pieces if n > 0), -sum(n for n in row.pieces if n < 0), len(row.pieces)) == (7, 3, len(pieces))
    conversation = row.conversation
    assert (conversation.user, conversation.leaf, conversation.parameters) == (alice, row, {"temperature": 0.2})
    assert UsageEvent.objects.get(request_id=done["request_id"]).entry_point == "websocket"
    assert [message["role"] for message in upstream.chats[0].body["messages"]] == ["system", "user"]  # Brumo's


def test_what_was_said_goes_along(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    upstream.enqueue(Answer("One", usage=(1, 1)), Answer("Two", usage=(1, 1)), Answer("Other", usage=(1, 1)))
    with opened(live, as_browser(live, alice)) as socket:
        first = socket.ask("1", system_prompt="Be brief.")
        conversation = socket.until("done")[-1]["conversation"]
        second = socket.ask("2", conversation=conversation)
        assert socket.until("done")[0]["parent"] == first
        socket.ask("2, otherwise", conversation=conversation, parent=first)  # an edited question is another branch
        socket.until("done")
    said = [[message["content"] for message in chat.body["messages"]] for chat in upstream.chats]
    assert said == [["Be brief.", "1"], ["Be brief.", "1", "One", "2"], ["Be brief.", "1", "One", "2, otherwise"]]
    assert Conversation.objects.get().leaf.answer == "Other"
    assert {str(turn.pk) for turn in Turn.objects.filter(parent=first)} > {second}


def test_what_is_left_comes_with_its_class(live: LiveServer, upstream: FakeUpstream, alice: User, keyed_openai: str) -> None:
    upstream.always(Answer("x", usage=(1, 1)))
    ends = []
    with opened(live, as_browser(live, alice)) as socket:
        for model in ("ollama/gpt-oss:120b-cloud", keyed_openai):
            turn = socket.ask(model=model)
            ends.append(socket.until("done")[-1])
            turns._running.clear()  # as another process reads it
            socket.send("resume", id=turn)
            ends.append(socket.until("done")[-1])
    assert [(end["usage_class"], end["tokens_remaining"]) for end in ends] == [("unlimited", None)] * 2 + [("cloud", 249_998)] * 2


def test_a_lost_line_is_no_cancel_and_resuming_loses_no_word(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    gate = Gate()
    words = [f"w{number} " for number in range(40)]
    upstream.always(Answer(words, usage=(10, 40), gate=gate, gate_after=20, delay=0.002))
    browser = as_browser(live, alice)
    with opened(live, browser) as socket:
        turn = socket.ask()
        seen = [*socket.until("delta"), socket.take()]
    with opened(live, browser) as socket:  # a reload
        socket.send("resume", id=turn, after=2)
        while text_of(seen) != "".join(words[:20]):
            seen.append(socket.take())
        gate.set()
        seen += socket.until("done")
    assert text_of(seen) == "".join(words) == seen[-1]["response"]
    sequence = [frame["seq"] for frame in seen if frame["type"] == "delta"]
    assert sequence == list(range(1, len(sequence) + 1))
    with opened(live, browser) as socket:  # another device, afterwards
        socket.send("resume", id=turn)
        assert text_of(socket.until("done")) == "".join(words)
        socket.ask(id=turn)  # sent once more, for its sender had heard nothing
        assert text_of(socket.until("done")) == "".join(words)
    at_rest(live)
    assert len(upstream.chats) == 1
    assert UsageEvent.objects.get().charged == 50


def test_what_is_saved_leaves_the_memory_and_what_was_sent_goes_at_once(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    upstream.always(Answer(["a", "b", "c"], usage=(1, 3), delay=0.005))
    with opened(live, as_browser(live, alice)) as socket:
        kept, temporary = socket.ask(), socket.ask(temporary=True)
        ends = [socket.until("done")[-1], socket.until("done")[-1]]
        assert {end["id"] for end in ends} == {kept, temporary}
        at_rest(live)
        gc.collect()
        held = {one.dispatch.request_id for one in gc.get_objects() if type(one) is Chat}  # a weak proxy must not be asked
        assert not held.intersection(end["request_id"] for end in ends)
        live.run(_forgotten(uuid.UUID(kept)))
        for turn in (kept, temporary):
            socket.send("resume", id=turn, after=1)
            frames = socket.until("done", turn)
            assert (text_of(frames), frames[-1]["response"]) == ("bc", "abc")
    running = turns.here(uuid.UUID(temporary))
    assert running is not None
    running.ended_at -= turns.KEPT_SECONDS
    live.run(_forgotten(uuid.UUID(temporary)))


async def _forgotten(turn_id: uuid.UUID) -> None:
    async with asyncio.timeout(3 * turns.SAVE_SECONDS):
        while turns.here(turn_id) is not None:
            await asyncio.sleep(0.05)


def test_cancel_stops_the_provider_and_charges_what_came(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    upstream.always(Answer(["tok "] * 100, usage=(10, 100), gate=Gate(), gate_after=20))
    with opened(live, as_browser(live, alice)) as socket:
        turn = socket.ask()
        came = ""
        while came != "tok " * 20:
            came += text_of([socket.take()])
        socket.send("cancel", id=turn)
        assert upstream.chats[0].closed.wait(1)
        done = socket.until("done")[-1]
    assert (done["finish_reason"], done["response"]) == ("cancelled", "tok " * 20)
    row = Turn.objects.get()
    assert (row.state, row.answer, row.tokens_used) == ("cancelled", "tok " * 20, done["tokens_used"])
    receipt = UsageEvent.objects.get()
    assert (receipt.rule, receipt.charged) == ("cancelled", done["tokens_used"]) and receipt.output_tokens == 20


def test_cancel_reaches_a_turn_of_another_process(
    live: LiveServer, upstream: FakeUpstream, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.always(Answer(["tok "] * 100, gate=Gate(), gate_after=5))
    with opened(live, as_browser(live, alice)) as socket:
        turn = socket.ask()
        socket.until("started")
        Turn.objects.filter(pk=turn).update(cancel_requested=True)  # what the other process does
        assert socket.until("done")[-1]["finish_reason"] == "cancelled"


def test_a_turn_of_another_process_is_followed_through_its_row(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    gate = Gate()
    upstream.always(Answer(["a", "b", "c", "d"], usage=(1, 4), gate=gate, gate_after=2, delay=0.02))
    browser = as_browser(live, alice)
    with opened(live, browser) as socket:
        turn = uuid.UUID(socket.ask())
        assert text_of([socket.until("delta")[-1], socket.take()]) == "ab"
        hidden = turns._running.pop(turn)
        with opened(live, browser) as elsewhere:
            elsewhere.send("resume", id=str(turn), after=1)
            live.run(turns.save([hidden]))
            assert elsewhere.take()["text"] == "b"
            gate.set()
            rest = elsewhere.until("done")
        assert text_of(rest) == "cd" and rest[-1]["response"] == "abcd"
    assert hidden.end is not None


def test_a_turn_that_is_followed_through_its_row_outlives_an_absence_of_the_database(
    live: LiveServer, upstream: FakeUpstream, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, away = Gate(), itertools.cycle((True, True, False))
    upstream.always(Answer(["a", "b"], usage=(1, 2), gate=gate, gate_after=1))
    for name in ("find_turn", "_left"):
        monkeypatch.setattr(following, name, sometimes(away, getattr(following, name)))
    browser = as_browser(live, alice)
    with opened(live, browser) as socket:
        turn = uuid.UUID(socket.ask())
        socket.until("delta")
        hidden = turns._running.pop(turn)
        with opened(live, browser) as elsewhere:
            elsewhere.send("resume", id=str(turn), after=0)
            live.run(turns.save([hidden]))
            gate.set()
            assert text_of(socket.until("done")) == "b"
            assert text_of(elsewhere.until("done")) == "ab"
    assert Turn.objects.get().state == "done"


def sometimes(away: Iterator[bool], function: Callable[..., Any]) -> Callable[..., Any]:
    """It, with a database that is away by turns."""

    def asked(*args: Any) -> Any:
        if next(away):
            raise OperationalError
        return function(*args)

    return asked


def test_two_models_side_by_side(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    upstream.always(Answer("one"), model="gpt-oss:120b-cloud")
    upstream.always(Answer("two"), model="gpt-oss:20b-cloud")
    group, conversation = str(uuid.uuid4()), str(uuid.uuid4())
    with opened(live, as_browser(live, alice)) as socket:
        asked = [
            socket.ask(model=f"ollama/gpt-oss:{size}-cloud", group=group, conversation=conversation, parent=None)
            for size in ("120b", "20b")
        ]
        ends: dict[str, str] = {}
        while len(ends) < 2:
            frame = socket.take()
            if frame["type"] == "done":
                ends[frame["id"]] = frame["response"]
    assert [ends[turn] for turn in asked] == ["one", "two"]
    assert Conversation.objects.get().turns.filter(group=group, parent=None).count() == 2


def test_a_refused_turn_leaves_nothing(live: LiveServer, upstream: FakeUpstream, make_user: Callable[..., User]) -> None:
    with opened(live, as_browser(live, make_user())) as socket:
        turn = socket.ask(model="ollama/nosuch")
        refusal = socket.take()
        assert (refusal["type"], refusal["id"], refusal["code"]) == ("error", turn, "model_not_found")
        assert refusal["detail"] and refusal["saying"]
    assert not Conversation.objects.exists() and not UsageEvent.objects.exists()


@pytest.mark.parametrize("again", [False, True])
def test_after_a_refusal_a_conversation_is_shown_as_before(
    live: LiveServer, upstream: FakeUpstream, make_user: Callable[..., User], again: bool
) -> None:
    user = make_user()
    upstream.always(Answer("Well.", usage=(1, 1)))
    with opened(live, as_browser(live, user)) as socket:
        first = socket.ask("Why?")
        conversation = socket.until("done")[-1]["conversation"]
        UsageDay.objects.filter(subject=user.subject).update(used=10**9)
        socket.ask("And?", conversation=conversation, parent=None if again else first)
        assert socket.take()["code"] == "quota_exceeded"
    assert str(Conversation.objects.get().leaf_id) == first


def test_a_failed_turn_keeps_the_question_and_says_why(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    upstream.always(Answer(["one ", "two "], fault="cut_after"))
    with opened(live, as_browser(live, alice)) as socket:
        socket.ask("Why?", substitution="strict")
        frame = socket.take()
        while frame["type"] != "error":
            frame = socket.take()
    row = Turn.objects.get()
    assert (row.state, row.prompt, row.answer, row.error_code) == ("failed", "Why?", "one two ", frame["code"])
    assert row.error_detail == frame["detail"]


def test_a_temporary_chat_is_stored_nowhere(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    upstream.always(Answer("secret", usage=(1, 1)))
    with opened(live, as_browser(live, alice)) as socket:
        socket.send("chat", id=str(uuid.uuid4()), temporary=True, messages=[{"role": "user", "content": "psst"}])
        done = socket.until("done")[-1]
        said = [{"role": "user", "content": "psst"}, {"role": "assistant", "content": "secret"}]
        socket.ask("And?", temporary=True, messages=said)
        socket.until("done")
    assert [message["content"] for message in upstream.chats[1].body["messages"][1:]] == ["psst", "secret", "And?"]
    assert (done["response"], done["conversation"]) == ("secret", None)
    assert not Conversation.objects.exists() and not Turn.objects.exists()
    assert {event.charged for event in UsageEvent.objects.all()} == {2}


@pytest.mark.parametrize("who", ["account", "guest without a cookie"])
def test_a_temporary_turn_asked_again_goes_on_and_is_billed_once(
    live: LiveServer, upstream: FakeUpstream, alice: User, make_user: Callable[..., User], who: str
) -> None:
    gate = Gate()
    upstream.always(Answer(["a", "b"], usage=(1, 2), gate=gate, gate_after=1))
    asker = as_browser(live, alice if who == "account" else None)
    with opened(live, asker) as socket:
        turn = socket.ask(temporary=True)
        socket.until("delta")
    with opened(live, asker) as socket, opened(live, as_browser(live, make_user(email="bob@example.org"))) as theirs:
        socket.ask(id=turn, temporary=True)
        assert socket.until("delta")[0]["type"] == "started"
        theirs.ask(id=turn, temporary=True)
        assert theirs.take()["code"] == "not_found"
        gate.set()
        assert socket.until("done")[-1]["response"] == "ab"
        socket.ask(id=turn, temporary=True)
        assert text_of(socket.until("done")) == "ab"
    at_rest(live)
    assert UsageEvent.objects.get().charged == 3


def test_one_id_asked_twice_at_the_same_moment_is_asked_once(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    upstream.always(Answer("ab", usage=(1, 2)))
    with opened(live, as_browser(live, alice)) as socket, opened(live, as_browser(live, alice)) as second:
        for temporary in (True, False):
            turn = socket.ask(temporary=temporary)
            second.ask(id=turn, temporary=temporary)
            assert socket.until("done")[-1]["response"] == second.until("done")[-1]["response"] == "ab"
    at_rest(live)
    assert UsageEvent.objects.count() == len(upstream.chats) == 2


def test_a_guest_of_a_browser_keeps_a_conversation_and_one_without_a_cookie_none(live: LiveServer, upstream: FakeUpstream) -> None:
    with opened(live, as_browser(live, visitor=VISITOR)) as socket:
        assert (socket.ready["user"], socket.ready["tier"]) == (None, "guest")
        socket.ask()
        assert socket.until("done")[-1]["conversation"]
    assert Conversation.objects.get().visitor == UsageEvent.objects.get().visitor == VISITOR
    with opened(live, as_browser(live)) as socket:
        socket.ask()
        assert socket.until("done")[-1]["conversation"] is None
    assert Conversation.objects.count() == 1


def test_nobody_becomes_a_guest_because_the_session_ended_while_the_line_was_down(live: LiveServer, alice: User) -> None:
    browser = as_browser(live, alice, visitor=VISITOR)
    with opened(live, browser) as socket:
        assert (socket.ready["user"], socket.ready["tier"]) == (alice.email, "pro")
    alice.sign_out_everywhere()
    with pytest.raises(ConnectionClosed) as closed, opened(live, browser):
        pass
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401
    for headers in (as_browser(live, visitor=VISITOR), as_browser(live)):
        with opened(live, headers) as socket:
            assert (socket.ready["user"], socket.ready["tier"]) == (None, "guest")


def test_a_quote_holds_nothing(live: LiveServer, upstream: FakeUpstream, alice: User) -> None:
    with opened(live, as_browser(live, alice)) as socket:
        socket.send("quote", id=str(uuid.uuid4()), message="Hello there", max_tokens=100)
        quote = socket.take()
    assert (quote["type"], quote["max_output_tokens"], quote["would_be_admitted"]) == ("quote", 100, True)
    assert quote["input_tokens"] > 3 and "price_usd" in quote
    assert not UsageDay.objects.exists() and not Turn.objects.exists() and not upstream.chats


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ("{", None),
        ("[]", None),
        ('{"type": "shout"}', "type"),
        ('{"type": ["chat"]}', "type"),
        ('{"type": "chat"}', "id"),
        ('{"type": "chat", "id": "7", "message": "x"}', "id"),
        ('{"type": "chat", "id": "%s"}', "message"),
        ('{"type": "chat", "id": "%s", "message": "x", "colour": 1}', "colour"),
        ('{"type": "chat", "id": "%s", "messages": [{"role": "user", "content": "x"}]}', "messages"),
        ('{"type": "resume", "id": "%s", "after": -1}', "after"),
    ],
)
def test_bad_frames_are_told_what_is_wrong(live: LiveServer, alice: User, sent: str, field: str | None) -> None:
    with opened(live, as_browser(live, alice)) as socket:
        socket.line.send(sent.replace("%s", str(uuid.uuid4())))
        refusal = socket.take()
        assert (refusal["type"], refusal["code"], refusal.get("field")) == ("error", "invalid_request", field)
        socket.send("ping")
        assert socket.take() == {"type": "pong"}


def test_p20_somebody_elses_turn_is_not_there(live: LiveServer, upstream: FakeUpstream, make_user: Callable[..., User]) -> None:
    alice, mallory = make_user(), make_user(email="mallory@example.org")
    gate = Gate()
    upstream.always(Answer(["a", "b"], gate=gate, gate_after=1))
    with opened(live, as_browser(live, alice)) as hers:
        turn = hers.ask()
        conversation = hers.until("delta")[0]["conversation"]
        for asker in (as_browser(live, mallory), as_browser(live, visitor=VISITOR)):
            with opened(live, asker) as theirs:
                for frame in (
                    {"type": "resume", "id": turn},
                    {"type": "cancel", "id": turn},
                    {"type": "chat", "id": str(uuid.uuid4()), "message": "x", "conversation": conversation},
                    {"type": "quote", "id": str(uuid.uuid4()), "message": "x", "conversation": conversation},
                    {"type": "chat", "id": turn, "message": "x"},
                ):
                    theirs.line.send(json.dumps(frame))
                    assert theirs.take()["code"] == "not_found", frame
        gate.set()
        assert hers.until("done")[-1]["response"] == "ab"
    assert len(upstream.chats) == 1


def refused(live: LiveServer, headers: dict[str, str]) -> int:
    with pytest.raises(InvalidStatus) as refusal, opened(live, headers):
        pass
    return refusal.value.response.status_code


def test_p22_who_may_open_one(live: LiveServer, alice: User, bearer: Callable[[User], dict[str, str]]) -> None:
    cookie = {"Cookie": as_browser(live, alice)["Cookie"]}
    assert refused(live, {}) == refused(live, cookie) == 403  # no Origin
    for origin in ("https://evil.example", f"{live.url}.evil.example", "null"):
        assert refused(live, {**cookie, "Origin": origin}) == refused(live, {**bearer(alice), "Origin": origin}) == 403
    assert refused(live, {"Authorization": "Bearer nonsense"}) == 401
    assert refused(live, {**bearer(alice), "X-User-ID": "bob@example.org"}) == 403
    with opened(live, bearer(alice)) as socket:
        assert socket.ready["user"] == alice.email
    with opened(live, {**bearer(alice), **cookie}) as socket:  # a cookie without an Origin counts for nothing
        assert socket.ready["user"] == alice.email


def test_p22_twenty_frames_a_second(live: LiveServer, alice: User) -> None:
    with opened(live, as_browser(live, alice)) as socket:
        for _ in range(60):
            socket.send("ping")
        answers = [socket.take() for _ in range(60)]
    refusals = [answer for answer in answers if answer["type"] == "error"]
    assert {refusal["code"] for refusal in refusals} == {"rate_limited"} and len(refusals) >= 20


def test_p22_a_frame_that_is_too_large_closes_the_socket(live: LiveServer, alice: User) -> None:
    with opened(live, as_browser(live, alice)) as socket, pytest.raises(ConnectionClosed) as closed:
        head = struct.pack("!BBQ4x", 0x81, 0x80 | 127, 1_400_000)  # RFC 6455, 5.2: the length is enough to refuse it by,
        socket.line.socket.sendall(head)  # and a body that nobody reads would have the system reset the line instead of closing it
        socket.take()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def change_password(user: User) -> None:
    user.set_password("Tannenzapfen-8")
    user.save()


ENDS: dict[str, Callable[[User], Any]] = {
    "disabled": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "deleted": lambda user: user.delete(),
    "signed out everywhere": User.sign_out_everywhere,
    "another password": change_password,
    "key revoked": lambda user: user.api_keys.update(revoked=True),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("carrier", ["session", "token", "key"])
def test_p23_what_ends_a_credential_closes_its_sockets(
    live: LiveServer, alice: User, bearer: Callable[[User], dict[str, str]], how: str, carrier: str
) -> None:
    secret = create_key(alice, name="k", scopes=["chat"])[1]
    headers = {"session": as_browser(live, alice), "token": bearer(alice), "key": {"x-api-key": secret}}[carrier]
    with opened(live, headers) as socket:
        ENDS[how](alice)
        unharmed = {"key": ("signed out everywhere", "another password")}.get(carrier, ("key revoked",))
        if how in unharmed:
            live.run(_another_look())
            socket.send("ping")
            assert socket.take() == {"type": "pong"}
        else:
            with pytest.raises(ConnectionClosed) as closed:
                socket.take(2.5)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


def test_p23_who_comes_back_after_the_session_has_ended_is_no_guest(live: LiveServer, alice: User) -> None:
    headers = as_browser(live, alice)
    alice.set_password("another-one-7")
    alice.save()
    with (
        connect(live.url.replace("http", "ws") + "/ws/chat/", additional_headers=headers) as line,
        pytest.raises(ConnectionClosed) as closed,
    ):
        line.recv(5)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


async def _another_look() -> None:
    """What the watch does once a second, with its answer."""
    assert not await in_database(ended, {one.credential for one in sockets._open if one.credential})


def test_p23_a_lower_tier_holds_for_the_next_frame(live: LiveServer, upstream: FakeUpstream, alice: User, keyed_openai: str) -> None:
    upstream.always(Answer("x", usage=(1, 1)))
    with opened(live, as_browser(live, alice)) as socket:
        socket.ask(model=keyed_openai)
        assert socket.until("done")[-1]["tier"] == "pro"
        alice.subscriptions.all().delete()
        socket.ask(model=keyed_openai)
        assert socket.take()["code"] == "model_not_in_tier"
