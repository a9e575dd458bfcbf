"""Where the tables are."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.db import router

from django_tasks import conf
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, TaskResult, Worker

from .settings import TAG, broker_can_be_asked


@register(TAG)
def allowed_migrations(**_: Any) -> list[CheckMessage]:
    """Where a table is looked for, `migrate` must be allowed to make it."""
    if not broker_can_be_asked():
        return []
    tasks, messages = conf.current().DATABASE, broker().alias
    homes = {TaskResult: tasks, Worker: tasks, QueuedMessage: messages}
    return [
        Error(
            f"DATABASE_ROUTERS keep {model.__name__} off the database {alias!r}, where it is looked for.",
            hint=f"Let allow_migrate({alias!r}, 'django_tasks') be True, or name another one in {conf.NAME}.",
            id="django_tasks.E007",
        )
        for model, alias in homes.items()
        if not router.allow_migrate_model(alias, model)
    ]
