"""One example an operation, by its id: (the body sent, the body answered). None = there is none.

A test holds each against its schema, and fails where an operation has none.
"""

from __future__ import annotations

from typing import Any

from triforce import examples_conversations

MODEL = "ollama/deepseek-v3.1:671b-cloud"
CHAT = {"message": "Erkläre mir Docker", "model": MODEL, "temperature": 0.7, "max_tokens": 4096}
ANSWER = {
    "response": "Docker ist eine Containerisierungs-Plattform…",
    "model": MODEL,
    "tier": "pro",
    "backend": "ollama",
    "tokens_used": 523,
    "latency_ms": 1842,
    "fallback_used": False,
    "request_id": "req_k3v5x7q2m4n6p8r1t9w0y3z5ab",
    "finish_reason": "stop",
    "tokens_remaining": 249477,
    "warnings": [],
}
PRO = {
    "tier": "pro",
    "name": "Pro",
    "tier_name": "Pro",
    "price_monthly": 18.99,
    "price_yearly": 189.99,
    "features": ["600+ KI-Modelle", "250k Tokens/Tag (Cloud)", "Ollama ∞ unlimited", "MCP Tools ✓", "Email Support"],
    "model_count": "all",
    "mcp_access": True,
    "cli_agents": True,
    "local_cli_agents": True,
    "priority_queue": False,
    "support_level": "email",
    "daily_token_limit": 250000,
    "ollama_unlimited": True,
}
RECEIPT = {
    "request_id": "req_k3v5x7q2m4n6p8r1t9w0y3z5ab",
    "created": "2026-01-31T12:00:00Z",
    "closed": "2026-01-31T12:00:02Z",
    "state": "settled",
    "entry_point": "client",
    "tier": "pro",
    "key_id": None,
    "day": "2026-01-31",
    "usage_class": "unlimited",
    "requested_model": MODEL,
    "served_model": MODEL,
    "attempts": [{"provider": "ollama", "model": MODEL, "outcome": "ok", "status": 200, "ms": 1830}],
    "streamed": False,
    "input_tokens": 123,
    "cached_input_tokens": 0,
    "cache_write_tokens": 0,
    "output_tokens": 400,
    "reasoning_tokens": 0,
    "estimated": False,
    "reserved": 4310,
    "charged": 523,
    "rule": "answered",
    "price_version": None,
    "latency_ms": 1842,
    "ttft_ms": 610,
    "finish_reason": "stop",
    "error_code": "",
}
KEY = {
    "id": 7,
    "name": "laptop",
    "hint": "tf_live_3kQ…9fZa",
    "scopes": ["chat", "usage"],
    "models": [],
    "daily_token_limit": 20000,
    "created": "2026-01-31T12:00:00Z",
    "expires_at": None,
    "last_used_at": None,
    "revoked": False,
}
NEW_KEY = {**KEY, "key": "tf_live_…"}
DEVICE = {
    "device_id": "0b8e2c7e-5d39-4c8f-9c0e-6a8f2f1d7b11",
    "device_name": "Höhle",
    "device_type": "desktop",
    "client_id": "client-user-0123456789abcdef",
    "created_at": "2026-01-31T12:00:00Z",
    "last_seen": None,
    "is_active": True,
}
SETTINGS = {"theme": "dark", "default_model": MODEL, "brumo": True, "substitution": "any", "quota_mails": True}
SYNCED = {"encrypted_data": "SG9uaWc=", "checksum": "0123456789abcdef", "timestamp": "2026-01-31T12:00:00Z", "revision": 4}

