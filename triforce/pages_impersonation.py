"""The end of a look at somebody else's account."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.impersonation import end


@login_required
@require_POST
def end_impersonation(request: HttpRequest) -> HttpResponse:
    """POST /account/impersonation/end: be oneself again, back in the administration."""
    end(request)
    return redirect("admin:index")
