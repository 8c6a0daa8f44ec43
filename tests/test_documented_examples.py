"""What the documents show: each request gets the answer that is written there, field by field."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from accounts.models import User
from billing import clock
from llm import views_status
from llm.checks import check_all_async
from llm.models import LanguageModel, Provider, Status
from tests.conftest import PASSWORD
from tests.fakes.upstream import Answer, FakeUpstream
from tests.server import LiveServer
from tests.wired import events_of

EMAIL = "user@example.com"
NAMED = {"X-User-ID": EMAIL}  # names nobody by itself: the examples that send only this show what a guest sees
MODEL = "ollama/deepseek-v3.1:671b-cloud"
TWENTY = [
    "deepseek-v3.1:671b-cloud", "deepseek-v3.2:cloud", "qwen3-coder:480b-cloud", "qwen3-vl:235b-cloud", "qwen3-next:80b-cloud",
    "kimi-k2:1t-cloud", "kimi-k2-thinking:cloud", "gpt-oss:120b-cloud", "gpt-oss:20b-cloud", "gemini-3-pro-preview:latest",
    "minimax-m2:cloud", "glm-4.6:cloud", "ministral-3:14b-cloud", "ministral-3:8b-cloud", "ministral-3:3b-cloud", "devstral-2:123b-cloud",
    "devstral-small-2:24b-cloud", "nemotron-3-nano:30b-cloud", "cogito-2.1:671b-cloud", "rnj-1:8b-cloud",
]  # fmt: skip

# -- shapes: a type, the values allowed (a set), a pattern, [each], {field: shape} with exactly these fields, or a value ---

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
STATUS = {"healthy", "degraded", "offline", "no_api_key", "unknown"}


class Or:
    """One of several shapes."""

    def __init__(self, *shapes: Any) -> None:
        self.shapes = shapes


class Each:
    """An object whose every value has this shape, whatever the names."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


def misfits(value: Any, shape: Any, where: str = "answer") -> list[str]:
    """Where the value is not what it should be; whole numbers are no booleans."""
    match shape:
        case dict():
            if not isinstance(value, dict) or set(value) != set(shape):
                return [f"{where} has the fields {sorted(value) if isinstance(value, dict) else value!r}, not {sorted(shape)}"]
            return [found for name in shape for found in misfits(value[name], shape[name], f"{where}.{name}")]
        case [each]:
            if not isinstance(value, list):
                return [f"{where} is no list: {value!r}"]
            return [found for number, part in enumerate(value) for found in misfits(part, each, f"{where}.{number}")]
        case Each():
            if not isinstance(value, dict):
                return [f"{where} is no object: {value!r}"]
            return [found for name, part in value.items() for found in misfits(part, shape.shape, f"{where}.{name}")]
        case Or():
            fits = any(not misfits(value, one) for one in shape.shapes)
        case type():
            fits = type(value) is shape
        case re.Pattern():
            fits = isinstance(value, str) and shape.fullmatch(value) is not None
        case set():
            fits = value in shape
        case _:
            fits = type(value) is type(shape) and value == shape
    return [] if fits else [f"{where} is {value!r}, not {shape}"]


