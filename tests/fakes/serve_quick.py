"""The product's server with shorter times: `python -m tests.fakes.serve_quick WORKERS LEASE GRACE` (seconds).

LEASE is how long an open receipt without a checkpoint is taken for alive; GRACE what running streams get after SIGTERM.
"""

import functools
import os
import sys
from datetime import timedelta

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from django.db import connection  # noqa: E402  (needs Django set up)

from billing import quota  # noqa: E402
from triforce import drain, serve  # noqa: E402

workers, lease, grace = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
quota.LEASE = timedelta(seconds=lease)
quota.CHECKPOINT_SECONDS = min(10.0, lease / 10)  # type: ignore[assignment]
drain.begin = functools.partial(drain.begin, grace)
connection.ensure_connection()  # as the checks of `manage.py serve` do, before it forks
sys.exit(serve.serve("127.0.0.1", 0, workers))
