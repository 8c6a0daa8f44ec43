"""The product's settings as a test run needs them. A test that needs others starts a process of its own."""

import os

os.environ.setdefault("SECRET_KEY", "a-key-that-only-the-tests-use-0123456789-0123456789-0123456789")
os.environ.setdefault("LOCAL_MODEL", "off")
os.environ.setdefault("STRIPE_SIMULATOR", "off")
os.environ.setdefault("STRIPE_SECRET_KEY", "sk_test_aKeyThatOnlyTheTestsUse0123456789")
os.environ.setdefault("STRIPE_WEBHOOK_SECRET", "whsec_aSecretThatOnlyTheTestsUse0123456789")
os.environ.setdefault("STRIPE_API_HOST", "http://127.0.0.1:1")  # nobody: a test that needs Stripe brings the simulator

from triforce.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real ones are slow on purpose
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = True
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # a real file: an embedded database that several threads share is what the product runs on
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / f"test-{os.getpid()}.sqlite3")}
LOGGING["loggers"] |= {"httpx": {"level": "WARNING"}}  # type: ignore[operator]  # a line a request would hide why a test failed
