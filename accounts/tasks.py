"""What accounts throw away by themselves."""

from __future__ import annotations

from celery import shared_task

from accounts import purge


@shared_task
def purge_accounts() -> None:
    """Dead logins and keys, old client logs."""
    purge.purge_login_tokens()
    purge.purge_client_logs()
    purge.purge_dead_keys()
