"""Every address. Each is taken with and without a trailing slash; triforce.middleware.ApiMiddleware sees to it."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from billing.schema import documented
from triforce import schema, views

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

handler400 = views.bad_request
handler403 = views.forbidden
handler404 = views.not_found
handler500 = views.server_error

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="docs"), name="start"),
    path("health", documented(views.health, schema.HealthSchema), name="health"),
    path("healthz", documented(views.healthz, schema.HealthzSchema), name="healthz"),
    path("readyz", documented(views.ready, schema.ReadySchema), name="ready"),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("llm.urls")),
]
