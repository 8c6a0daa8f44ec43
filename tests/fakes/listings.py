"""Lists of models, as each provider gives them, and what else Ollama tells about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.http11 import Request
from tests.fakes.wires import CREATED, CREATED_TEXT

Model = str | Mapping[str, Any]  # a name, or fields that win over the usual ones, among them "id"
VERSION = "0.13.0"


def listing(request: Request, models: Sequence[Model], page_size: int) -> dict[str, Any] | None:
    """What this GET is answered with; None for a path that no provider has. `page_size` 0 = all in one page."""
    query = {name: values[-1] for name, values in parse_qs(request.query).items()}
    if request.path == "/v1beta/models":
        return _gemini(models, query, page_size)
    if request.path.endswith("/models"):
        anthropic = "anthropic-version" in request.headers
        return _anthropic(models, query, page_size) if anthropic else _openai(models)
    for ending, answer in OLLAMA.items():
        if request.path.endswith(ending):
            return answer(models)
    return None


def show(model: str) -> dict[str, Any]:
    """Ollama's POST /api/show."""
    return {
        "modelfile": f"FROM {model}\n",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": {"general.architecture": "fake", "general.parameter_count": 1, "fake.context_length": 8192},
        "capabilities": ["completion", "tools", "thinking"],
        "modified_at": CREATED_TEXT,
    }


def _name(model: Model) -> str:
    return model if isinstance(model, str) else str(model["id"])


def _own(model: Model) -> dict[str, Any]:
    return {} if isinstance(model, str) else {name: value for name, value in model.items() if name != "id"}


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "fake",
        "families": ["fake"],
        "parameter_size": "1B",
        "quantization_level": "Q4_K_M",
    }


def _ollama(model: Model, **more: Any) -> dict[str, Any]:
    name = _name(model)
    return {"name": name, "model": name, "size": 1_000_000, "digest": "0" * 64, "details": _details(), **more, **_own(model)}


OLLAMA: dict[str, Callable[[Sequence[Model]], dict[str, Any]]] = {
    "/api/tags": lambda models: {"models": [_ollama(model, modified_at=CREATED_TEXT) for model in models]},
    "/api/ps": lambda models: {"models": [_ollama(model, expires_at=CREATED_TEXT, size_vram=0) for model in models]},
    "/api/version": lambda _: {"version": VERSION},
}


def _openai(models: Sequence[Model]) -> dict[str, Any]:
    rows = [{"id": _name(model), "object": "model", "created": CREATED, "owned_by": "fake", **_own(model)} for model in models]
    return {"object": "list", "data": rows}


def _anthropic(models: Sequence[Model], query: Mapping[str, str], page_size: int) -> dict[str, Any]:
    names = [_name(model) for model in models]
    start = names.index(query["after_id"]) + 1 if query.get("after_id") in names else 0
    end = start + min(page_size or len(models), int(query.get("limit", 20)))
    rows = [
        {"type": "model", "id": _name(model), "display_name": _name(model), "created_at": CREATED_TEXT, **_own(model)}
        for model in models[start:end]
    ]
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return {"data": rows, "has_more": end < len(models), "first_id": first, "last_id": last}


def _gemini(models: Sequence[Model], query: Mapping[str, str], page_size: int) -> dict[str, Any]:
    start = int(query.get("pageToken", 0))
    end = start + min(page_size or len(models), int(query.get("pageSize", 50)))
    usual = {
        "version": "001",
        "inputTokenLimit": 8192,
        "outputTokenLimit": 2048,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    rows = [{"name": f"models/{_name(model)}", "displayName": _name(model), **usual, **_own(model)} for model in models[start:end]]
    return {"models": rows, **({"nextPageToken": str(end)} if end < len(models) else {})}
