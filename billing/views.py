"""The one door for Stripe's events."""

from __future__ import annotations

import threading

import stripe
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from djstripe.views import ProcessWebhookView

from billing import webhooks

MOST_AT_ONCE = 4  # in a process: each holds a connection to the database while Stripe is asked, and the site needs some too
AGAIN_SECONDS = 5

_process = ProcessWebhookView.as_view()
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponseBase:
    """POST /stripe/webhook: 200 = handled, 400 = the signature is not Stripe's, 500 and 503 = Stripe shall send it again."""
    if not settings.STRIPE_SECRET_KEY or not settings.STRIPE_WEBHOOK_SECRET:
        raise Http404
    if not _is_stripes(request):
        return HttpResponseBadRequest()
    if not _places.acquire(blocking=False):
        return HttpResponse(status=503, headers={"Retry-After": str(AGAIN_SECONDS)})
    try:
        response: HttpResponseBase = _process(request, uuid=webhooks.endpoint().djstripe_uuid)
    finally:
        _places.release()
    return response


def _is_stripes(request: HttpRequest) -> bool:
    """Signed with our secret, not long ago. dj-stripe asks this too, but stores what it is sent before it does, and with DEBUG it takes
    the secret from a header if there is one."""
    try:
        body, signature = request.body.decode(), request.headers.get("Stripe-Signature", "")
        stripe.WebhookSignature.verify_header(body, signature, settings.STRIPE_WEBHOOK_SECRET, stripe.Webhook.DEFAULT_TOLERANCE)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True
