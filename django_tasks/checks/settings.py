"""The values of DJANGO_TASKS."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, register

from django_tasks import conf
from django_tasks.brokers import handler as brokers
from django_tasks.brokers import queues, routes
from django_tasks.message import compression, retry_policy
from django_tasks.results import handler

TAG = "tasks"


@register(TAG)
def keys_and_types(**_: Any) -> list[CheckMessage]:
    return [
        Error(
            problem,
            hint=f"Correct {conf.NAME} in the settings. It knows {', '.join(known_keys())}.",
            id="django_tasks.E002",
        )
        for problem in _read()[1]
    ]


@register(TAG)
def database_alias(**_: Any) -> list[CheckMessage]:
    alias = _read()[0].DATABASE
    if alias in django_settings.DATABASES:
        return []
    guess = conf.guess(alias, django_settings.DATABASES)
    return [
        Error(
            f"{conf.NAME}['DATABASE'] is {alias!r}, which DATABASES does not have.{guess}",
            hint=f"Name one of {', '.join(django_settings.DATABASES)}, or add {alias!r} to DATABASES.",
            id="django_tasks.E003",
        )
    ]


@register(TAG)
def broker_url(**_: Any) -> list[CheckMessage]:
    if not can_be_asked():
        return []
    return [
        Error(
            problem,
            hint=f"Correct {conf.NAME}['BROKER_URL']. Without it, messages go through the tasks' database.",
            id="django_tasks.E004",
        )
        for problem in brokers.problems(conf.current().BROKER_URL)
    ]


@register(TAG)
def queue_names(**_: Any) -> list[CheckMessage]:
    if not can_be_asked():
        return []
    return [
        Error(
            problem,
            hint=f"Correct {conf.NAME}, 'TASK_QUEUES' or 'TASK_DEFAULT_QUEUE', and a name also where tasks say it.",
            id="django_tasks.E005",
        )
        for problem in queues.problems()
    ]


@register(TAG)
def task_routes(**_: Any) -> list[CheckMessage]:
    if not can_be_asked() or queues.problems():
        return []
    return [
        Error(
            problem,
            hint=f"Correct {conf.NAME}['TASK_ROUTES']. Until then the tasks it speaks of cannot be sent.",
            id="django_tasks.E010",
        )
        for problem in routes.problems()
    ]


@register(TAG)
def publish_retry_policy(**_: Any) -> list[CheckMessage]:
    if not can_be_asked():
        return []
    return [
        Error(problem, hint="Correct it, or leave it out for Celery's policy.", id="django_tasks.E011")
        for problem in retry_policy.problems(conf.current().TASK_PUBLISH_RETRY_POLICY)
    ]


@register(TAG)
def message_compression(**_: Any) -> list[CheckMessage]:
    if not can_be_asked():
        return []
    try:
        compression.check(conf.current().TASK_COMPRESSION, f"{conf.NAME}['TASK_COMPRESSION']")
    except ValueError as error:
        hint = "Name one of these, or leave it out: then messages are not compressed."
        return [Error(str(error), hint=hint, id="django_tasks.E009")]
    return []


@register(TAG)
def result_store(**_: Any) -> list[CheckMessage]:
    if not can_be_asked():
        return []
    return [
        Error(
            problem,
            hint=f"Correct it. Without {conf.NAME}['RESULT_STORE'] and `backend`, results are in the tasks' rows.",
            id="django_tasks.E008",
        )
        for problem in handler.problems()
    ]


def known_keys() -> list[str]:
    return list(conf.Settings.__dataclass_fields__)


def can_be_asked() -> bool:
    """Whether `conf.current()` answers, and names a database there is.

    If not, the checks above say why, and the others have nothing to add.
    """
    return not _read()[1] and not database_alias()


def broker_can_be_asked() -> bool:
    return can_be_asked() and not brokers.problems(conf.current().BROKER_URL)


def _read() -> tuple[conf.Settings, list[str]]:
    return conf.read(getattr(django_settings, conf.NAME, {}))
