"""Runs manage.py commands one after another in one process, and lifts the gates in front of providers. Run in TriForce's environment."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "triforce.settings")

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402

from llm.models import Provider  # noqa: E402

print(settings.VERSION)
for command in sys.argv[2:]:
    call_command(*command.split())
Provider._base_manager.filter(concurrency__gt=0).update(concurrency=int(sys.argv[1]))