LOGIN = {
    "user_id": str,
    "token": re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"),
    "tier": str,
    "client_id": re.compile(r"client-[a-z0-9._-]{1,10}-[0-9a-f]{16}"),
}
MODELS = {"tier": str, "tier_name": str, "model_count": int, "models": [str], "backend": {"ollama", "mixed"}, "upgrade_available": bool}
CHAT = {
    "response": str,
    "model": str,
    "tier": {"guest", "registered", "pro", "enterprise"},
    "backend": str,
    "tokens_used": int,
    "latency_ms": int,
    "fallback_used": bool,
    "request_id": re.compile(r"req_.+"),
    "finish_reason": {"stop", "length"},
    "tokens_remaining": Or(int, None),
    "warnings": [str],
}
TIER = {
    "tier": str,
    "name": str,
    "tier_name": str,
    "price_monthly": float,
    "price_yearly": float,
    "features": [str],
    "model_count": Or(int, "all"),
    "mcp_access": bool,
    "cli_agents": bool,
    "local_cli_agents": bool,
    "priority_queue": bool,
    "support_level": {"none", "community", "email", "priority"},
    "daily_token_limit": int,
    "ollama_unlimited": bool,
}
YOUR_TIER = TIER | {
    "tokens_today": int,
    "tokens_used_today": int,
    "token_limit": int,
    "tokens_remaining": Or(int, None),
    "resets_at": STAMP,
    "created": Or(STAMP, None),
}
GUEST_TIER = {
    "tier": "guest",
    "name": "Gast",
    "tier_name": "Gast",
    "price_monthly": 0.0,
    "price_yearly": 0.0,
    "features": ["20 Ollama Cloud-Modelle", "50k Tokens/Tag", "Kein MCP", "🐻 Brumo dabei"],
    "model_count": 20,
    "mcp_access": False,
    "cli_agents": False,
    "priority_queue": False,
    "support_level": "none",
    "daily_token_limit": 50_000,
    "ollama_unlimited": False,
}
REGISTERED_TIER = GUEST_TIER | {
    "tier": "registered",
    "name": "Registriert",
    "tier_name": "Registriert",
    "features": ["20 Ollama Cloud-Modelle", "MCP Tools ✓", "CLI Agents ✓", "100k Tokens/Tag", "Community Support"],
    "mcp_access": True,
    "cli_agents": True,
    "support_level": "community",
    "daily_token_limit": 100_000,
}
PRO_TIER = REGISTERED_TIER | {
    "tier": "pro",
    "name": "Pro",
    "tier_name": "Pro",
    "price_monthly": 18.99,
    "price_yearly": 189.99,
    "features": ["600+ KI-Modelle", "250k Tokens/Tag (Cloud)", "Ollama ∞ unlimited", "MCP Tools ✓", "Email Support"],
    "model_count": "all",
    "support_level": "email",
    "daily_token_limit": 250_000,
    "ollama_unlimited": True,
}
UNLIMITED_TIER = PRO_TIER | {
    "tier": "enterprise",
    "name": "Unlimited",
    "tier_name": "Unlimited",
    "price_monthly": 59.99,
    "price_yearly": 599.99,
    "features": ["600+ KI-Modelle", "Unlimited Tokens", "Priority Queue ✓", "Priority Support", "Alle Features"],
    "priority_queue": True,
    "support_level": "priority",
    "daily_token_limit": 0,
}
NEW_KEY = {
    "id": int,
    "key": re.compile(r"tf_live_[0-9A-Za-z]{36}"),
    "name": str,
    "hint": str,
    "scopes": [str],
    "models": [str],
    "daily_token_limit": int,
    "created": STAMP,
    "expires_at": Or(STAMP, None),
    "last_used_at": Or(STAMP, None),
    "revoked": bool,
}


def answered(response: httpx.Response, shape: Any, status: int = 200) -> Any:
    """The body, which has this shape."""
    assert response.status_code == status, response.text
    assert response.headers["X-Request-ID"]
    body = response.json()
    assert not misfits(body, shape)
    return body


# -- the examples of the original README ------------------------------------------------------------------------------


@pytest.fixture
def person(make_user: Callable[..., User]) -> User:
    """The account of the examples, which has Pro."""
    return make_user("pro", email=EMAIL)


@pytest.fixture
def pro(person: User, bearer: Callable[[User], dict[str, str]]) -> dict[str, str]:
    return bearer(person)


def test_login(http: httpx.Client, person: User) -> None:
    body = answered(http.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}), LOGIN)
    assert (body["user_id"], body["tier"]) == (EMAIL, "pro")
    assert body["client_id"].startswith("client-user-")
    mine = http.get("/v1/client/models", headers={"Authorization": f"Bearer {body['token']}"})
    assert answered(mine, MODELS)["tier"] == "pro"
    refused = http.post("/v1/auth/login", json={"email": EMAIL, "password": "your_password"})
    assert (refused.status_code, refused.json()["detail"]) == (401, "Invalid email or password")


