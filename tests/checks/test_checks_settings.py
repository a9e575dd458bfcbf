from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core import checks as django_checks

from django_tasks import conf
from django_tasks.checks import celery, modules, places, sqlite
from django_tasks.checks import settings as of_settings
from django_tasks.models import QueuedMessage, TaskResult, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings


class Keeps:
    """A database router that keeps some models off a database."""

    def __init__(self, alias: str, *models: type) -> None:
        self.alias = alias
        self.models = models

    def allow_migrate(self, db: str, app_label: str, model: type | None = None, **hints: Any) -> bool | None:
        return False if db == self.alias and model in self.models else None


def test_the_test_projects_own_settings_raise_nothing() -> None:
    assert django_checks.run_checks(tags=["tasks"]) == []


def test_a_mistyped_key_is_an_error_with_a_guess(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"BROKR_URL": "django://"}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E002"
    assert error.level == django_checks.ERROR
    assert "'BROKR_URL'" in error.msg
    assert "Did you mean 'BROKER_URL'?" in error.msg
    assert "TASK_QUEUES" in error.hint


def test_each_wrong_value_is_an_error_of_its_own(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"MAX_CRASHES": "three", "TASK_QUEUES": "mail"}

    assert [error.id for error in django_checks.run_checks(tags=["tasks"])] == ["django_tasks.E002"] * 2


def test_settings_that_are_no_dict_are_an_error(settings: Settings) -> None:
    settings.DJANGO_TASKS = "django://"

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert "must be a dict" in error.msg


def test_a_database_that_is_not_there_is_an_error_with_a_guess(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"DATABASE": "defualt"}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E003"
    assert "'defualt'" in error.msg
    assert "Did you mean 'default'?" in error.msg
    assert "Name one of default" in error.hint


@pytest.mark.parametrize("url", ["carrier-pigeon://host/", "nonsense", "django://elsewhere"])
def test_a_broker_url_that_will_not_do_is_an_error(settings: Settings, url: str) -> None:
    settings.DJANGO_TASKS = {"BROKER_URL": url}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E004"
    assert "BROKER_URL" in error.msg
    assert "DJANGO_TASKS['BROKER_URL']" in error.hint


def test_set_12_a_compression_that_is_not_there_is_an_error(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"TASK_COMPRESSION": "gzipp"}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E009"
    assert "Did you mean 'gzip'?" in error.msg


