"""/v1 of accounts, and their pages. The trailing slash is taken too: triforce.middleware sees to it."""

from __future__ import annotations

from django.urls import path

from accounts import pages
from accounts.views import auth, clients, keys, own

urlpatterns = [
    path("account/keys", pages.own_keys, name="own_keys"),
    path("account/keys/<int:key_id>", pages.own_key, name="own_key"),
    path("account/devices", pages.own_devices, name="own_devices"),
    path("account/devices/<uuid:device_id>", pages.own_device, name="own_device"),
    path("v1/auth/login", auth.LoginView.as_view(), name="login"),
    path("v1/auth/register", auth.RegisterView.as_view(), name="register"),
    path("v1/auth/logout", auth.LogoutView.as_view(), name="logout"),
    path("v1/auth/token", auth.DeviceTokenView.as_view(), name="device_token"),
    path("v1/auth/me", auth.MeView.as_view(), name="me"),
    path("v1/keys", keys.KeysView.as_view(), name="keys"),
    path("v1/keys/<int:key_id>", keys.KeyView.as_view(), name="key"),
    path("v1/keys/<int:key_id>/rotate", keys.RotateKeyView.as_view(), name="rotate_key"),
    path("v1/users/<str:me>/settings", own.SettingsView.as_view(), name="settings"),
    path("v1/user/settings/sync", own.SyncView.as_view(), name="sync"),
    path("v1/users/<str:me>/devices", own.DevicesView.as_view(), name="devices"),
    path("v1/users/<str:me>/devices/<uuid:device_id>", own.DeviceView.as_view(), name="device"),
    path("v1/client/logs", clients.LogsView.as_view(), name="client_logs"),
    path("v1/client/update/version", clients.UpdateView.as_view(), name="client_update"),
]
