"""The addresses of somebody's plan, and the one that Stripe calls."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from billing import pages, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("account/billing", pages.plan, name="billing"),
    path("account/billing/change", pages.change_plan, name="change_plan"),
    path("account/billing/welcome", pages.welcome, name="welcome"),
    path("stripe/webhook", views.stripe_webhook, name="stripe_webhook"),
]
