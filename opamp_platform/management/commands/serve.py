"""``manage.py serve``: prepare the database and run the server."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands.migrate import Command as Migrate
from django.db import connection

from accounts import services as accounts
from accounts.models import User
from agents.services import labelling
from foundation.clock import clock
from foundation.command_progress import advance_progress, progress_shown
from opamp_platform import static_files
from opamp_platform.environment import Environment, StrangeValue
from opamp_platform.operations.certificate import expiring
from opamp_platform.operations.command_failures import connect_without_pool
from opamp_platform.operations.data_dir import close_to_others
from opamp_platform.operations.exposure import anonymous_agents_problem, exposures, open_data_dir
from opamp_platform.operations.health import missing_migrations
from opamp_platform.server import WORKER, configuration
from opamp_platform.tls_settings import certificate_options, tls_files
from opamp_server import supervisor, worker
from opamp_server.serving import port_problem, raise_file_limit

# What this portal makes in its data directory.
_OUR_FILES = ("secret_key", "opamp.sqlite3*", "files", "metrics", "static")
_FIRST_TOKEN_LIFETIME = timedelta(days=1)


class CountedMigrate(Migrate):
    """Django's, telling how far it is: with a large fleet a change of the database takes minutes."""

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        """As Django's, which also says it where it is asked to."""
        super().migration_progress_callback(action, migration, fake)
        if action == "apply_success":
            advance_progress()


