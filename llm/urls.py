"""The addresses of models, chats, tiers and receipts."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from billing.schema import documented
from llm import doors, pages, pages_settings, pages_usage, views, views_status, views_usage
from llm.schema import ChatSchema, QuoteSchema

urlpatterns: list[URLPattern | URLResolver] = [
    path("", pages.start, name="start"),
    path("models", pages.models, name="models"),
    path("models/<path:model_id>", pages.model, name="model"),
    path("status", pages.status, name="status"),
    path("prices", pages.prices, name="prices"),
    path("account/settings", pages_settings.own_settings, name="own_settings"),
    path("dashboard", pages_usage.dashboard, name="dashboard"),
    path("receipts", pages_usage.receipts, name="usage"),
    path("receipts/<str:request_id>", pages_usage.receipt, name="usage_receipt"),
    path("v1/client/models", views.ModelsView.as_view(), name="client-models"),
    path("v1/client/models/availability", views_status.AvailabilityView.as_view(), name="models-availability"),
    path("v1/client/ollama/status", views_status.OllamaStatusView.as_view(), name="ollama-status"),
    path("v1/client/chat", documented(doors.chat, ChatSchema), name="client-chat"),
    path("v1/quote", documented(doors.quote, QuoteSchema), name="quote"),
    path("v1/tiers", views_usage.TiersView.as_view(), name="tiers"),
    path("v1/client/tier", views_usage.YourTierView.as_view(), name="client-tier"),
    path("v1/client/tokens/usage", views_usage.TokensView.as_view(), name="tokens-usage"),
    path("v1/usage", views_usage.ReceiptsView.as_view(), name="receipts"),
    path("v1/usage/<str:request_id>", views_usage.ReceiptView.as_view(), name="receipt"),
]
