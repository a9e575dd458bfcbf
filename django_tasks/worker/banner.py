"""What a worker says of itself when it starts."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from kombu.utils.url import maybe_sanitize_url

from django_tasks import conf, registry
from django_tasks.brokers import queues
from django_tasks.version import __version__

from .options import WorkerOptions


def banner(options: WorkerOptions) -> str:
    settings = conf.current()
    database = django_settings.DATABASES[settings.DATABASE]
    rows = [
        ("worker", f"{options.full_name}, {_size(options)}"),
        ("broker", broker_url()),
        ("database", f"{settings.DATABASE}: {database['ENGINE'].rpartition('.')[2]} {database['NAME']}"),
        ("queues", ", ".join(options.queues)),
        ("tasks", _tasks()),
        *([("health", _health(options))] if options.health_port else []),
        *(("missing", sentence) for sentence in _missing(options, database)),
    ]
    return "\n".join([f"django_tasks {__version__}", *(f"  {name:<9} {value}" for name, value in rows)])


def broker_url() -> str:
    """`BROKER_URL` to be shown: without passwords. There may be several, the later ones for when the first is away."""
    urls = conf.current().BROKER_URL.split(";")
    # Only where there may be one: a URL without is shown as it was written.
    return ";".join(str(maybe_sanitize_url(url)) if {"@", "?"}.intersection(url) else url for url in urls)


def _size(options: WorkerOptions) -> str:
    if not options.processes:
        return "everything in this process"
    threads = "" if options.threads == 1 else f" of {options.threads} threads"
    return f"{options.processes} process{'es' if options.processes != 1 else ''}{threads}"


def _health(options: WorkerOptions) -> str:
    host = f"[{options.health_host}]" if ":" in options.health_host else options.health_host
    return f"http://{host}:{options.health_port}/livez and /readyz"


def _names() -> list[str]:
    """The project's tasks; ours are always there."""
    return sorted(name for name in registry.tasks if not name.startswith("django_tasks."))


def _tasks() -> str:
    names = _names()
    shown = ", ".join(names[:8])
    return f"{len(names)}: {shown}{', …' if len(names) > 8 else ''}" if names else "none"


def _missing(options: WorkerOptions, database: dict[str, Any]) -> list[str]:
    """What somebody who starts this worker probably forgot."""
    sentences = []
    if not _names():
        sentences.append("no task was found: define one in the tasks.py of an installed app")
    if unserved := [name for name in queues.declared() if name not in options.queues]:
        sentences.append(f"nobody here serves {', '.join(unserved)}: start another worker with --queues")
    engine = database["ENGINE"].rpartition(".")[2]
    closes = database.get("CONN_MAX_AGE", 0) == 0  # None is for ever
    if engine != "sqlite3" and closes and "pool" not in database.get("OPTIONS", {}):
        sentences.append(
            "every task that uses the database opens a connection of its own: set CONN_MAX_AGE or a pool"
        )
    return sentences