class Command(BaseCommand):
    """Migrates, makes the first admin, serves the portal and the agents."""

    help = "Run the portal and the OpAMP server in this process, or in several."

    def add_arguments(self, parser: CommandParser) -> None:
        """Host, ports, workers."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8080)
        parser.add_argument(
            "--opamp-port", type=int, help="A port for agents alone; default: 4320 if it is free; 0: none."
        )
        parser.add_argument("--tls-cert", default="", help="Serve over TLS: a certificate with its chain, a PEM file.")
        parser.add_argument("--tls-key", default="", help="The certificate's key, a PEM file.")
        parser.add_argument(
            "--tls-client-ca", default="", help="Authorities whose client certificates agents may show, a PEM file."
        )
        parser.add_argument("--workers", type=int, default=settings.WEB_CONCURRENCY)
        parser.add_argument(
            "--print-token",
            action="store_true",
            help="At the first start print an API token of one day, also when nobody reads along at a terminal.",
        )
        parser.add_argument("--no-migrate", action="store_true", help="Leave the database's schema as it is.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, announce, become the program that serves: what the preparing took is gone then."""
        host, port, workers = options["host"], options["port"], options["workers"]
        self.secure(options)
        if workers > 1 and (not settings.REDIS_URL or "sqlite" in settings.DATABASES["default"]["ENGINE"]):
            raise CommandError(
                "Several workers need PostgreSQL (DATABASE_URL) and Redis (REDIS_URL): they share agents through them."
            )
        problem = anonymous_agents_problem(host) or port_problem(host, port)
        if problem:
            raise CommandError(problem)
        agent_port = self.agent_port(host, port, options["opamp_port"])
        self.prepare(migrate=not options["no_migrate"])
        self.announce(host, port, print_token=options["print_token"] or sys.stdout.isatty())
        with progress_shown("static files prepared"):
            static_files.collect()
        close_to_others(settings.DATA_DIR, _OUR_FILES)
        raise_file_limit()
        # The server's processes read their settings from the environment; this one has read its own already.
        os.environ["OPAMP_PORT"] = str(agent_port)
        os.environ.pop("OPAMP_PORT_FILE", None)
        connection.close()
        if connection.vendor == "postgresql":
            connection.close_pool()  # type: ignore[attr-defined]
        ports = [port, agent_port] if agent_port else [port]
        if workers > 1:
            self.supervise(host, ports, workers)
        sockets = [configuration(host=host, port=number).bind_socket() for number in ports]
        worker.become(WORKER, host, str(port), sockets=sockets)

    def secure(self, options: dict[str, Any]) -> None:
        """Take what the command line says of TLS, for this process and for those that it becomes. Raises CommandError."""
        named = {"TLS_CERT": "tls_cert", "TLS_KEY": "tls_key", "TLS_CLIENT_CA": "tls_client_ca"}
        said = {name: str(Path(options[option]).resolve()) for name, option in named.items() if options[option]}
        os.environ.update(said)
        env = Environment(os.environ)
        try:
            settings.OPAMP_CERTIFICATES = certificate_options(env, proxies=settings.OPAMP_TRUSTED_PROXIES)
            settings.OPAMP_TLS = tls_files(env, settings.OPAMP_CERTIFICATES)
        except StrangeValue as error:
            raise CommandError(str(error)) from None
        if settings.OPAMP_TLS is not None:
            from opamp_server.tls import files_problem

            found = files_problem(settings.OPAMP_TLS)
            if found:
                raise CommandError(found)

    def supervise(self, host: str, ports: list[int], workers: int) -> NoReturn:
        """Become the supervisor of ``workers`` processes."""
        # Each worker writes its counts into this folder; /metrics adds them up.
        folder = settings.DATA_DIR / "metrics"
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.db"):
            old.unlink()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        supervisor.become(
            workers=workers,
            addresses=[(host, port) for port in ports],
            command=worker.command(WORKER, host, str(ports[0])),
            level=settings.LOG_LEVEL,
            style=settings.LOG_FORMAT,
        )

    def prepare(self, *, migrate: bool) -> None:
        """Bring the schema up to date, the roles, and labels to the setting of trusted keys. Raises DatabaseError."""
        connect_without_pool()
        missing = missing_migrations() if migrate else 0
        if missing:
            with progress_shown("changes of the database", total=missing):
                call_command(CountedMigrate(), interactive=False, verbosity=0)
        accounts.ensure_roles()
        with progress_shown("agents labelled"):
            labelling.apply_trusted_keys(at=clock.now())

    def agent_port(self, host: str, port: int, wanted: int | None) -> int:
        """The port for agents alone, 0 for none. Raises CommandError for a chosen one that cannot be had."""
        chosen = wanted is not None or settings.OPAMP_PORT_IS_CHOSEN
        found: int = settings.OPAMP_PORT if wanted is None else wanted
        if found in {0, port}:
            return 0
        problem = port_problem(host, found)
        if problem and chosen:
            raise CommandError(problem.replace("--port", "--opamp-port"))
        return 0 if problem else found

    def announce(self, host: str, port: int, *, print_token: bool) -> None:
        """Say where the portal is; the first time also how to sign in and how to connect an agent.

        A token that is written into a log is read by whoever reads that, so it is asked for, and lives a day.
        """
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104  compared, not bound
        shown = f"[{shown}]" if ":" in shown else shown
        secure = "s" if settings.OPAMP_TLS is not None else ""
        self.stdout.write(f"Portal:  http{secure}://{shown}:{port}/")
        for said in filter(None, [*exposures(host), *expiring(), open_data_dir()]):
            self.stdout.write(self.style.WARNING(f"Warning: {said!s}"))
        first = accounts.ensure_first_admin(username=settings.ADMIN_USERNAME, password=settings.ADMIN_PASSWORD)
        if first is not None:
            admin = User.objects.get(username=first.username)
            shown_password = first.generated_password or "(from ADMIN_PASSWORD)"
            self.stdout.write(f"Admin:   {first.username}   password: {shown_password}   (shown only now)")
            if print_token:
                until = clock.now() + _FIRST_TOKEN_LIFETIME
                _row, token = accounts.issue_token(admin, name="first start", by=None, expires_at=until)
                self.stdout.write(f"Token:   {token}   (for the REST API, for one day, shown only now)")
            else:
                self.stdout.write("Token:   none; make one with  .venv/bin/python manage.py create_token NAME")
            self.stdout.write("Connect a first agent, simulated or real:")
            endpoint = f"ws{secure}://{shown}:{port}/v1/opamp"
            self.stdout.write(f"  .venv/bin/python manage.py simulate_agents --count 1 --endpoint {endpoint}")
            self.stdout.write(f"  supervisor.yaml:  server: {{endpoint: {endpoint}}}")
        self.stdout.flush()
