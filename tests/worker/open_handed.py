"""A project that uses everything before its worker forks: the database, its notices, and the broker."""

from typing import Any

from django.db import connection

from django_tasks.models.watch import ENDINGS, watch
from django_tasks.signals import worker_init
from tests.ledger.tasks import note


@worker_init.connect
def use_everything(**_: Any) -> None:
    watch(connection, ENDINGS)
    note.delay(1)
