"""Providers' lists of models. Every field but the id is optional everywhere, so each is read where it stands and left out where not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from llm.providers.base import NO_QUIRKS, InvalidAnswer, ListedModel, Wire
from llm.providers.guard import refused
from llm.providers.transport import Transport

MOST_PAGES = 20
MOST_MODELS = 10_000
MOST_WINDOW = 1_000_000_000

Page = tuple[list[ListedModel], str | None]

# What providers call a capability, and what we call it.
SAID = {
    "completion_chat": "chat",
    "completion": "chat",
    "chat": "chat",
    "supports_chat": "chat",
    "generateContent": "chat",
    "function_calling": "tools",
    "supports_tools": "tools",
    "tools": "tools",
    "vision": "vision",
    "supports_image_input": "vision",
    "supports_image_in": "vision",
    "image_input": "vision",
    "structured_outputs": "json",
    "response_format": "json",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "supports_reasoning": "reasoning",
    "embedding": "embedding",
    "embeddings": "embedding",
    "embedContent": "embedding",
    "image": "image",
    "audio": "audio",
    "audio_transcription": "transcription",
    "audio_speech": "speech",
    "ocr": "ocr",
    "moderation": "moderation",
    "rerank": "rerank",
    "language": "completion",
    "code": "completion",
}


async def list_models(
    transport: Transport, wire: Wire, base_url: str, key: str, quirks: Mapping[str, Any] = NO_QUIRKS, *, allow_private: bool = False
) -> list[ListedModel]:
    """Every model a provider lists, page after page, each once. Raises UpstreamError, also where `models_path` leads to another server.

    Quirks: `models_path` (relative to the base URL; `../models` leaves its last part) and `models_auth_header` for the key.
    """
    base = URL(base_url.rstrip("/") + "/")
    url = base.join(URL(quirks.get("models_path", wire.models_path).removeprefix("/")))
    if url.origin() != base.origin():
        raise refused()  # its key is for that provider alone
    auth = {"auth_header": quirks["models_auth_header"]} if "models_auth_header" in quirks else {}
    headers = {**wire.headers(key, {**quirks, **auth}), "Accept": "application/json"}
    found: dict[str, ListedModel] = {}
    page: str | None = ""
    for _number in range(MOST_PAGES):
        asked = url.update_query(page) if page else url
        models, page = wire.parse_models(await transport.get_json(str(asked), headers, allow_private=allow_private))
        for model in models:
            found.setdefault(model.native_id, model)
        if not page or not models or len(found) >= MOST_MODELS:
            break
    return list(found.values())[:MOST_MODELS]


def openai_models(payload: Any) -> Page:
    """OpenAI's `data` and its richer kin (OpenRouter, Mistral, Groq, Moonshot, Fireworks), Together's bare list, Gemini's own pages."""
    if isinstance(payload, dict) and isinstance(payload.get("models"), list):
        token = payload.get("nextPageToken")
        return [_gemini(row) for row in _rows(payload["models"], "name")], urlencode({"pageToken": token}) if token else None
    rows = payload if isinstance(payload, list) else payload.get("data") if isinstance(payload, dict) else None
    return [_openai(row) for row in _rows(rows, "id") if row.get("active") is not False], None


def ollama_models(payload: Any) -> Page:
    """`/api/tags`: what is pulled, or what Ollama Cloud offers."""
    rows = payload.get("models") if isinstance(payload, dict) else None
    return [_ollama(row) for row in _rows(rows, "name")], None


def anthropic_models(payload: Any) -> Page:
    """`/v1/models`, in pages that name the last id."""
    rows = _rows(payload.get("data") if isinstance(payload, dict) else None, "id")
    more = payload.get("has_more") and payload.get("last_id")
    return [_anthropic(row) for row in rows if row.get("lifecycle") != "retired"], urlencode({"after_id": more}) if more else None


def _rows(rows: Any, key: str) -> list[dict[str, Any]]:
    """The entries that have an id. Raises InvalidAnswer where there is no list at all."""
    if not isinstance(rows, list):
        raise InvalidAnswer("The provider's list of models is none.")
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get(key), str) and row[key]]


