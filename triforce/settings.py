"""All settings: from the environment, each with a default that works. `.env.example` lists what is read here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import environ
from csp import constants as csp
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from triforce import env, money

BASE_DIR = Path(__file__).resolve().parent.parent
env.load_dotenv(BASE_DIR / ".env")

VERSION = "0.1.0"

# -- who may reach us -------------------------------------------------------------------------------------------------
DEBUG = env.boolean("DEBUG", False)
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var")))  # the embedded database, the generated key
SECRET_KEY = env.secret("SECRET_KEY")
if not SECRET_KEY and DEBUG:
    SECRET_KEY = env.generated_secret(VAR_DIR / "secret_key")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set SECRET_KEY (or SECRET_KEY_FILE) to 50 or more random characters, or DEBUG=on for development.")
if not DEBUG and (len(SECRET_KEY) < 50 or SECRET_KEY.startswith("change-me")):
    raise ImproperlyConfigured("SECRET_KEY is too short or an example: set it to 50 or more random characters.")

PORT = env.integer("PORT", 9000, low=1, high=65535)
PUBLIC_URL = env.text("PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
if not PUBLIC_URL.startswith(("http://", "https://")):
    raise ImproperlyConfigured("PUBLIC_URL must start with http:// or https://, like https://api.example.com.")
PUBLIC_HOST = PUBLIC_URL.split("://", 1)[1].split("/", 1)[0]
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", f"{PUBLIC_HOST.rsplit(':', 1)[0]},127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXY_COUNT", 0, low=0, high=5)
HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
SECURE_SSL_REDIRECT = False  # the proxy's work: a redirect would drop an API client's body
SILENCED_SYSTEM_CHECKS = ["security.W008", "djstripe.W002"]  # asks for the redirect; that there is a STRIPE_API_HOST at all
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "triforce.views.csrf_failure"
FORM_TARGETS = [csp.SELF]  # and where a form of ours may lead by a redirect, like a sign-in elsewhere
CONTENT_SECURITY_POLICY = {  # nothing from elsewhere, nothing inline, on every page
    "DIRECTIVES": {
        "default-src": [csp.NONE],
        "script-src": [csp.SELF],
        "style-src": [csp.SELF],
        "img-src": [csp.SELF, "data:"],
        "font-src": [csp.SELF],
        "connect-src": [csp.SELF],
        "manifest-src": [csp.SELF],
        "worker-src": [csp.SELF],
        "form-action": FORM_TARGETS,
        "frame-ancestors": [csp.NONE],
        "base-uri": [csp.NONE],
    }
}

# -- what it is made of -----------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    *(["daphne"] if "runserver" in sys.argv else []),  # it makes runserver speak ASGI, and costs every other process 40 MB
    "triforce",
    "triforce.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic",
    "django.contrib.staticfiles",
    "csp",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "djstripe",
    "billing",
    "accounts",
    "llm",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "triforce.static_files.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "triforce.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "triforce.impersonation.ImpersonationMiddleware",
    "triforce.middleware.ApiMiddleware",
]
ROOT_URLCONF = "triforce.urls"
ASGI_APPLICATION = "triforce.asgi.application"
APPEND_SLASH = False  # both spellings are routed; a redirect would drop a body
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "triforce.pages.portal",
            ]
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage" if DEBUG else "triforce.static_files.ModuleStorage"},
}
SERVESTATIC_USE_FINDERS = DEBUG
if DEBUG:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # empty: the finders serve

# -- where things are kept: DATABASE_URL and REDIS_URL are the only switches between one process and many -------------
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASE_URL = env.secret("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'triforce.sqlite3'}"
if not DATABASE_URL.startswith(("sqlite://", "postgresql://", "postgres://")):
    raise ImproperlyConfigured("DATABASE_URL must start with sqlite:/// or postgresql://.")
DATABASES: dict[str, dict[str, Any]] = {"default": environ.Env.db_url_config(DATABASE_URL)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    DB_THREADS = 1  # SQLite has one writer; a queue in front of it is cheaper than its own retries
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    from billing import patience, postgres

    DB_THREADS = env.integer("DB_THREADS", 4, low=1, high=64)
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        # timeout: how long a request waits for a connection before it is told 503; reconnect_timeout: the pool doubles its pauses for
        # so long before it starts anew, and the default's five minutes made it miss a database that was back for 18 s
        pool={"min_size": 1, "max_size": DB_THREADS + 12, "timeout": 3, "reconnect_timeout": 1, "connection_class": postgres.Connection},
        server_side_binding=True,  # with prepare_threshold: plans are made once a connection
        prepare_threshold=1,
        connect_timeout=3,
        # a machine that is gone is noticed within 14 s, whether we wait for its words or it for ours
        keepalives_idle=5,
        keepalives_interval=3,
        keepalives_count=3,
        tcp_user_timeout=10_000,
        options=f"-c statement_timeout={patience.STATEMENT_SECONDS}s",
    )
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

REDIS_URL = env.secret("REDIS_URL")
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must start with redis:// or rediss://.")
CHANNEL_LAYERS: dict[str, dict[str, Any]]
if REDIS_URL:
    CACHES: dict[str, dict[str, Any]] = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "triforce",
            # a cache that is away is an empty cache: nothing true lives in it
            "OPTIONS": {"IGNORE_EXCEPTIONS": True, "SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
        }
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}}
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# -- background work --------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL or "memory://localhost/"
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "triforce:celery:"} if REDIS_URL else {"polling_interval": 0.5}
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# -- mail -------------------------------------------------------------------------------------------------------------
EMAIL_URL = env.secret("EMAIL_URL") or "consolemail://"
try:
    globals().update(environ.Env.email_url_config(EMAIL_URL))
except Exception as error:  # django-environ raises whatever its parser meets
    raise ImproperlyConfigured("EMAIL_URL is not a mail address of the form smtp+tls://user:password@host:587.") from error
EMAIL_IS_REAL = not EMAIL_URL.startswith("consolemail")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("MAIL_FROM", "TriForce <support@ailinux.me>")
OPERATOR_EMAILS = env.words("OPERATOR_EMAILS")  # told when something needs a person

# -- accounts ---------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ["email", "name"]}},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"
LOGIN_TOKEN_DAYS = 30
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = "strict"
ACCOUNT_FORMS = {"signup": "accounts.forms.SignupForm"}
ACCOUNT_EMAIL_VERIFICATION = "optional"  # an unverified account counts as a guest where mail is real; see accounts.caller
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[TriForce] "
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "TriForce"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG
USERSESSIONS_TRACK_ACTIVITY = True

# -- signing in with an account elsewhere: there where its client is set -----------------------------------------------
SOCIALACCOUNT_ADAPTER = "accounts.social.SocialAccountAdapter"
SOCIALACCOUNT_FORMS = {"signup": "accounts.forms.SocialSignupForm"}
SOCIALACCOUNT_EMAIL_AUTHENTICATION = SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True  # an address that the other side verified
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, Any]] = {}
OIDC_ISSUER = env.text("OIDC_ISSUER").rstrip("/")
OIDC_NAME = env.text("OIDC_NAME", "OpenID Connect")
_elsewhere = {  # what it is called here: its client, the secret, where a form leads
    "google": (env.text("GOOGLE_CLIENT_ID"), env.secret("GOOGLE_CLIENT_SECRET"), "https://accounts.google.com"),
    "github": (env.text("GITHUB_CLIENT_ID"), env.secret("GITHUB_CLIENT_SECRET"), "https://github.com"),
    "openid_connect": (env.text("OIDC_CLIENT_ID"), env.secret("OIDC_CLIENT_SECRET"), OIDC_ISSUER),
}
for _name, (_client, _secret, _origin) in _elsewhere.items():
    if not (_client or _secret or _origin == OIDC_ISSUER != ""):
        continue
    if not (_client and _secret and _origin):
        raise ImproperlyConfigured(f"Signing in with {_name} needs its client id, its secret and, for OIDC, OIDC_ISSUER: set all or none.")
    if not _origin.startswith(("http://", "https://")):
        raise ImproperlyConfigured("OIDC_ISSUER must start with http:// or https://.")
    SOCIALACCOUNT_PROVIDERS[_name] = {"APPS": [{"client_id": _client, "secret": _secret}], "OAUTH_PKCE_ENABLED": True}
    INSTALLED_APPS.append(f"allauth.socialaccount.providers.{_name}")
    FORM_TARGETS.append("/".join(_origin.split("/")[:3]))
if "google" in SOCIALACCOUNT_PROVIDERS:
    SOCIALACCOUNT_PROVIDERS["google"]["SCOPE"] = ["profile", "email"]
if "openid_connect" in SOCIALACCOUNT_PROVIDERS:
    _oidc = {"provider_id": "oidc", "name": OIDC_NAME, "settings": {"server_url": OIDC_ISSUER}}
    SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0].update(_oidc)

# -- languages --------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "de"
LANGUAGES = [("de", _("German")), ("en", _("English"))]
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_HTTPONLY, LANGUAGE_COOKIE_SAMESITE, LANGUAGE_COOKIE_SECURE = True, "Lax", HTTPS
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"  # the meter's day
USE_TZ = True

# -- models -----------------------------------------------------------------------------------------------------------
LOCAL_MODEL = env.choice("LOCAL_MODEL", "auto", "auto", "off")
DEFAULT_MODEL = env.text("DEFAULT_MODEL", "ollama/deepseek-v3.1:671b-cloud")
LEAD_MODEL = env.text("LEAD_MODEL", "gemini/gemini-2.5-flash")
PROVIDERS = "OLLAMA OPENAI ANTHROPIC GEMINI MISTRAL DEEPSEEK GROQ CEREBRAS OPENROUTER TOGETHER FIREWORKS XAI MOONSHOT".split()
PROVIDER_KEYS = {name.lower(): env.secret(f"{name}_API_KEY") for name in PROVIDERS}
PROVIDER_URLS = {name.lower(): env.text(f"{name}_BASE_URL").rstrip("/") for name in PROVIDERS}
for _name, _url in PROVIDER_URLS.items():
    if _url and not _url.startswith(("http://", "https://")):
        raise ImproperlyConfigured(f"{_name.upper()}_BASE_URL must start with http:// or https://.")
AVAILABILITY_SECONDS = env.integer("AVAILABILITY_SECONDS", 60, low=5, high=3600)  # how often the background check looks
IDEMPOTENCY_HOURS = env.integer("IDEMPOTENCY_HOURS", 24, low=1, high=168)

# -- money: nothing is sold without a key -----------------------------------------------------------------------------
STRIPE_SECRET_KEY = env.secret("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRET = env.secret("STRIPE_WEBHOOK_SECRET")
STRIPE_API_HOST = env.text("STRIPE_API_HOST").rstrip("/")
STRIPE_SIMULATOR = env.choice("STRIPE_SIMULATOR", "auto", "auto", "on", "off")
SIMULATED = STRIPE_SIMULATOR == "on" or (STRIPE_SIMULATOR == "auto" and DEBUG and not STRIPE_SECRET_KEY and not STRIPE_API_HOST)
if SIMULATED and (STRIPE_SECRET_KEY or STRIPE_API_HOST):
    raise ImproperlyConfigured("STRIPE_SIMULATOR=on takes Stripe's place: empty STRIPE_SECRET_KEY and STRIPE_API_HOST, or switch it off.")
if SIMULATED:
    STRIPE_SECRET_KEY = env.generated_secret(VAR_DIR / "simulated_stripe_key", "sk_test_")
    STRIPE_WEBHOOK_SECRET = env.generated_secret(VAR_DIR / "simulated_webhook_secret", "whsec_")
    STRIPE_API_HOST = f"http://127.0.0.1:{PORT + 1 if PORT < 65535 else PORT - 1}"
STRIPE_API_HOST = STRIPE_API_HOST or money.STRIPE
money.check(STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET, STRIPE_API_HOST, DEBUG)
STRIPE_LIVE_MODE = "_live_" in STRIPE_SECRET_KEY
STRIPE_LIVE_SECRET_KEY, STRIPE_TEST_SECRET_KEY = (STRIPE_SECRET_KEY, "") if STRIPE_LIVE_MODE else ("", STRIPE_SECRET_KEY)
STRIPE_AUTOMATIC_TAX = env.boolean("STRIPE_AUTOMATIC_TAX", False)
STRIPE_TAX_IDS = env.boolean("STRIPE_TAX_IDS", True)
STRIPE_TAX_RATE = env.text("STRIPE_TAX_RATE")
STRIPE_TRIAL_DAYS = env.integer("STRIPE_TRIAL_DAYS", 0, low=0, high=365)
REFUND_ENDS_RIGHTS = env.boolean("REFUND_ENDS_RIGHTS", True)
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
MIGRATION_MODULES = {"djstripe": "billing.djstripe.migrations"}
FORM_TARGETS += money.form_targets(STRIPE_SECRET_KEY, STRIPE_API_HOST)
EUR_PER_USD = env.number("EUR_PER_USD", 1.0, low=0.01, high=100)  # providers' prices are in USD, ours in EUR: for the operator's margin

# -- identity from a trusted proxy: off unless both are set -----------------------------------------------------------
TRUSTED_PROXY_SECRET = env.secret("TRUSTED_PROXY_SECRET")
TRUSTED_PROXY_CIDRS = env.words("TRUSTED_PROXY_CIDRS")
if bool(TRUSTED_PROXY_SECRET) != bool(TRUSTED_PROXY_CIDRS):
    raise ImproperlyConfigured("Trusted-proxy mode needs both TRUSTED_PROXY_SECRET and TRUSTED_PROXY_CIDRS; set both or neither.")
if TRUSTED_PROXY_SECRET and len(TRUSTED_PROXY_SECRET) < 32:
    raise ImproperlyConfigured("TRUSTED_PROXY_SECRET must have 32 bytes or more.")

# -- the API ----------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.IsUser"],  # deny by default: open routes say so
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttles.ReadThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "triforce.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "TriForce",
    "DESCRIPTION": "Every large language model behind one account.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "triforce.schema.complete"],
    "ENUM_NAME_OVERRIDES": {"AvailabilityStatus": "llm.models.Status", "TurnState": "llm.models.Turn.State"},
}
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_UPLOAD_BYTES = 25 * 1024 * 1024  # of the doors that take files
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

LOG_LEVEL = env.choice("LOG_LEVEL", "info", "debug", "info", "warning", "error").upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "triforce.logs.RedactSecrets"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["redact"]}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "uvicorn.access": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "stripe": {"level": "WARNING"},  # a line for each call otherwise
        "djstripe": {"level": "WARNING"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # anybody can send one
    },
}
