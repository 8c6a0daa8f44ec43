"""The addresses of models, chats, tiers and receipts."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from billing.schema import documented
from llm import (
    doors,
    pages,
    pages_chat,
    pages_settings,
    pages_usage,
    views,
    views_conversations,
    views_status,
    views_transfer,
    views_usage,
)
from llm.schema import ChatSchema, QuoteSchema

urlpatterns: list[URLPattern | URLResolver] = [
    path("", pages.start, name="start"),
    path("models", pages.models, name="models"),
    path("models/<path:model_id>", pages.model, name="model"),
    path("status", pages.status, name="status"),
    path("chat", pages_chat.chat, name="chat"),
    path("chat/<uuid:conversation_id>", pages_chat.chat, name="own_conversation"),
    path("prices", pages.prices, name="prices"),
    path("shared/<str:token>", pages_chat.shared, name="shared"),
    path("account/settings", pages_settings.own_settings, name="own_settings"),
    path("dashboard", pages_usage.dashboard, name="dashboard"),
    path("receipts", pages_usage.receipts, name="usage"),
    path("receipts/<str:request_id>", pages_usage.receipt, name="usage_receipt"),
    path("v1/conversations", views_conversations.ConversationsView.as_view(), name="conversations"),
    path("v1/conversations/folders", views_conversations.FoldersView.as_view(), name="folders"),
    path("v1/conversations/export", views_transfer.ExportAllView.as_view(), name="export-all"),
    path("v1/conversations/import", views_transfer.ImportView.as_view(), name="import"),
    path("v1/conversations/<uuid:conversation_id>", views_conversations.ConversationView.as_view(), name="conversation"),
    path("v1/conversations/<uuid:conversation_id>/turns", views_conversations.TurnsView.as_view(), name="turns"),
    path("v1/conversations/<uuid:conversation_id>/restore", views_conversations.RestoreView.as_view(), name="restore"),
    path("v1/conversations/<uuid:conversation_id>/share", views_transfer.ShareView.as_view(), name="share"),
    path("v1/conversations/<uuid:conversation_id>/export", views_transfer.ExportView.as_view(), name="export"),
    path("v1/attachments", views_transfer.AttachmentsView.as_view(), name="attachments"),
    path("v1/attachments/<uuid:attachment_id>", views_transfer.AttachmentView.as_view(), name="attachment"),
    path("v1/attachments/<uuid:attachment_id>/content", views_transfer.AttachmentContentView.as_view(), name="attachment-content"),
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
