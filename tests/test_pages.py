"""The public pages: what they show, in both languages, and what they leave out."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from django.test import Client

from billing.models import Price, Tier
from llm.models import LanguageModel, Provider, Status
from triforce.models import Text

pytestmark = pytest.mark.django_db

PAGES = ["/", "/models", "/models/ollama/ministral-3:14b", "/status", "/prices", "/pages/privacy", "/accounts/login/", "/accounts/signup/"]


@pytest.fixture
def client() -> Client:
    return Client(headers={"accept-language": "en"})


def shown(client: Client, path: str) -> str:
    """The page as text, its spaces joined."""
    response = client.get(path)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["de", "en"])
def test_every_page_has_a_policy_a_title_and_its_language(path: str, language: str) -> None:
    response = Client(headers={"accept-language": language}).get(path)
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    html = response.content.decode()
    assert f'<html lang="{language}"' in html
    assert re.search(r"<title>[^<]*\bTriForce", html)
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle=|\son\w+=", html)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', html)


def test_the_language_can_be_chosen(client: Client) -> None:
    assert "Every large language model." in shown(client, "/")
    assert client.post("/language", {"language": "de", "next": "/prices"}).headers["Location"] == "/prices"
    assert "Alle großen Sprachmodelle." in shown(client, "/")


def test_the_look_can_be_chosen(client: Client) -> None:
    assert "data-theme" not in shown(client, "/")
    client.post("/appearance", {"theme": "dark", "next": "/models"})
    assert 'data-theme="dark"' in shown(client, "/")
    client.post("/appearance", {"theme": '"><script>', "next": "/"})
    assert 'data-theme="dark"' in shown(client, "/")


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_it_leads_nowhere_else(client: Client, elsewhere: str) -> None:
    assert client.post("/appearance", {"theme": "dark", "next": elsewhere}).headers["Location"] == "/"


def test_prices_are_the_tiers(client: Client) -> None:
    Tier.objects.filter(slug="pro").update(price_monthly="21.50", daily_tokens=123_456)
    page = shown(client, "/prices")
    assert "21.50 €" in page
    assert "123,456" in page
    assert "59.99 €" in page


def test_tiers_are_named_in_the_page_s_language_and_in_the_api_as_ever(client: Client) -> None:
    page, german = shown(client, "/prices"), shown(Client(headers={"accept-language": "de"}), "/prices")
    assert all(f">{name}<" in page for name in ("Guest", "Registered", "Pro", "Unlimited"))
    assert all(words in page and words not in german for words in ("20 Ollama cloud models", "All features"))
    assert "Registriert" in german and "Registriert" not in page
    assert [tier["name"] for tier in client.get("/v1/tiers").json()] == ["Gast", "Registriert", "Pro", "Unlimited"]
    tier = Tier.objects.get(slug="guest")
    tier.name_en, tier.features_en = "", []
    tier.save()
    page = shown(client, "/prices")
    assert "Gast" in page and "20 Ollama Cloud-Modelle" in page


def test_the_catalogue_is_searched_and_narrowed(client: Client) -> None:
    everything = shown(client, "/models")
    assert "20 of 20 models." in everything
    found = shown(client, "/models?q=qwen")
    assert "ollama/qwen3-coder:480b-cloud" in found
    assert "ollama/kimi-k2:1t-cloud" not in found
    assert "kimi" not in shown(client, "/models?capability=vision&q=qwen")
    assert "0 of 20 models." in shown(client, "/models?q=nosuchmodel")
    assert "20 of 20 models." in shown(client, "/models?provider=nobody&order=backwards&page=99&tier=king")


def test_the_catalogue_says_what_a_model_costs_and_counts_as_its_reader_does(client: Client) -> None:
    price = Price.objects.create(model_id="ollama/kimi-k2:1t-cloud", input=Decimal("0.5"), output=Decimal("2.5"), source="test")
    assert "List price" not in shown(client, "/models?q=kimi")
    assert LanguageModel.objects.filter(model_id__contains="kimi").update(price=price)
    page = shown(client, "/models?q=kimi")
    assert "List price: 0.500 $ in, 2.500 $ out, a million tokens" in page and "≥ 32,000" in page
    assert "≥ 32.000" in shown(Client(headers={"accept-language": "de"}), "/models")


def test_the_catalogue_is_ordered(client: Client) -> None:
    def names(path: str) -> list[str]:
        return re.findall(r'<h2><a href="[^"]*">([^<]*)</a>', shown(client, path))

    by_name = names("/models?order=name")
    assert by_name == sorted(by_name, key=str.casefold)
    assert names("/models")[0] == "DeepSeek V3.1"


def test_many_models_have_pages(client: Client) -> None:
    ollama, tier = Provider.objects.get(slug="ollama"), Tier.objects.get(slug="guest")
    LanguageModel.objects.bulk_create(
        LanguageModel(provider=ollama, native_id=f"made-up:{n}", model_id=f"ollama/made-up:{n}", min_tier=tier, capabilities=["chat"])
        for n in range(60)
    )
    first, second = shown(client, "/models?q=made-up"), shown(client, "/models?q=made-up&page=2")
    assert "Page 1 of 2" in first
    assert 'href="?q=made-up&amp;page=2"' in first
    assert (first.count("<article"), second.count("<article")) == (48, 12)


def test_a_models_page_says_how_it_does(client: Client) -> None:
    model = LanguageModel.objects.get(model_id="ollama/deepseek-v3.1:671b-cloud")
    model.status, model.ttft_ms, model.description = Status.DEGRADED, 1234, "<b>bold</b>"
    model.save()
    page = shown(client, f"/models/{model.model_id}")
    assert '<span class="badge dot degraded">degraded</span>' in page
    assert "1,234 ms" in page
    assert "&lt;b&gt;bold" in page
    assert model.model_id in shown(client, "/status")


@pytest.mark.parametrize("path", ["/models/ollama/nosuch", "/models/nosuch", "/pages/nosuch", "/nosuch"])
def test_what_is_not_there_is_told_kindly(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_what_is_switched_off_is_not_there(client: Client) -> None:
    LanguageModel.objects.filter(model_id="ollama/deepseek-v3.1:671b-cloud").update(enabled=False)
    assert client.get("/models/ollama/deepseek-v3.1:671b-cloud").status_code == 404
    assert "deepseek-v3.1" not in shown(client, "/models")


def test_texts_are_the_operators_and_html_in_them_is_text(client: Client) -> None:
    Text.objects.filter(slug="terms", language="en").delete()
    Text.objects.filter(slug="terms").update(body="# Regeln\n\n<script>alert(1)</script> [x](javascript:alert(1))")
    page = shown(client, "/pages/terms")
    assert "<h1>Regeln</h1>" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    assert "Nutzungsbedingungen" in shown(client, "/")
    assert ">Privacy</a>" in shown(client, "/")


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/appearance", "text/html; charset=utf-8", "That form is too old"),
        ("/readyz", "application/json", "permission_denied"),
    ],
)
def test_a_form_without_its_token_is_told_kindly(path: str, kind: str, words: str) -> None:
    response = Client(headers={"accept-language": "en"}, enforce_csrf_checks=True).post(path, {"theme": "dark"})
    assert (response.status_code, response.headers["Content-Type"]) == (403, kind)
    assert words in response.content.decode()
