"""Sending to a broker of its own, outside of transactions: the rows are committed, then the messages are published.

If the broker cannot be reached, a few tries later the messages wait in the database for a relay, or the rows go and
the caller is told, as `ON_BROKER_DOWN` says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from time import sleep

from django.db import connections, transaction

from django_tasks import clock, conf
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.connecting import is_silence
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import OperationalError, Unroutable
from django_tasks.message.retry_policy import RetryPolicy
from django_tasks.models import TaskResult
from django_tasks.models.together import together
from django_tasks.results.handler import results

from .prepared import Prepared, are_known_by_rows
from .reconnecting import write_at_once

logger = logging.getLogger("django_tasks.dispatch")


def send_at_once(prepared: Sequence[Prepared], policy: RetryPolicy) -> None:
    """Raises `OperationalError`, or `Unroutable`, if they are not all sent and will not be.

    Then none of them has a row. What a broker took before it refused another, or without saying so, may run.
    """
    now = clock.now()
    parked: list[Prepared] = []
    due: list[Prepared] = []
    for sent in prepared:
        (parked if sent.message.eta and sent.message.eta > now else due).append(sent)
    tracked = [sent for sent in prepared if not sent.message.ignore_result]
    if parked or tracked:
        alias = conf.current().DATABASE
        alone = not parked and are_known_by_rows(tracked)
        write_at_once(partial(_write, tracked, parked, alias), alias=alias, policy=policy, alone=alone)
    if not due:
        return
    try:
        away = _publish([sent.posting() for sent in due], policy)
    except Unroutable:
        _withdraw(due)
        raise
    if away is not None:
        _answer(away, due)


def _write(tracked: Sequence[Prepared], parked: Sequence[Prepared], alias: str) -> None:
    ids = [sent.message.id for sent in tracked]
    if tracked:
        with results().refusing_taken(ids), together(connections[alias]):
            results().open([(sent.message, sent.envelope) for sent in tracked])
    if parked:
        broker().publish([sent.posting() for sent in parked])


def _publish(postings: Sequence[Posting], policy: RetryPolicy) -> OperationalError | None:
    """`None` once the broker has them, or why it has not."""
    waits = policy.waits()
    while True:
        try:
            broker().publish(postings)
        except OperationalError as error:
            wait = next(waits, None)
            # What was silent for seconds will be; a refused connection costs nothing, and may be a restart.
            if wait is None or is_silence(error.__cause__):
                return error
            sleep(wait)
        else:
            return None


def _answer(away: OperationalError, due: Sequence[Prepared]) -> None:
    kept = [sent for sent in due if _is_kept(sent)]
    lost = [sent for sent in due if not _is_kept(sent)]
    with transaction.atomic(using=conf.current().DATABASE):
        if kept:
            broker().keep([sent.posting() for sent in kept])
        _withdraw(lost)
    if kept:
        logger.warning("%d tasks wait in the outbox: %s", len(kept), away)
    if lost:
        raise away


def _withdraw(unsent: Sequence[Prepared]) -> None:
    """Or the rows would be taken for tasks that a broker lost, and sent after all."""
    rows = TaskResult.objects.using(conf.current().DATABASE)
    rows.withdraw([sent.message.id for sent in unsent if not sent.message.ignore_result])


def _is_kept(sent: Prepared) -> bool:
    said = conf.current().ON_BROKER_DOWN
    return said == "outbox" or (said is None and not sent.message.ignore_result)