@pytest.mark.parametrize("headers", [{}, NAMED])
def test_a_guests_models(http: httpx.Client, person: User, headers: dict[str, str]) -> None:
    body = answered(http.get("/v1/client/models", headers=headers), MODELS)
    assert body == {
        "tier": "guest",
        "tier_name": "Gast",
        "model_count": 20,
        "models": [f"ollama/{name}" for name in TWENTY],
        "backend": "ollama",
        "upgrade_available": True,
    }


def test_pros_models(http: httpx.Client, pro: dict[str, str], keyed_openai: str) -> None:
    for headers in (pro, pro | NAMED):
        body = answered(http.get("/v1/client/models", headers=headers), MODELS)
        assert body["models"][:20] == [f"ollama/{name}" for name in TWENTY]
        assert keyed_openai in body["models"]
        assert body["model_count"] == len(set(body["models"])) == len(body["models"]) > 20
        assert (body["tier"], body["tier_name"], body["backend"], body["upgrade_available"]) == ("pro", "Pro", "mixed", False)


def test_chat(http: httpx.Client, pro: dict[str, str], upstream: FakeUpstream) -> None:
    upstream.always(Answer(["Docker ist eine ", "Containerisierungs-Plattform..."], usage=(123, 400)))
    asked = {"message": "Erkläre mir Docker", "model": MODEL, "temperature": 0.7, "max_tokens": 4096}
    body = answered(http.post("/v1/client/chat", json=asked, headers=pro | NAMED), CHAT)
    told = {"response": "Docker ist eine Containerisierungs-Plattform...", "model": MODEL, "tier": "pro", "backend": "ollama"}
    assert {name: body[name] for name in told} == told
    assert (body["tokens_used"], body["fallback_used"], body["tokens_remaining"]) == (523, False, None)  # Ollama ∞
    assert body["latency_ms"] >= 0
    assert upstream.chats[0].body["model"] == "deepseek-v3.1:671b-cloud"
    assert upstream.chats[0].body["options"]["num_predict"] == 4096
    assert upstream.chats[0].body["options"]["temperature"] == 0.7
    assert upstream.chats[0].body["messages"][-1] == {"role": "user", "content": "Erkläre mir Docker"}


def test_chat_as_the_readme_sends_it_is_a_guests(http: httpx.Client, person: User, upstream: FakeUpstream) -> None:
    upstream.always(Answer(["Docker"], usage=(40, 1)))
    body = answered(http.post("/v1/client/chat", json={"message": "Erkläre mir Docker", "model": MODEL}, headers=NAMED), CHAT)
    assert (body["tier"], body["tokens_used"], body["tokens_remaining"]) == ("guest", 41, 50_000 - 41)


@pytest.mark.usefixtures("no_pauses")
def test_the_local_model_stands_in_where_the_cloud_is_away(http: httpx.Client, upstream: FakeUpstream) -> None:
    upstream.always(Answer(fault="500"), model="deepseek-v3.1:671b-cloud")
    body = answered(http.post("/v1/client/chat", json={"message": "Hi", "model": MODEL}), CHAT)
    assert (body["model"], body["backend"], body["fallback_used"]) == ("ollama/ministral-3:14b", "ollama", True)


def test_your_tier(http: httpx.Client, pro: dict[str, str]) -> None:
    body = answered(http.get("/v1/client/tier", headers=pro), YOUR_TIER)
    assert {name: body[name] for name in PRO_TIER} == PRO_TIER
    assert (body["tokens_today"], body["tokens_used_today"]) == (0, 0)
    assert body["token_limit"] == body["tokens_remaining"] == 250_000
    assert body["resets_at"].endswith("T00:00:00Z")
    guest = answered(http.get("/v1/client/tier", headers=NAMED), YOUR_TIER)
    assert {name: guest[name] for name in GUEST_TIER} == GUEST_TIER
    assert (guest["tokens_remaining"], guest["created"]) == (50_000, None)


def test_unlimited_has_no_limit(http: httpx.Client, make_user: Callable[..., User], bearer: Callable[[User], dict[str, str]]) -> None:
    body = answered(http.get("/v1/client/tier", headers=bearer(make_user("enterprise"))), YOUR_TIER)
    assert {name: body[name] for name in UNLIMITED_TIER} == UNLIMITED_TIER
    assert (body["token_limit"], body["tokens_remaining"]) == (0, None)


