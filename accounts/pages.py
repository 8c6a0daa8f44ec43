"""The pages on which somebody manages their API keys and devices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import keys
from accounts.devices import remove_device
from accounts.errors import Conflict
from accounts.models import ApiKey, Device

SCOPES = {
    "chat": gettext_lazy("ask models"),
    "usage": gettext_lazy("read your receipts"),
    "mcp": gettext_lazy("use the tools (MCP)"),
    "memory": gettext_lazy("read and write your memory"),
}
ENDS = [
    ("", gettext_lazy("never")),
    ("30", gettext_lazy("in 30 days")),
    ("90", gettext_lazy("in 90 days")),
    ("365", gettext_lazy("in a year")),
]
GRACES = [
    ("0", gettext_lazy("at once")),
    ("3600", gettext_lazy("in an hour")),
    ("86400", gettext_lazy("in a day")),
    ("604800", gettext_lazy("in a week")),
]


class KeyForm(forms.Form):
    """A new key."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80, help_text=gettext_lazy("What is it for? Laptop, editor, server …"))
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("It may"), choices=list(SCOPES.items()), initial=["chat", "usage"], widget=forms.CheckboxSelectMultiple
    )
    models = forms.CharField(
        label=gettext_lazy("Only these models"),
        required=False,
        max_length=2000,
        help_text=gettext_lazy("Ids with commas between them; empty = all of yours"),
    )
    daily_tokens = forms.IntegerField(
        label=gettext_lazy("Tokens a day"),
        required=False,
        min_value=0,
        max_value=10**15,
        help_text=gettext_lazy("Empty = as many as you have"),
    )
    ends = forms.ChoiceField(label=gettext_lazy("It ends"), choices=ENDS, required=False)

    def clean_models(self) -> list[str]:
        ids = [part.strip() for part in self.cleaned_data["models"].split(",")]
        return [part for part in ids if part]

    def make(self, user: Any) -> tuple[ApiKey, str]:
        """The key and its plain text. Raises Conflict where there are too many."""
        asked = self.cleaned_data
        expires = timezone.now() + timedelta(days=int(asked["ends"])) if asked["ends"] else None
        return keys.create_key(
            user,
            name=asked["name"],
            scopes=asked["scopes"],
            models=asked["models"],
            daily_tokens=asked["daily_tokens"] or 0,
            expires=expires,
        )


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def own_keys(request: HttpRequest) -> HttpResponse:
    """GET, POST /account/keys. A new key is shown in the answer to the POST, and never again."""
    user: Any = request.user
    form, shown = KeyForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        try:
            key, plain = form.make(user)
            form, shown = KeyForm(), (key, plain)
        except Conflict as error:
            form.add_error(None, str(error))
    return _keys(request, form, shown)


def _keys(request: HttpRequest, form: KeyForm, shown: tuple[ApiKey, str] | None) -> HttpResponse:
    user: Any = request.user
    context = {
        "form": form,
        "shown": shown,
        "keys": keys.live_keys(user),
        "graces": GRACES,
        "origin": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "pages/keys.html", context)


@never_cache
@login_required
@require_POST
def own_key(request: HttpRequest, key_id: int) -> HttpResponse:
    """POST /account/keys/<id>: `action` revoke, or rotate with `grace` seconds for the old one."""
    user: Any = request.user
    key = keys.live_keys(user).filter(pk=key_id).first() if key_id < 2**63 else None
    if key is None:
        raise Http404
    if request.POST.get("action") == "rotate":
        grace = request.POST.get("grace", "0")
        seconds = int(grace) if grace in dict(GRACES) else 0
        try:
            return _keys(request, KeyForm(), keys.rotate(key, grace=timedelta(seconds=seconds)))
        except Conflict as error:
            messages.error(request, str(error))
    else:
        keys.revoke(key)
        messages.success(request, _("%(name)s no longer opens anything.") % {"name": key.name})
    return redirect("own_keys")


@login_required
@require_safe
def own_devices(request: HttpRequest) -> HttpResponse:
    """GET /account/devices"""
    user: Any = request.user
    return render(request, "pages/devices.html", {"devices": user.devices.order_by("-created")})


@login_required
@require_POST
def own_device(request: HttpRequest, device_id: Any) -> HttpResponse:
    """POST /account/devices/<id>: remove it, and every login made with it."""
    user: Any = request.user
    device = Device.objects.filter(user=user, device_id=device_id).first()
    if device is None:
        raise Http404
    remove_device(device)
    messages.success(request, _("%(name)s is signed out and removed.") % {"name": device.name})
    return redirect("own_devices")
