"""Atomic tasks: the body, what it sends and its ending are one transaction of the tasks' database.

So its effects there and its SUCCESS are there together or not at all. If the process dies before the commit nothing has
happened, and the task runs again; if it dies right after it the row is final, and nobody touches it any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import transaction

from django_tasks import conf

from . import news
from .outcome import Outcome, Request, Settled
from .settlement import settle


class ClaimLost(Exception):
    """The row is somebody else's by now, so what the body did must not stand."""


def in_one_transaction(call: Callable[[], Outcome], request: Request) -> Outcome:
    """Call the body, and record its outcome in the transaction in which it was called.

    Raises, with everything rolled back, what `call` or the commit raises, and `ClaimLost`.
    """
    using = conf.current().DATABASE
    committed: list[bool] = []
    outcome: Outcome | None = None
    try:
        with transaction.atomic(using=using):
            # The first of those that are called on commit, so that it tells whether one of them failed or the commit.
            transaction.on_commit(lambda: committed.append(True), using=using)
            outcome = call()
            if isinstance(outcome, Settled):
                return outcome
            if request.owner and not settle([outcome], request.owner):
                raise ClaimLost
    except BaseException as error:
        if outcome is None or not committed:
            raise
        text = "is committed and recorded, but what it asked to be called on commit raised %r"
        news.line(logging.ERROR, request, text, error, exc_info=error)
    return outcome