def test_all_tiers(http: httpx.Client) -> None:
    body = answered(http.get("/v1/tiers"), [TIER])
    told = [GUEST_TIER, REGISTERED_TIER, PRO_TIER, UNLIMITED_TIER]
    assert [{name: shown[name] for name in GUEST_TIER} for shown in body] == told


def test_health(http: httpx.Client) -> None:
    assert answered(http.get("/health"), {"ok": bool, "status": str}) == {"ok": True, "status": "ok"}


@pytest.fixture
def looked_at(live: LiveServer, upstream: FakeUpstream) -> Iterator[None]:
    """A background look has found an Ollama with two models; a third has just failed to answer."""
    providers, models = Provider._base_manager.all(), LanguageModel._base_manager.all()
    before = [list(rows.values("pk", "status")) for rows in (providers, models)]
    upstream.models = list(TWENTY[:2])
    live.run(check_all_async(force=True))
    models.filter(native_id=TWENTY[2]).update(status=Status.OFFLINE, status_since=clock.now())
    views_status.forget_states()
    yield
    for rows, were in zip((providers, models), before, strict=True):
        for row in were:
            rows.filter(pk=row["pk"]).update(status=row["status"])
    views_status.forget_states()


OLLAMA = {"status": {"online", "offline"}, "url": re.compile(r"[A-Za-z ]+"), "models_loaded": int, "models": [str]}
AVAILABILITY = {
    "checked_at": Or(STAMP, None),
    "excluded_models": [str],
    "excluded_count": int,
    "providers": Each({"provider": str, "api_key_set": bool, "checked_at": Or(STAMP, None), "status": STATUS}),
    "models": Each({"status": STATUS, "since": Or(STAMP, None), "ttft_ms": Or(int, None)}),
}


def test_ollamas_status(http: httpx.Client, looked_at: None) -> None:
    body = answered(http.get("/v1/client/ollama/status"), OLLAMA)
    assert body == {"status": "online", "url": "Ollama", "models_loaded": 2, "models": TWENTY[:2]}


def test_ollamas_status_is_an_answer_without_an_ollama(http: httpx.Client, looked_at: None) -> None:
    Provider._base_manager.filter(slug="ollama").update(status=Status.OFFLINE)
    views_status.forget_states()
    body = answered(http.get("/v1/client/ollama/status"), OLLAMA)
    assert body == {"status": "offline", "url": "Ollama", "models_loaded": 0, "models": []}


def test_availability(http: httpx.Client, looked_at: None) -> None:
    body = answered(http.get("/v1/client/models/availability"), AVAILABILITY)
    assert body["excluded_models"] == [f"ollama/{TWENTY[2]}"]
    assert body["excluded_count"] == 1
    assert all(shown["provider"] == name for name, shown in body["providers"].items())
    assert (body["providers"]["ollama"]["status"], body["providers"]["ollama"]["api_key_set"]) == ("healthy", False)
    assert {"openai", "anthropic", "gemini", "mistral", "deepseek"} <= set(body["providers"])
    assert {f"ollama/{name}" for name in TWENTY} <= set(body["models"])
    assert (body["models"][MODEL]["status"], body["models"][f"ollama/{TWENTY[5]}"]["status"]) == ("healthy", "unknown")
    assert body["checked_at"] == max(shown["checked_at"] for shown in body["providers"].values())


# -- the examples of our own documents --------------------------------------------------------------------------------

ADDRESS = "http://127.0.0.1:9000"  # where the README's commands find what `make run` has started
RECEIPTS = {"results": [dict], "next": Or(str, None)}
REGISTERED = {"success": True, "message": str, "tier": "registered", "email": "you@example.com"}

# The commands of each document in order: the path asked, the status and the shape of the answer; None = an event stream.
COMMANDS: dict[str, list[tuple[str, int, Any]]] = {
    "README.md": [
        ("/v1/client/chat", 200, CHAT),
        ("/v1/auth/register", 201, REGISTERED),
        ("/v1/auth/login", 200, LOGIN),
        ("/v1/client/models", 200, MODELS),
        ("/v1/client/chat", 200, None),
        ("/v1/keys", 201, NEW_KEY),
        ("/v1/usage", 200, RECEIPTS),
    ],
    "docs/api.md": [
        ("/v1/auth/register", 201, REGISTERED),
        ("/v1/auth/login", 200, LOGIN),
        ("/v1/keys", 201, NEW_KEY),
        ("/v1/client/chat", 200, CHAT),
    ],
}


