"""The examples of conversations; see triforce/examples.py."""

from __future__ import annotations

from typing import Any

ID = "3f0f8f0e-6f1f-4b7c-9d0a-5c1f6f9e2a10"
TURN_ID = "a4f3c8f2-8d8e-4f53-9a3b-1f2e3d4c5b6a"
ATTACHMENT_ID = "c7a1d1c4-52c7-4b8f-8f0e-0d9f7a6b5c4d"
MODEL = "ollama/deepseek-v3.1:671b-cloud"
SUMMARY = {
    "id": ID,
    "title": "Erkläre mir Docker",
    "folder": "Arbeit",
    "pinned": False,
    "model": MODEL,
    "created": "2026-01-31T12:00:00Z",
    "changed": "2026-01-31T12:00:02Z",
    "running": False,
    "shared": True,
    "restorable_until": None,
}
TURN: dict[str, Any] = {
    "id": TURN_ID,
    "parent": None,
    "siblings": [TURN_ID],
    "group": None,
    "prompt": "Erkläre mir Docker",
    "attachments": [],
    "answer": "Docker ist eine Containerisierungs-Plattform…",
    "reasoning": "",
    "seq": 42,
    "model": MODEL,
    "requested_model": MODEL,
    "backend": "ollama",
    "state": "done",
    "error": None,
    "finish_reason": "stop",
    "request_id": "req_k3v5x7q2m4n6p8r1t9w0y3z5ab",
    "tokens_used": 523,
    "input_tokens": 123,
    "output_tokens": 400,
    "latency_ms": 1842,
    "fallback_used": False,
    "warnings": [],
    "created": "2026-01-31T12:00:00Z",
    "alternatives": [],
}
LINK = {"url": "https://api.example.com/shared/Vd2Q…", "expires": "2026-02-07T12:00:00Z"}
WHOLE = {
    **SUMMARY,
    "system_prompt": "",
    "parameters": {"temperature": 0.7},
    "leaf": TURN_ID,
    "share": LINK,
    "turns": [TURN],
    "before": None,
}
EXPORT = {
    "format": "triforce-conversations",
    "version": 1,
    "exported": "2026-01-31T12:00:00Z",
    "conversations": [
        {
            "id": ID,
            "title": "Erkläre mir Docker",
            "leaf": TURN_ID,
            "turns": [{"id": TURN_ID, "parent": None, "prompt": "Erkläre mir Docker", "answer": "Docker ist …"}],
        }
    ],
}
ATTACHMENT = {
    "id": ATTACHMENT_ID,
    "name": "bericht.pdf",
    "kind": "text",
    "media_type": "application/pdf",
    "size": 183211,
    "tokens": 4120,
    "url": None,
}

EXAMPLES: dict[str, tuple[Any, Any]] = {
    "list_conversations": (None, {"results": [SUMMARY], "next": None}),
    "list_folders": (None, {"folders": [{"name": "Arbeit", "count": 3}]}),
    "get_conversation": (None, WHOLE),
    "change_conversation": ({"title": "Docker", "pinned": True}, {**WHOLE, "title": "Docker", "pinned": True}),
    "delete_conversation": (None, {"deleted": True, "restorable_until": "2026-02-07T12:00:00Z"}),
    "restore_conversation": (None, SUMMARY),
    "list_turns": (None, {"turns": [TURN], "before": None}),
    "share_conversation": ({"days": 7}, LINK),
    "unshare_conversation": (None, {"success": True}),
    "export_conversation": (None, EXPORT),
    "export_conversations": (None, EXPORT),
    "import_conversations": (EXPORT, {"imported": 1, "skipped": 0, "conversations": [ID]}),
    "upload_attachment": (None, ATTACHMENT),
    "delete_attachment": (None, {"success": True}),
    "get_attachment": (None, None),
}