def test_a_name_that_no_queue_can_have_is_an_error(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": ["mail", "no spaces"]}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E005"
    assert "'no spaces'" in error.msg
    assert "TASK_QUEUES" in error.hint


def test_models_that_a_router_keeps_off_their_database_are_errors(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [Keeps("default", TaskResult, Worker, QueuedMessage)]

    errors = places.allowed_migrations()

    assert [error.id for error in errors] == ["django_tasks.E007"] * 3
    assert [error.msg.split()[2] for error in errors] == ["TaskResult", "Worker", "QueuedMessage"]
    assert "allow_migrate('default', 'django_tasks')" in errors[0].hint


def test_messages_belong_to_the_brokers_database(settings: Settings, database: Callable[..., None]) -> None:
    database("messages")
    settings.DJANGO_TASKS = {"BROKER_URL": "django://messages"}
    settings.DATABASE_ROUTERS = [Keeps("messages", TaskResult, Worker), Keeps("default", QueuedMessage)]
    assert places.allowed_migrations() == []

    settings.DATABASE_ROUTERS = [Keeps("messages", QueuedMessage)]
    (error,) = places.allowed_migrations()

    assert "keep QueuedMessage off the database 'messages'" in error.msg


def test_checks_that_cannot_know_while_the_settings_are_wrong_keep_silent(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"NO_SUCH_KEY": 1}

    later = (
        *(of_settings.broker_url, of_settings.queue_names, modules.tasks_modules),
        *(places.allowed_migrations, sqlite.file, sqlite.options),
    )

    assert [check() for check in later] == [[]] * 6


def test_settings_of_celerys_are_a_warning_that_names_ours(settings: Settings) -> None:
    settings.CELERY_ACKS_LATE = True
    settings.CELERY_TASK_QUEUES = ["mail"]
    settings.CELERY_ENABLE_UTC = True

    (warning,) = celery.celery_settings()

    assert warning.id == "django_tasks.W001"
    assert warning.level == django_checks.WARNING
    assert "CELERY_ACKS_LATE, CELERY_ENABLE_UTC, CELERY_TASK_QUEUES" in warning.msg
    assert "CELERY_ACKS_LATE: DJANGO_TASKS['TASK_ACKS_LATE']." in warning.hint
    assert "CELERY_TASK_QUEUES: DJANGO_TASKS['TASK_QUEUES']." in warning.hint
    assert "CELERY_ENABLE_UTC: not needed, USE_TZ and TIME_ZONE rule." in warning.hint
    assert "SILENCED_SYSTEM_CHECKS" in warning.hint


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("CELERY_TASK_SERIALIZER", "TASK_SERIALIZER"),
        ("CELERY_TASK_ACKS_LATE", "TASK_ACKS_LATE"),
        ("CELERY_IGNORE_RESULT", "TASK_IGNORE_RESULT"),
        ("CELERY_TASK_IGNORE_RESULT", "TASK_IGNORE_RESULT"),
        ("CELERY_QUEUES", "TASK_QUEUES"),
        ("CELERY_DEFAULT_QUEUE", "TASK_DEFAULT_QUEUE"),
        ("CELERY_IMPORTS", "IMPORTS"),
        ("CELERY_BROKER_URL", "BROKER_URL"),
        ("CELERY_BROKER_TRANSPORT_OPTIONS", "BROKER_TRANSPORT_OPTIONS"),
        ("CELERY_ACCEPT_CONTENT", "ACCEPT_CONTENT"),
    ],
)
def test_old_and_new_names_of_celerys_lead_to_ours(settings: Settings, name: str, key: str) -> None:
    setattr(settings, name, ())

    (warning,) = celery.celery_settings()

    assert f"{name}: DJANGO_TASKS['{key}']." in warning.hint


def test_a_setting_that_has_no_counterpart_is_said_to_have_none(settings: Settings) -> None:
    settings.CELERYBEAT_SCHEDULE = {}

    (warning,) = celery.celery_settings()

    assert "CELERYBEAT_SCHEDULE: not in this version." in warning.hint


def test_only_keys_that_exist_are_recommended() -> None:
    known = conf.Settings.__dataclass_fields__

    for name in celery.OTHER_NAMES:
        recommended = celery._counterpart(name).partition("['")[2].partition("']")[0]
        assert recommended in known or recommended == ""


def test_routes_to_nowhere_are_errors_one_each(settings: Settings) -> None:
    """FEATURES SET-10."""
    settings.DJANGO_TASKS = {
        "TASK_QUEUES": ["mail"],
        "TASK_ROUTES": [{"shop.*": "mial"}, "nowhere.route", ("blog.*", {"queue": "mail"})],
    }

    undeclared, missing = django_checks.run_checks(tags=["tasks"])

    assert {undeclared.id, missing.id} == {"django_tasks.E010"}
    assert (
        "No queue 'mial' is declared and TASK_ROUTES sends tasks there. Did you mean 'mail'?"
        in undeclared.msg
    )
    assert "'nowhere.route', which cannot be imported" in missing.msg
    assert "DJANGO_TASKS['TASK_ROUTES']" in undeclared.hint


def test_routes_of_another_type_are_one_error(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"TASK_ROUTES": 5}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.msg == "DJANGO_TASKS['TASK_ROUTES'] must be a mapping or a string or a list, not 5."


def test_a_mistyped_retry_policy_is_an_error(settings: Settings) -> None:
    """FEATURES SET-14."""
    settings.DJANGO_TASKS = {"TASK_PUBLISH_RETRY_POLICY": {"max_retrys": 1}}

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E011"
    assert "'max_retrys'. Did you mean 'max_retries'?" in error.msg
