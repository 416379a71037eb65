"""Structured logs: structlog's formatter over the standard library, so that libraries' own lines look the same."""

from __future__ import annotations

import logging
import time
from typing import Any

import structlog

from opamp_platform.environment import StrangeValue


class OnceAMinute(logging.Filter):
    """Lets a warning through once a minute for each text; errors always. Whoever can cause one can cause a million."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that was written within the last minute."""
        if record.levelno >= logging.ERROR:
            return True
        now = time.monotonic()
        # By the text before its arguments are put in: the server's own texts are few.
        if now - self._written.get(str(record.msg), -60.0) < 60.0:
            return False
        self._written[str(record.msg)] = now
        return True


def logging_config(*, level: str, style: str) -> dict[str, Any]:
    """The ``logging`` dictionary for ``style`` ``"json"`` (one object a line) or ``"console"``; level as in ``logging``.

    Raises `StrangeValue` for any other style or level.
    """
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        raise StrangeValue(f"LOG_LEVEL={level!r}: use DEBUG, INFO, WARNING, ERROR or CRITICAL.")
    if style not in {"json", "console"}:
        raise StrangeValue(f"LOG_FORMAT={style!r}: use json or console.")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = structlog.dev.ConsoleRenderer(colors=False)
    if style == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"once a minute": {"()": OnceAMinute}},
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # One line for each request would drown the state changes; requests are counted in /metrics.
            "uvicorn.access": {"level": "WARNING"},
            "django.server": {"level": "WARNING"},
            # What single connections do: three lines for each handshake, or a warning for each bad request.
            "opamp_server.connections": {"level": "WARNING", "filters": ["once a minute"]},
            "httpx": {"level": "WARNING"},
            # A line for each slice of a job, and for each look for one.
            "django_tasks": {"level": "WARNING"},
            "django_tasks_db": {"level": "WARNING"},
        },
    }
