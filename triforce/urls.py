"""Every address. Each is taken with and without a trailing slash; triforce.middleware.ApiMiddleware sees to it."""

from __future__ import annotations

from csp import constants as csp
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import cache_control
from django.views.i18n import JavaScriptCatalog
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from billing.schema import documented
from triforce import (
    pages,
    pages_announcements,
    pages_app,
    pages_contracts,
    pages_impersonation,
    pages_order,
    pages_privacy,
    schema,
    views,
)  # fmt: skip

handler400 = views.bad_request
handler403 = views.forbidden
handler404 = views.not_found
handler500 = views.server_error

# the page names language and stamp in the query, so a cached one is never the wrong one
sentences = cache_control(private=True, max_age=86400)(JavaScriptCatalog.as_view(packages=["triforce"]))

inline_styles = csp_update({"style-src": [csp.UNSAFE_INLINE]})  # Swagger's page cannot do without; it has no script of ours

urlpatterns = [
    path("appearance", pages.appearance, name="appearance"),
    path("language", pages.language, name="set_language"),
    path("jsi18n", sentences, name="jsi18n"),
    path("manifest.webmanifest", pages_app.manifest, name="manifest"),
    path("service-worker.js", pages_app.worker, name="worker"),
    path("offline", pages_app.offline, name="offline"),
    path("internal/components", pages.components, name="components"),
    path("pages/<slug:slug>", pages.text, name="text"),
    path("order/<slug:slug>/<slug:interval>", pages_order.order, name="order"),
    path("contracts/cancel", pages_contracts.cancel, name="cancel_contract"),
    path("contracts/withdraw", pages_contracts.withdraw, name="withdraw_contract"),
    path("account/privacy", pages_privacy.privacy, name="privacy"),
    path("account/privacy/export", pages_privacy.take_along, name="take_along"),
    path("account/privacy/delete", pages_privacy.forget, name="forget"),
    path("account/impersonation/end", pages_impersonation.end_impersonation, name="end_impersonation"),
    path("announcements/<int:announcement_id>/dismiss", pages_announcements.dismiss, name="dismiss"),
    path("health", documented(views.health, schema.HealthSchema), name="health"),
    path("healthz", documented(views.healthz, schema.HealthzSchema), name="healthz"),
    path("readyz", documented(views.ready, schema.ReadySchema), name="ready"),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="schema"),
    path("docs", inline_styles(SpectacularSwaggerSplitView.as_view(url_name="schema")), name="docs"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("llm.urls")),
]
