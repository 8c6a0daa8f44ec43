"""Lists of models over the transport: pages followed, doubles dropped, an end in any case."""

import pytest

from llm.providers import anthropic, openai
from llm.providers.errors import UpstreamError
from llm.providers.listings import MOST_PAGES, list_models


class Pages:
    """A transport that answers from a list of pages, and remembers what it was asked."""

    def __init__(self, *pages):
        self.pages = list(pages)
        self.asked = []

    async def get_json(self, url, headers, **more):
        self.asked.append((url, headers, more))
        return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]


async def test_it_follows_the_pages_and_names_each_model_once():
    first = {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "last_id": "b"}
    pages = Pages(first, {"data": [{"id": "b"}, {"id": "c"}], "has_more": False})
    models = await list_models(pages, anthropic.WIRE, "https://api.example/", "k")
    assert [model.native_id for model in models] == ["a", "b", "c"]
    assert [url for url, *_ in pages.asked] == [
        "https://api.example/v1/models?limit=1000",
        "https://api.example/v1/models?limit=1000&after_id=b",
    ]
    assert pages.asked[0][1]["x-api-key"] == "k"
    assert pages.asked[0][2] == {"allow_private": False}


async def test_it_stops_at_a_list_without_end():
    pages = Pages({"data": [{"id": "a"}], "has_more": True, "last_id": "a"})
    assert len(await list_models(pages, anthropic.WIRE, "https://api.example", "k")) == 1
    assert len(pages.asked) == MOST_PAGES


async def test_it_asks_where_and_how_the_quirks_say():
    pages = Pages({"models": [{"name": "models/g"}]})
    quirks = {"models_path": "../models?pageSize=1000", "models_auth_header": "x-goog-api-key"}
    await list_models(pages, openai.WIRE, "https://host/v1beta/openai", "k", quirks, allow_private=True)
    url, headers, more = pages.asked[0]
    assert url == "https://host/v1beta/models?pageSize=1000"
    assert headers["x-goog-api-key"] == "k" and "Authorization" not in headers
    assert more == {"allow_private": True}


@pytest.mark.parametrize(
    "path", ["https://evil.example/models", "///evil.example/models", "http://host/models", "https://host:8443/models"]
)
async def test_it_takes_the_key_to_no_other_origin(path):
    pages = Pages({"data": []})
    with pytest.raises(UpstreamError):
        await list_models(pages, openai.WIRE, "https://host/v1", "k", {"models_path": path})
    assert pages.asked == []


async def test_it_asks_below_the_base_url():
    pages = Pages({"data": []})
    assert await list_models(pages, openai.WIRE, "https://host/openai/v1", "k") == []
    assert pages.asked[0][0] == "https://host/openai/v1/models"
