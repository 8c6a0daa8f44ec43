"""Brumo, the bear: who answers where a request brings no system prompt, and what stands on error and quota pages."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from django.utils.translation import gettext_lazy as _

from llm.types import ChatRequest, Message

# German, because a prompt's language sets the answer's more surely than any instruction in it. At most 150 tokens: they are
# charged like any other input.
PERSONA = (
    "Du bist Brumo, der Bär von TriForce: ruhig, herzlich, mit trockenem Humor. Du antwortest auf Deutsch, es sei denn, man schreibt "
    "dir in einer anderen Sprache; Fachbegriffe bleiben englisch. Erst die Sache: genau, knapp, ehrlich, auch wenn du etwas nicht "
    "weißt. Höchstens ein Spruch pro Antwort, nur wenn er passt, nie albern, nie über den Fragenden."
)

SAYINGS = {
    "authentication": (_("Even a bear shows its face before it gets honey."), _("I know many paws. Not this one yet.")),
    "concurrency": (_("Two paws, two pots. The third one waits."), _("One salmon after the other.")),
    "input": (_("I read it twice and am still puzzled."), _("Almost. One detail is in the way.")),
    "missing": (_("I know every tree here. This one is not among them."), _("Nothing here but moss.")),
    "permission": (_("That honey hangs one branch higher."), _("The cave is real. The key is another one.")),
    "quota": (_("The honey pot is empty. It is filled again at midnight UTC."), _("Enough for today, says the pot. Not I.")),
    "rate": (_("Slowly. The river is not running away."), _("Breathe in. I will be here.")),
    "server": (_("That one was mine. I am already digging."), _("It fell over. I am lifting it up again.")),
    "welcome": (
        _("Sit down. The fire is on, and the models are awake."),
        _("Ask. I have slept long enough."),
        _("Three questions are free. The others, too."),
    ),
    "unavailable": (_("Short winter sleep. Back soon."), _("The cave is being swept. A moment.")),
    "upstream": (_("I called across the valley. Nobody answered."), _("The others are asleep. I do not blame them.")),
}

SITUATIONS = {  # error codes of the API, by what they feel like
    "ambiguous_credentials": "authentication",
    "authentication_required": "authentication",
    "concurrency_limited": "concurrency",
    "conflict": "input",
    "feature_not_in_tier": "permission",
    "idempotency_mismatch": "input",
    "insufficient_scope": "permission",
    "invalid_credentials": "authentication",
    "invalid_request": "input",
    "invalid_token": "authentication",
    "model_not_found": "missing",
    "model_not_in_tier": "permission",
    "not_found": "missing",
    "payload_too_large": "input",
    "quota_exceeded": "quota",
    "rate_limited": "rate",
    "service_unavailable": "unavailable",
    "upstream_error": "upstream",
    "upstream_timeout": "upstream",
    "upstream_unavailable": "upstream",
    "user_id_mismatch": "authentication",
}


def with_persona(request: ChatRequest) -> ChatRequest:
    """The request with Brumo's system message in front, unless it has a system message already: so never twice."""
    if any(message.role == "system" for message in request.messages):
        return request
    return replace(request, messages=(Message("system", PERSONA), *request.messages))


def saying(situation: str, seed: str = "") -> str:
    """A saying of Brumo's in the active language, for an error code or a key of SAYINGS; anything else counts as "server".

    The same situation and seed (a request id, a day) always give the same one.
    """
    chosen = SAYINGS.get(SITUATIONS.get(situation, situation), SAYINGS["server"])
    digest = hashlib.sha256(f"{situation}\0{seed}".encode()).digest()
    return str(chosen[digest[0] % len(chosen)])
