"""Run the product's server with the slow application: `python -m tests.fakes.serve_slow_app [workers]`."""

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from triforce import serve  # noqa: E402  (needs Django set up)

serve.APPLICATION = "tests.fakes.slow_app:app"
listener = serve.listen("127.0.0.1", 0)
print(serve.address(listener), flush=True)
workers = int(sys.argv[1]) if sys.argv[1:] else 1
sys.exit(serve.run_many(listener, workers) if workers > 1 else serve.run_one(listener))