EXAMPLES: dict[str, tuple[Any, Any]] = {
    "health": (None, {"ok": True, "status": "ok"}),
    "healthz": (None, {"ok": True, "status": "ok"}),
    "readyz": (None, {"ok": True, "status": "ok", "checks": {"database": "ok", "migrations": "ok", "cache": "ok", "serving": "ok"}}),
    "login": (
        {"email": "user@example.com", "password": "your_password"},
        {"user_id": "user@example.com", "token": "eyJ…", "tier": "pro", "client_id": "client-user-0123456789abcdef"},
    ),
    "register": (
        {"email": "user@example.com", "password": "a long passphrase", "name": "Ursula"},
        {
            "success": True,
            "message": "Thank you. We have sent you an e-mail; you can sign in now.",
            "tier": "registered",
            "email": "user@example.com",
        },
    ),
    "logout": ({"everywhere": False}, {"success": True}),
    "device_token": (
        {"client_id": "client-user-0123456789abcdef", "client_secret": "…"},
        {"token": "eyJ…", "user_id": "user@example.com", "tier": "pro", "expires_in": 2592000},
    ),
    "who_am_i": (
        None,
        {
            "user_id": "user@example.com",
            "id": 5,
            "email": "user@example.com",
            "name": "Ursula",
            "tier": "pro",
            "tier_name": "Pro",
            "email_verified": True,
            "carrier": "token",
            "scopes": ["chat", "mcp", "memory", "usage"],
            "created": "2026-01-31T12:00:00Z",
        },
    ),
    "list_keys": (None, {"keys": [KEY], "count": 1}),
    "create_key": ({"name": "laptop", "scopes": ["chat", "usage"], "daily_token_limit": 20000}, NEW_KEY),
    "revoke_key": (None, {"success": True}),
    "rotate_key": ({"grace_seconds": 3600}, NEW_KEY),
    "get_settings": (None, SETTINGS),
    "set_settings": ({"settings": {"theme": "dark"}, "merge": True}, SETTINGS),
    "get_synced_settings": (None, SYNCED),
    "sync_settings": ({**SYNCED, "revision": 3}, {"success": True, "revision": 4}),
    "list_devices": (None, {"devices": [DEVICE], "count": 1}),
    "add_device": (
        {"device_name": "Höhle", "device_type": "desktop"},
        {"device_id": DEVICE["device_id"], "client_id": DEVICE["client_id"], "client_secret": "…"},
    ),
    "remove_device": (None, {"success": True, "device_id": DEVICE["device_id"]}),
    "send_logs": (
        {"logs": [{"level": "error", "message": "No connection"}], "client_info": {"version": "4.3.0"}},
        {"status": "accepted", "received": 1},
    ),
    "newest_client": (
        None,
        {
            "version": "4.3.0",
            "build_date": "2026-01-31",
            "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "download_url": "https://example.com/client-4.3.0.deb",
            "changelog": "Streams survive a reload.",
            "filename": "client-4.3.0.deb",
            "platform": "linux",
        },
    ),
    "list_models": (
        None,
        {
            "tier": "guest",
            "tier_name": "Gast",
            "model_count": 2,
            "models": [MODEL, "ollama/qwen3-coder:480b-cloud"],
            "backend": "ollama",
            "upgrade_available": True,
        },
    ),
    "models_availability": (
        None,
        {
            "checked_at": "2026-01-31T12:00:00Z",
            "excluded_models": [],
            "excluded_count": 0,
            "providers": {"ollama": {"provider": "ollama", "api_key_set": True, "checked_at": "2026-01-31T12:00:00Z", "status": "healthy"}},
            "models": {MODEL: {"status": "healthy", "since": "2026-01-30T08:00:00Z", "ttft_ms": 610}},
        },
    ),
    "ollama_status": (None, {"status": "online", "url": "Ollama", "models_loaded": 1, "models": ["deepseek-v3.1:671b-cloud"]}),
    "client_chat": (CHAT, ANSWER),
    "quote": (
        CHAT,
        {
            "input_tokens": 120,
            "max_output_tokens": 4096,
            "max_charge": 4310,
            "share_of_remaining": 0.0172,
            "would_be_admitted": True,
            "reason": None,
        },
    ),
    "list_tiers": (None, [PRO]),
    "your_tier": (
        None,
        {
            **PRO,
            "tokens_today": 523,
            "tokens_used_today": 523,
            "token_limit": 250000,
            "tokens_remaining": 249477,
            "resets_at": "2026-02-01T00:00:00Z",
            "created": "2026-01-01T09:00:00Z",
        },
    ),
    "tokens_today": (
        None,
        {
            "user_id": "user@example.com",
            "tier": "pro",
            "date": "2026-01-31",
            "used_today": 523,
            "reserved": 0,
            "limit": 250000,
            "remaining": 249477,
            "unlimited": False,
            "ollama_unlimited": True,
            "used_unlimited_today": 12000,
            "resets_at": "2026-02-01T00:00:00Z",
        },
    ),
    "list_receipts": (None, {"results": [RECEIPT], "next": None}),
    "get_receipt": (None, RECEIPT),
}

EXAMPLES |= examples_conversations.EXAMPLES
