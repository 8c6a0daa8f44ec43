"""What is thrown away after a while. Each function says how many rows it took."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey, ClientLog, LoginToken

LOG_DAYS = 30
DEAD_KEY_DAYS = 30  # long enough to look up which one a receipt names


def purge_login_tokens() -> int:
    """Expired and revoked logins."""
    count, _tables = LoginToken.objects.filter(Q(expires__lte=timezone.now()) | Q(revoked=True)).delete()
    return count


def purge_client_logs() -> int:
    """Client logs older than 30 days."""
    count, _tables = ClientLog.objects.filter(received__lt=timezone.now() - timedelta(days=LOG_DAYS)).delete()
    return count


def purge_dead_keys() -> int:
    """API keys that expired, or were revoked and last used or made, more than 30 days ago."""
    before = timezone.now() - timedelta(days=DEAD_KEY_DAYS)
    unused = Q(last_used__lt=before) | Q(last_used=None, created__lt=before)
    count, _tables = ApiKey.objects.filter(Q(expires__lt=before) | Q(unused, revoked=True)).delete()
    return count