def _openai(row: dict[str, Any]) -> ListedModel:
    top = _object(row.get("top_provider"))
    return ListedModel(
        native_id=row["id"].removeprefix("models/"),
        name=_first_text(row, "name", "display_name"),
        context_window=_size(row, "context_length", "context_window", "max_context_length", "max_model_len")
        or _size(top, "context_length"),
        max_output=_size(row, "max_completion_tokens", "max_output_tokens") or _size(top, "max_completion_tokens"),
        capabilities=_openai_capabilities(row),
        created=row["created"] if type(row.get("created")) is int and row["created"] > 0 else None,
    )


def _openai_capabilities(row: dict[str, Any]) -> tuple[str, ...] | None:
    said: list[str] = [name for name in SAID if row.get(name) is True]
    given = row.get("capabilities")
    if isinstance(given, dict):
        said += [name for name, value in given.items() if value is True]
    if isinstance(row.get("type"), str):  # Together
        said.append(row["type"])
    for name in ("supported_parameters", "supported_features"):
        said += _texts(row.get(name))
    known = [SAID[name] for name in said if name in SAID]
    return _once([*known, *_modalities(_object(row.get("architecture")))]) or None


def _modalities(architecture: dict[str, Any]) -> Iterable[str]:
    """OpenRouter's `architecture`: what goes in and what comes out."""
    outputs = _texts(architecture.get("output_modalities"))
    if "text" in outputs:
        yield "chat"
    if "image" in _texts(architecture.get("input_modalities")):
        yield "vision"
    for name in ("image", "audio", "embeddings"):
        if name in outputs:
            yield SAID[name]


def _gemini(row: dict[str, Any]) -> ListedModel:
    known = [SAID[name] for name in _texts(row.get("supportedGenerationMethods")) if name in SAID]
    if row.get("thinking") is True:
        known.append("reasoning")
    return ListedModel(
        native_id=row["name"].removeprefix("models/"),
        name=_first_text(row, "displayName"),
        context_window=_size(row, "inputTokenLimit"),
        max_output=_size(row, "outputTokenLimit"),
        capabilities=_once(known) or None,
    )


def _ollama(row: dict[str, Any]) -> ListedModel:
    details = _object(row.get("details"))
    known = [SAID[name] for name in _texts(row.get("capabilities")) if name in SAID]
    return ListedModel(
        native_id=_first_text(row, "model", "name"),
        name=row["name"],
        context_window=_size(row, "context_length") or _size(details, "context_length"),
        capabilities=_once(known) or None,
    )


def _anthropic(row: dict[str, Any]) -> ListedModel:
    given = _object(row.get("capabilities"))
    known = [SAID[name] for name, value in given.items() if name in SAID and _object(value).get("supported") is True]
    return ListedModel(
        native_id=row["id"],
        name=_first_text(row, "display_name"),
        context_window=_size(row, "max_input_tokens"),
        max_output=_size(row, "max_tokens"),
        capabilities=_once(["chat", "tools", *known]) if given else None,
        created=_seconds(row.get("created_at")),
    )


def _size(row: dict[str, Any], *names: str) -> int | None:
    """The first of these that is a number of tokens."""
    for name in names:
        value = row.get(name)
        if type(value) is int and 0 < value <= MOST_WINDOW:
            return value
    return None


def _seconds(value: object) -> int | None:
    try:
        seconds = int(datetime.fromisoformat(str(value)).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def _first_text(row: dict[str, Any], *names: str) -> str:
    return next((row[name] for name in names if isinstance(row.get(name), str)), "")


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _once(names: Iterable[str]) -> tuple[str, ...]:
    """Each once, chat first. Who calls tools, keeps to a schema or reasons can chat, said or not."""
    known = dict.fromkeys(names)
    chat = ("chat",) if {"chat", "tools", "json", "reasoning"} & known.keys() else ()
    return (*chat, *sorted(known.keys() - {"chat"}))
