"""Tasks of rows, as the project declares them now."""

from __future__ import annotations

from typing import Any

from django_tasks import conf, registry


def task(name: str) -> Any:
    """The task, or its class: options are attributes of both. `None` of one that is not declared any more."""
    if name not in registry.tasks:
        # Not for each row of tasks that are known: modules that cannot be imported are tried again each time.
        registry.import_errors()
    return registry.tasks.declared(name)


def secrets_of(name: str) -> tuple[str, ...]:
    """Parts of names that are never shown of this task."""
    return (*conf.current().REDACT, *own_secrets_of(name))


def own_secrets_of(name: str) -> tuple[str, ...]:
    return tuple(getattr(task(name), "redact", ())) if name else ()
