"""All settings, read top to bottom. The environment is read here and nowhere else; README.md lists every variable."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from agents.reports import RemoteConfigStatuses, Status
from opamp_platform.environment import Environment, StrangeValue
from opamp_platform.logs import logging_config

# Lets classes such as ModelAdmin be written with their model, ModelAdmin[Agent], as their type stubs have them.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)


def _database(url: str, data_dir: Path, threads: int) -> dict[str, Any]:
    """Django's database dictionary for ``url``; SQLite under ``data_dir`` when it is empty.

    SQLite has one writer, so transactions start IMMEDIATE and wait for the lock instead of failing half-way.
    PostgreSQL gets a pool in code: the same option in a URL would arrive as a string. ``threads`` bounds what the
    exchange can hold at once; one is for chores, the rest for pages and the API.
    """
    if not url:
        url = f"sqlite:///{data_dir / 'opamp.sqlite3'}"
    try:
        database: dict[str, Any] = dict(environ.Env.db_url_config(url))
    except (ValueError, ImproperlyConfigured) as error:
        raise StrangeValue(f"DATABASE_URL cannot be understood: {error}") from error
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;",
        }
        # A shared in-memory database would be one connection for all threads; tests then lock each other out.
        database["TEST"] = {"NAME": str(data_dir / "test.sqlite3")}
    elif database["ENGINE"] == "django.db.backends.postgresql":
        database["CONN_MAX_AGE"] = 0
        # A connection that died in the pool is replaced before it is used.
        database["CONN_HEALTH_CHECKS"] = True
        database["OPTIONS"] = {
            # A process that is paused in the middle of a transaction must not hold its locks for ever.
            "options": "-c idle_in_transaction_session_timeout=30s -c lock_timeout=30s",
            # A server that vanished without a word is noticed within 15 s.
            "tcp_user_timeout": 15_000,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            **database.get("OPTIONS", {}),
            "connect_timeout": 5,
            "pool": {
                "min_size": 1,
                "max_size": threads + 13,
                "timeout": 5,
                "max_lifetime": 1800,
                # After that a new series of attempts begins; the pauses of a long one would grow to minutes.
                "reconnect_timeout": 5,
            },
        }
    else:
        raise StrangeValue("DATABASE_URL must be postgres://… or sqlite:///….")
    return database


def _secret_key(data_dir: Path) -> str:
    """SECRET_KEY, else one made once and kept in ``data_dir`` readable by its owner alone."""
    value = env.text("SECRET_KEY")
    if value:
        if len(value) < 32:
            raise StrangeValue("SECRET_KEY is shorter than 32 characters.")
        return value
    path = data_dir / "secret_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        # Another process may be between creating and writing it; an empty key must never be used.
        value = path.read_text(encoding="utf-8").strip()
        if not value:
            raise StrangeValue(f"{path} is empty: delete it, or set SECRET_KEY.") from None
        return value
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        value = secrets.token_urlsafe(64)
        file.write(value)
    return value


# --- Where data lives -----------------------------------------------------------------------------------------------
DATA_DIR = Path(env.text("DATA_DIR") or BASE_DIR / "data").resolve()
STATIC_ROOT = DATA_DIR / "static"
try:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
except OSError as error:
    raise StrangeValue(f"DATA_DIR={DATA_DIR} cannot be used ({error.strerror}): name another folder.") from error
if not os.access(DATA_DIR, os.W_OK | os.X_OK):
    raise StrangeValue(f"DATA_DIR={DATA_DIR} cannot be written: name another folder, or change its owner.")

TESTING = "pytest" in sys.modules
DEBUG = env.flag("DEBUG")
SECRET_KEY = _secret_key(DATA_DIR)

# --- Who may call ---------------------------------------------------------------------------------------------------
# Agents reach the same host by many names; hosts of pages are checked by CSRF and cookies. Restrict it in production.
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", "*")
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = any(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = "Lax"

# --- OpAMP ----------------------------------------------------------------------------------------------------------
OPAMP_SECRET_KEY = env.text("OPAMP_SECRET_KEY")
OPAMP_MAX_MESSAGE_SIZE = env.size("OPAMP_MAX_MESSAGE_SIZE", 64 * 1024**2, least=1024)
OPAMP_HEARTBEAT_SECONDS = env.integer("OPAMP_HEARTBEAT_SECONDS", 30, least=1, most=24 * 3600)
# The port of the specification, for agents alone (S-02). Unset: opened when nobody else has it; 0: not opened.
OPAMP_PORT_IS_CHOSEN = bool(env.text("OPAMP_PORT"))
OPAMP_PORT = env.integer("OPAMP_PORT", 4320, least=0, most=65535)
# Reports waiting for the database in one process; above it agents are told to come back later (S-102, S-103).
# With 0 every agent is: people look round, after a restore for instance, before the fleet comes in.
OPAMP_QUEUE_LIMIT = env.integer("OPAMP_QUEUE_LIMIT", 20_000)
# Agents that are turned away come back after so long, spread over as much again; S-103 recommends 30 s at least.
OPAMP_RETRY_AFTER_SECONDS = env.integer("OPAMP_RETRY_AFTER_SECONDS", 30, least=1, most=3_600)
# Reports that one transaction takes together (group commit).
OPAMP_BATCH_SIZE = env.integer("OPAMP_BATCH_SIZE", 256, least=1, most=2_000)
# How often last-seen times and sequence numbers kept in memory reach the database.
OPAMP_PRESENCE_SECONDS = env.integer("OPAMP_PRESENCE_SECONDS", 2, least=1, most=60)
# Server pings on idle WebSockets (S-14): a dead peer is noticed after both.
OPAMP_PING_SECONDS = env.integer("OPAMP_PING_SECONDS", 30, least=1)
OPAMP_PONG_TIMEOUT_SECONDS = env.integer("OPAMP_PONG_TIMEOUT_SECONDS", 20, least=1)
# A request head that is not complete by then is dropped, or slow sockets stay for ever.
OPAMP_HEADER_SECONDS = env.integer("OPAMP_HEADER_SECONDS", 5, least=1)
# A body or message that has begun must be complete by then, large ones a little later.
OPAMP_BODY_SECONDS = env.integer("OPAMP_BODY_SECONDS", 60, least=1)
# A WebSocket on which no agent has identified itself by then is closed.
OPAMP_FIRST_MESSAGE_SECONDS = env.integer("OPAMP_FIRST_MESSAGE_SECONDS", 60, least=1)
# Agents that may share one WebSocket (S-33); each costs memory.
OPAMP_AGENTS_PER_CONNECTION = env.integer("OPAMP_AGENTS_PER_CONNECTION", 10_000, least=1)
# Unfinished and undecoded messages of all peers of one process.
OPAMP_INBOUND_MEMORY = env.size("OPAMP_INBOUND_MEMORY", 512 * 1024**2, least=1024)
# Of one address, a second; ten times as many at once. 10,000 agents behind one NAT are in again within 30 s. 0: no limit.
OPAMP_HANDSHAKES_PER_SECOND = env.integer("OPAMP_HANDSHAKES_PER_SECOND", 500)
# Reports with news of one agent, a second; ten times as many at once. Beyond that they wait, heartbeats do not. 0: no limit.
OPAMP_REPORTS_PER_SECOND = env.integer("OPAMP_REPORTS_PER_SECOND", 10)
OPAMP_REQUESTS_PER_SECOND = env.integer("OPAMP_REQUESTS_PER_SECOND", 5_000)
# Reverse proxies in front that append to X-Forwarded-For; without one the header counts nothing.
OPAMP_TRUSTED_PROXIES = env.integer("OPAMP_TRUSTED_PROXIES", 0, most=10)
# permessage-deflate for agents that ask for it (S-13): less traffic, more CPU time.
OPAMP_WEBSOCKET_COMPRESSION = env.flag("OPAMP_WEBSOCKET_COMPRESSION")
OPAMP_HEADER_SECRETS = ("Authorization", "Secret-Key")
# Connection settings with this interval, the address the agent used and the credentials it sent, to agents that take them.
OPAMP_OFFER_HEARTBEAT = env.flag("OPAMP_OFFER_HEARTBEAT", default=True)
# Each agent that takes connection settings gets a credential of its own there; the secret is not enough for it any more.
OPAMP_AGENT_CREDENTIALS = env.flag("OPAMP_AGENT_CREDENTIALS")
# How long history is kept, and agents that are gone; 0 keeps it for ever.
OPAMP_KEEP_EVENTS_DAYS = env.integer("OPAMP_KEEP_EVENTS_DAYS", 90, most=36_500)
OPAMP_KEEP_CONNECTIONS_DAYS = env.integer("OPAMP_KEEP_CONNECTIONS_DAYS", 90, most=36_500)
OPAMP_FORGET_AGENTS_DAYS = env.integer("OPAMP_FORGET_AGENTS_DAYS", 0, most=36_500)
# Of one agent's timeline and of its connections so many are kept at least, and not many more: an agent may flap for ever.
OPAMP_KEEP_PER_AGENT = env.integer("OPAMP_KEEP_PER_AGENT", 5_000, least=100)

WEB_CONCURRENCY = env.integer("WEB_CONCURRENCY", 1, least=1, most=64)

# --- Applications ---------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    # It takes over `runserver`, and a second of every other start.
    *(["daphne"] if "runserver" in sys.argv else []),
    "opamp_platform.apps.PlatformConfig",
    "opamp_platform.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "accounts",
    "agents",
    "configurations",
    "opamp_transport",
]
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "opamp_platform.middleware.MeasureRequests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "opamp_platform.middleware.RefuseNul",
]
ROOT_URLCONF = "opamp_platform.urls"
ASGI_APPLICATION = "opamp_platform.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Database -------------------------------------------------------------------------------------------------------
# The exchange's database threads: SQLite has one writer, PostgreSQL gains up to four.
_database_url = env.text("DATABASE_URL")
DATABASE_THREADS = 4 if _database_url.startswith("postgres") else 1
DATABASES = {"default": _database(_database_url, DATA_DIR, DATABASE_THREADS)}

# --- Redis: the doorbell between processes, the cache -----------------------------------------------------------------
REDIS_URL = env.text("REDIS_URL")
if REDIS_URL and urlsplit(REDIS_URL).scheme not in {"redis", "rediss", "unix"}:
    raise StrangeValue("REDIS_URL must be redis://host:6379/0, rediss://… or unix://….")
CHANNEL_LAYERS: dict[str, Any]
CACHES: dict[str, Any]
if REDIS_URL:
    # Named here and not by URL: `redis://` would select the layer that drops messages above its capacity.
    CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
    }
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 10_000}}}
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# --- Files ----------------------------------------------------------------------------------------------------------
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL")
S3_BUCKET = env.text("S3_BUCKET")
_s3_keys = (env.text("S3_ACCESS_KEY"), env.text("S3_SECRET_KEY"))
if bool(S3_BUCKET) != all(_s3_keys):
    raise StrangeValue("S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY go together: set all three or none.")
_default_storage: dict[str, Any] = {
    "BACKEND": "django.core.files.storage.FileSystemStorage",
    "OPTIONS": {"location": DATA_DIR / "files", "base_url": None},
}
if S3_BUCKET:
    _default_storage = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": S3_ENDPOINT_URL or None,
            "access_key": _s3_keys[0],
            "secret_key": _s3_keys[1],
            "default_acl": None,
            "file_overwrite": False,
            "querystring_auth": True,
        },
    }
STORAGES = {
    "default": _default_storage,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Finders at run time make `collectstatic` unnecessary for the one-command start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024**2
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

# --- Languages and time ---------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "templates" / "locale"]
TIME_ZONE = env.text("TIME_ZONE", "UTC")
try:
    ZoneInfo(TIME_ZONE)
except (KeyError, ValueError, OSError) as error:
    raise StrangeValue(f"TIME_ZONE={TIME_ZONE!r} is no time zone: use a name such as Europe/Berlin.") from error
USE_TZ = True
USE_I18N = True

# --- Sign-in --------------------------------------------------------------------------------------------------------
LOGIN_URL = "admin:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# The first admin, made by the first start; a password is generated and printed once when none is given.
ADMIN_USERNAME = env.text("ADMIN_USERNAME", "admin")
ADMIN_PASSWORD = env.text("ADMIN_PASSWORD")
if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# --- REST -----------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.authentication.ModelPermissions"],
    "DEFAULT_PAGINATION_CLASS": "opamp_platform.paging.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "opamp_platform.rest.problem_response",
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["opamp_platform.json_body.BoundedJSONParser"],
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "OpAMP Platform",
    "DESCRIPTION": "Agents, the configurations they should run, and what they report about them.",
    "VERSION": "v1",
    "SERVE_INCLUDE_SCHEMA": False,
    # The bodies of requests and of answers differ: what is read-only is no part of the former.
    "COMPONENT_SPLIT_REQUEST": True,
    # Without it the page would send the schema's address to a validator elsewhere.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "opamp_platform.api_docs.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "AgentStatus": [(item.value, item.value) for item in Status],
        "ReportedStatus": [(item.name.lower(), item.name.lower()) for item in RemoteConfigStatuses],
        "AssignmentStatus": "configurations.models.Assignment.Status",
        "EventKind": "agents.models.AgentEvent.Kind",
        "CommandKind": "agents.models.AgentCommand.Kind",
    },
}

# --- Pages load nothing from elsewhere and run no inline code ---------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

# --- Logs -----------------------------------------------------------------------------------------------------------
LOG_LEVEL = env.text("LOG_LEVEL", "INFO").upper()
LOG_FORMAT = env.text("LOG_FORMAT", "console" if DEBUG or sys.stderr.isatty() else "json")
LOGGING_CONFIG = None
LOGGING = logging_config(level=LOG_LEVEL, style=LOG_FORMAT)