def blocks(document: str, language: str) -> list[str]:
    text = (Path(settings.BASE_DIR) / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(document: str) -> list[str]:
    """Each command of the blocks that call curl, its continued lines joined."""
    with_curl = [block for block in blocks(document, "bash") if "curl" in block]
    return [line.strip() for block in with_curl for line in block.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.fixture
def run(live: LiveServer, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """run(command, TOKEN=…): the status, the path asked and the body. curl is told what to add by its own file, not in the command."""
    assert shutil.which("curl"), "the examples need curl"
    (tmp_path / ".curlrc").write_text('silent\nshow-error\nmax-time = 20\nwrite-out = "\\n%{http_code} %{url_effective}"\n')

    def run(command: str, **environment: str) -> tuple[int, str, str]:
        told = {
            "PATH": os.environ["PATH"],
            "CURL_HOME": str(tmp_path),
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "URL": live.url,
            **environment,
        }
        script = command.replace(ADDRESS, live.url)
        done = subprocess.run(["bash", "-euc", script], env=told, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, ""), command
        body, _newline, end = done.stdout.rpartition("\n")
        status, _space, url = end.partition(" ")
        return int(status), url.removeprefix(live.url), body

    return run


@pytest.mark.parametrize("document", COMMANDS)
def test_every_command_of_a_document_does_what_it_says(
    document: str, run: Callable[..., tuple[int, str, str]], upstream: FakeUpstream
) -> None:
    upstream.always(Answer(["Docker ist ", "…"], usage=(40, 3)))
    environment: dict[str, str] = {}
    done: list[tuple[str, int, Any]] = []
    answers: dict[str, Any] = {}
    for command in commands(document):
        if command.startswith("export TOKEN="):  # the reader's part: what the login answered
            assert environment["TOKEN"].startswith(command.removeprefix("export TOKEN=").rstrip("…"))
            continue
        status, path, body = run(command, **environment)
        expected = dict(enumerate(COMMANDS[document])).get(len(done), ("no more commands", 0, None))
        done.append((path, status, expected[2]))
        answers[path] = streamed(body) if expected[2] is None else json.loads(body)
        assert not misfits(answers[path], expected[2] or CHAT), command
        if path == "/v1/auth/login":
            environment["TOKEN"] = answers[path]["token"]
    assert done == COMMANDS[document]
    assert (answers["/v1/auth/login"]["user_id"], answers["/v1/auth/login"]["tier"]) == ("you@example.com", "registered")
    assert (answers["/v1/client/chat"]["model"], answers["/v1/client/chat"]["tier"]) == (MODEL, "registered")
    assert answers["/v1/keys"]["name"] == "laptop"
    if "/v1/usage" in answers:
        assert [row["request_id"] for row in answers["/v1/usage"]["results"]] == [answers["/v1/client/chat"]["request_id"]]


def streamed(body: str) -> Any:
    """The object a stream ends with, after deltas that are its text."""
    events = events_of(body)
    assert [name for name, _data in events] == ["delta"] * (len(events) - 1) + ["done"]
    assert "".join(data["text"] for _name, data in events[:-1]) == events[-1][1]["response"]
    return events[-1][1]


def test_every_curl_of_the_documents_is_run() -> None:
    """Also those that stand in no block for bash."""
    for document in COMMANDS:
        text = (Path(settings.BASE_DIR) / document).read_text()
        assert len(re.findall(r"\bcurl ", text)) == sum("curl " in command for command in commands(document)) == len(COMMANDS[document])


def test_the_readmes_answer_is_one_that_a_chat_gives() -> None:
    [shown] = blocks("README.md", "json")
    answer = json.loads(shown)
    assert not misfits(answer, CHAT)
    assert answer["tokens_used"] + answer["tokens_remaining"] == GUEST_TIER["daily_token_limit"]
