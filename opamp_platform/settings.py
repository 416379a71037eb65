"""All settings, read top to bottom. The environment is read here and nowhere else; docs/settings.md lists every variable."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import django_stubs_ext
from django.utils.translation import gettext_lazy as _

from agents.labels import operator_key_problem
from agents.reports import RemoteConfigStatuses, Status
from opamp_platform.alert_settings import ALERT_ENUMS, alert_settings
from opamp_platform.content_security import PAGES_POLICY
from opamp_platform.environment import Environment, StrangeValue
from opamp_platform.job_settings import JOB_APPS, TASKS, job_options  # noqa: F401  TASKS is one of them
from opamp_platform.live_settings import live_sockets
from opamp_platform.operations.data_dir import keep_private, prepare, secret_key
from opamp_platform.operations.databases import database
from opamp_platform.operations.logs import logging_config
from opamp_platform.operations.stores import bucket_store, folder_store, public_url, signing_keys
from opamp_platform.tls_settings import certificate_options, tls_files
from opamp_transport.origins import parse_origin
from rollouts.errors import InvalidPolicy
from rollouts.policies import parse_policy

# Lets classes such as ModelAdmin be written with their model, ModelAdmin[Agent], as their type stubs have them.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)


# --- Where data lives -----------------------------------------------------------------------------------------------
TESTING = "pytest" in sys.modules
if not TESTING:
    keep_private(sys.argv)
DATA_DIR = Path(env.text("DATA_DIR") or BASE_DIR / "data").resolve()
# An image is built with its static files collected, into a folder that may be read-only; elsewhere `serve` collects them.
_static_root = env.text("STATIC_ROOT")
prepare(DATA_DIR, "DATA_DIR", within=["uploads", *([] if _static_root else ["static"])])
STATIC_ROOT = Path(_static_root or DATA_DIR / "static").resolve()
if _static_root:
    prepare(STATIC_ROOT, "STATIC_ROOT", written=False)

DEBUG = env.flag("DEBUG")
SECRET_KEY = secret_key(env.text("SECRET_KEY"), DATA_DIR)

# What stored secrets are encrypted with, the newest first; the others are for reading. Without any it is derived from SECRET_KEY.
SECRETS_KEYS = env.items("SECRETS_KEYS")
if any(len(_item) < 32 for _item in SECRETS_KEYS):
    raise StrangeValue("SECRETS_KEYS: a key has fewer than 32 characters.")

# --- Who may call ---------------------------------------------------------------------------------------------------
# Agents reach the same host by many names; hosts of pages are checked by CSRF and cookies. Restrict it in production.
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", "*")
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")
# Reverse proxies in front that append to X-Forwarded-For and set X-Forwarded-Proto; without one the headers count nothing.
OPAMP_TRUSTED_PROXIES = env.integer("OPAMP_TRUSTED_PROXIES", 0, most=10)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if OPAMP_TRUSTED_PROXIES else None
# TLS without a proxy in front, and certificates of agents. `serve` adds what its command line says, and judges the whole.
_whole = sys.argv[1:2] != ["serve"]
OPAMP_CERTIFICATES = certificate_options(env, proxies=OPAMP_TRUSTED_PROXIES, whole=_whole)
OPAMP_TLS = tls_files(env, OPAMP_CERTIFICATES, whole=_whole)
# Cookies over https alone: said, or meant by whoever serves over TLS or names an https origin.
_https = OPAMP_TLS is not None or any(item.startswith("https://") for item in CSRF_TRUSTED_ORIGINS)
SECURE_COOKIES = env.flag("SECURE_COOKIES", default=_https)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE_COOKIES
# Browsers that came over https once shall come over nothing else for so long; 0: they are not told.
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 0, most=2 * 366 * 24 * 3600)
# Whoever reads /metrics sends it as `Authorization: Bearer …`; empty: nobody is asked.
METRICS_TOKEN = env.text("METRICS_TOKEN")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = "Lax"

# --- OpAMP ----------------------------------------------------------------------------------------------------------
OPAMP_SECRET_KEY = env.text("OPAMP_SECRET_KEY")
# Good beside it while agents are given the new one.
OPAMP_PREVIOUS_SECRET_KEY = env.text("OPAMP_PREVIOUS_SECRET_KEY")
if OPAMP_PREVIOUS_SECRET_KEY and not OPAMP_SECRET_KEY:
    raise StrangeValue("OPAMP_PREVIOUS_SECRET_KEY is set without OPAMP_SECRET_KEY: set the new one there.")
# Without a secret agents come in on loopback alone, unless this says that everybody who reaches the port may be one.
OPAMP_ALLOW_ANONYMOUS_AGENTS = env.flag("OPAMP_ALLOW_ANONYMOUS_AGENTS")
# Web pages of these origins may speak OpAMP, beside the portal's own; those of others are refused.
OPAMP_ALLOWED_ORIGINS = env.items("OPAMP_ALLOWED_ORIGINS")
for _item in OPAMP_ALLOWED_ORIGINS:
    if parse_origin(_item) is None:
        raise StrangeValue(f"OPAMP_ALLOWED_ORIGINS: {_item!r} is no origin: write https://console.example.org.")
# Keys under which an agent's own word does not count: only operators' labels do.
OPAMP_TRUSTED_LABEL_KEYS = env.items("OPAMP_TRUSTED_LABEL_KEYS")
for _item in OPAMP_TRUSTED_LABEL_KEYS:
    if _problem := operator_key_problem(_item):
        raise StrangeValue(f"OPAMP_TRUSTED_LABEL_KEYS: {_item!r} is no label key. {_problem!s}")
# Types of components that configurations may have, and must not have: globs such as file* or receivers/file*.
COMPONENTS_ALLOWED = env.items("COMPONENTS_ALLOWED")
COMPONENTS_DENIED = env.items("COMPONENTS_DENIED")
# A Collector that judges configurations as well, with ``validate``.
OTELCOL_BINARY = env.text("OTELCOL_BINARY")

# How revisions are released where neither the configuration nor the edit says: at_once, canary, or a policy as JSON.
ROLLOUT_POLICY = env.json("ROLLOUT_POLICY", "at_once")
try:
    parse_policy(ROLLOUT_POLICY)
except InvalidPolicy as _error:
    raise StrangeValue(f"ROLLOUT_POLICY: {_error!s}") from None
# Whether agents that run something else than they applied are offered it again, with growing pauses.
REOFFER_ON_DRIFT = env.flag("REOFFER_ON_DRIFT")
# How often rollouts look whether a gate is met.
ROLLOUT_SECONDS = env.integer("ROLLOUT_SECONDS", 2, least=1, most=3_600)
JOBS_WORKER, JOBS_KEPT_DAYS, JOB_FILES_KEPT_HOURS, JOB_FILE_MAX_SIZE = job_options(env)  # docs/jobs.md
OPAMP_MAX_MESSAGE_SIZE = env.size("OPAMP_MAX_MESSAGE_SIZE", 64 * 1024**2, least=1024)
OPAMP_HEARTBEAT_SECONDS = env.integer("OPAMP_HEARTBEAT_SECONDS", 30, least=1, most=24 * 3600)
# The port of the specification, for agents alone (S-02). Unset: opened when nobody else has it; 0: not opened.
OPAMP_PORT_IS_CHOSEN = bool(env.text("OPAMP_PORT"))
OPAMP_PORT = env.integer("OPAMP_PORT", 4320, least=0, most=65535)
# Reports waiting for the database in one process; above it agents are told to come back later (S-102, S-103).
# With 0 every agent is: people look round, after a restore for instance, before the fleet comes in.
OPAMP_QUEUE_LIMIT = env.integer("OPAMP_QUEUE_LIMIT", 20_000)
# Agents that are rejected come back after so long, spread over as much again; S-103 recommends 30 s at least.
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
# permessage-deflate for agents that ask for it (S-13): less traffic, more CPU time.
OPAMP_WEBSOCKET_COMPRESSION = env.flag("OPAMP_WEBSOCKET_COMPRESSION")
OPAMP_HEADER_SECRETS = ("Authorization", "Secret-Key")
# Connection settings with this interval, the address the agent used and the credentials it sent, to agents that take them.
# None: over plain connections alone, for over TLS supervisors stop verifying the certificate with any offer.
OPAMP_OFFER_HEARTBEAT = env.choice("OPAMP_OFFER_HEARTBEAT")
# Each agent that takes connection settings gets a credential of its own there; the secret is not enough for it any more.
OPAMP_AGENT_CREDENTIALS = env.flag("OPAMP_AGENT_CREDENTIALS")
ENROLMENT_APPROVAL = env.flag("ENROLMENT_APPROVAL")  # new agents wait for a person (docs/enrolment.md)
ENROLMENT_RETURN_DAYS = env.integer("ENROLMENT_RETURN_DAYS", 30, most=3_650)
LIVE_SOCKETS, LIVE_SOCKETS_PER_PERSON = live_sockets(env)
# Unset: agents' own metrics are taken; true: the list of agents has columns for them, too.
OPAMP_OWN_TELEMETRY = env.choice("OPAMP_OWN_TELEMETRY")
# How long history is kept, and agents that are gone; 0 keeps it for ever.
OPAMP_KEEP_EVENTS_DAYS = env.integer("OPAMP_KEEP_EVENTS_DAYS", 90, most=36_500)
OPAMP_KEEP_CONNECTIONS_DAYS = env.integer("OPAMP_KEEP_CONNECTIONS_DAYS", 90, most=36_500)
OPAMP_FORGET_AGENTS_DAYS = env.integer("OPAMP_FORGET_AGENTS_DAYS", 0, most=36_500)
# Drafts that nobody saved for so long, and what is kept of deleted configurations; 0 keeps it for ever.
DRAFT_RETENTION_DAYS = env.integer("DRAFT_RETENTION_DAYS", 90, most=36_500)
DELETED_CONFIGURATION_RETENTION_DAYS = env.integer("DELETED_CONFIGURATION_RETENTION_DAYS", 90, most=36_500)
# Rollouts and freezes that ended so long ago, and releases of what is deleted; 0 keeps them for ever.
ROLLOUT_RETENTION_DAYS = env.integer("ROLLOUT_RETENTION_DAYS", 365, most=36_500)
# Of one agent's timeline and of its connections so many are kept at least, and not many more: an agent may flap for ever.
OPAMP_KEEP_PER_AGENT = env.integer("OPAMP_KEEP_PER_AGENT", 5_000, least=100)
# Agents in all; new ones are refused beyond. 0: no limit.
OPAMP_MAX_AGENTS = env.integer("OPAMP_MAX_AGENTS", 200_000)
# New agents of one address, an hour; so many at once as well, for a fleet comes in at once. 0: no limit.
OPAMP_NEW_AGENTS_PER_HOUR = env.integer("OPAMP_NEW_AGENTS_PER_HOUR", 20_000)
# What reports of one agent, and of all, may occupy in the database; beyond it the former state is kept. 0: no limit.
OPAMP_STORED_PER_AGENT = env.size("OPAMP_STORED_PER_AGENT", 64 * 1024**2, least=0)
OPAMP_STORED_IN_ALL = env.size("OPAMP_STORED_IN_ALL", 16 * 1024**3, least=0)

# The address that `serve` listens on; it and its workers write it here. Empty under another server.
SERVED_HOST = ""
# Our own protocols, or uvicorn's ("stock"): a way out on the day a dependency changes (docs/operations.md).
OPAMP_SERVER = env.one_of("OPAMP_SERVER", "own", "stock")
WEB_CONCURRENCY = env.integer("WEB_CONCURRENCY", 1, least=1, most=64)

# --- Applications ---------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    # It takes over `runserver`, and a second of every other start.
    *(["daphne"] if "runserver" in sys.argv else []),
    "opamp_platform.apps.PlatformConfig",
    "opamp_platform.apps.PortalAdminConfig",
    # Before Django's own, whose commands it has its say in.
    "accounts",
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.staticfiles", "channels", "rest_framework", "django_filters", "drf_spectacular",
    "drf_spectacular_sidecar", "csp",
    *JOB_APPS,
    "agents", "rollouts", "enrolment", "telemetry", "variables", "configurations", "packages", "connections", "certificates",
    "alerts",
    "opamp_transport", "notifications",
    "simulator",  # brings its command alone
]  # fmt: skip
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "opamp_platform.middleware.MeasureRequests",
    "opamp_platform.middleware.ClientAddress",
    "opamp_platform.compression.CompressedAnswers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "opamp_platform.middleware.CheckHost",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "opamp_platform.middleware.EndIdleSessions",
    "accounts.preferences.Preferences",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "opamp_platform.middleware.ExplainForms",
    "opamp_platform.middleware.EndRefreshing",
    "opamp_platform.middleware.RefuseNul",
]
ROOT_URLCONF = "opamp_platform.urls"
ASGI_APPLICATION = "opamp_platform.asgi.application"
APPEND_SLASH = False
CSRF_FAILURE_VIEW = "opamp_platform.api.problems.forged"

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
# The report queue's database threads: SQLite has one writer, PostgreSQL gains up to four.
_database_url = env.text("DATABASE_URL")
DATABASE_THREADS = 4 if _database_url.startswith("postgres") else 1
DATABASES = {"default": database(_database_url, DATA_DIR, DATABASE_THREADS)}

# --- Redis: the wakeups between processes, the cache -----------------------------------------------------------------
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

# --- Packages ------------------------------------------------------------------------------------------------------
PUBLIC_URL = public_url(env)
PACKAGE_MAX_SIZE = env.size("PACKAGE_MAX_SIZE", 2 * 1024**3, least=1024)
# Who hands files to agents: the portal, or the bucket by presigned addresses. How long an address is good for.
PACKAGE_DOWNLOADS = env.one_of("PACKAGE_DOWNLOADS", "portal", "store")
PACKAGE_URL_SECONDS = env.integer("PACKAGE_URL_SECONDS", 24 * 3600, least=60, most=7 * 24 * 3600)
PACKAGE_SIGNING_KEYS = signing_keys(env)
ALERTS, _email = alert_settings(env)
globals().update(_email)

# --- Files ----------------------------------------------------------------------------------------------------------
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL")
S3_BUCKET = env.text("S3_BUCKET")
S3_ACCESS_KEY = env.text("S3_ACCESS_KEY")
S3_SECRET_KEY = env.text("S3_SECRET_KEY")
if bool(S3_BUCKET) != bool(S3_ACCESS_KEY and S3_SECRET_KEY):
    raise StrangeValue("S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY go together: set all three or none.")
_bucket = bucket_store(S3_BUCKET, S3_ENDPOINT_URL, S3_ACCESS_KEY, S3_SECRET_KEY)
STORAGES = {
    "default": _bucket if S3_BUCKET else folder_store(DATA_DIR / "files"),
    "staticfiles": {"BACKEND": "opamp_platform.static_files.HashedFiles"},
}
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Where nothing was collected yet, pages name the files as they lie in the source.
WHITENOISE_USE_FINDERS = not (STATIC_ROOT / "staticfiles.json").exists()
WHITENOISE_AUTOREFRESH = DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024**2
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000
# Bodies too large for memory lie here until they are read: what /tmp is, a disk or memory, is not ours to say.
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "uploads"

# --- Languages and time ---------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "templates" / "locale"]
FORMAT_MODULE_PATH = ["opamp_platform.formats"]
TIME_ZONE = env.text("TIME_ZONE", "UTC")
try:
    ZoneInfo(TIME_ZONE)
except (KeyError, ValueError, OSError) as error:
    raise StrangeValue(f"TIME_ZONE={TIME_ZONE!r} is no time zone: use a name such as Europe/Berlin.") from error
USE_TZ = True
USE_I18N = True

# --- Sign-in --------------------------------------------------------------------------------------------------------
LOGIN_URL = "admin:login"
# Where people go who were sent to sign in from nowhere, or from an address that is not ours.
LOGIN_REDIRECT_URL = "admin:index"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Wrong passwords meet growing pauses, whichever entry point they are typed at.
AUTHENTICATION_BACKENDS = ["accounts.backends.PausingBackend"]
# A session in which nobody did anything for so long ends; pages that refresh themselves are nobody. 0: never.
SESSION_IDLE_SECONDS = env.integer("SESSION_IDLE_SECONDS", 8 * 3600, most=30 * 24 * 3600)
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
    "DEFAULT_PAGINATION_CLASS": "opamp_platform.api.paging.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "opamp_platform.api.problems.problem_response",
    "VIEW_NAME_FUNCTION": "opamp_platform.api.view_names.view_name",
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "opamp_platform.api.browsable.ApiPages",
    ],
    "DEFAULT_PARSER_CLASSES": ["opamp_platform.api.json_body.BoundedJSONParser"],
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
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "opamp_platform.api.docs.complete"],
    "ENUM_NAME_OVERRIDES": {
        "AgentStatus": [(item.value, item.value) for item in Status],
        "ReportedStatus": [(item.name.lower(), item.name.lower()) for item in RemoteConfigStatuses],
        "AssignmentStatus": "configurations.models.Assignment.Status",
        "ConfigurationKind": "configurations.models.Configuration.Kind",
        "EventKind": "agents.models.AgentEvent.Kind",
        "CommandKind": "agents.models.AgentCommand.Kind",
        "RolloutState": "rollouts.models.Rollout.State",
        "RolloutMemberState": "rollouts.subjects.MemberState",
        "PackageKind": "packages.models.Package.Kind",
        "InstallationStatus": "packages.models.Installation.Status",
        "JobState": "jobs.models.JobState",
        **ALERT_ENUMS,
        "ConnectionStatus": "connections.models.AgentConnection.Status",
    },
}

# Pages load nothing from elsewhere and run no inline code.
CONTENT_SECURITY_POLICY = PAGES_POLICY

# --- Logs -----------------------------------------------------------------------------------------------------------
LOG_LEVEL = env.text("LOG_LEVEL", "INFO").upper()
LOG_FORMAT = env.text("LOG_FORMAT", "console" if DEBUG or sys.stderr.isatty() else "json")
LOGGING_CONFIG = None
LOGGING = logging_config(level=LOG_LEVEL, style=LOG_FORMAT)
