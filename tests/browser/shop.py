"""Tasks of a shop, as its site would have them: declared, and a page and a half of what became of them."""

from __future__ import annotations

import datetime as dt

from django_tasks import clock, states, task
from django_tasks.message.asked import Asked
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.message.task_id import new_task_id
from django_tasks.models import TaskAttempt, TaskResult

INVOICE, NEWSLETTER = "shop.tasks.send_invoice", "blog.tasks.publish_newsletter"
NUMBER = 84
ERROR = (
    '{"exc_type": "ConnectionError", "exc_module": "builtins", "exc_message": ["mail.example.com refused"]}'
)
TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/shop/tasks.py", line 42, in send_invoice
    mails.send(invoice.as_pdf(), to=to)
  File "/srv/shop/shop/mails.py", line 17, in send
    connection.open()
  File "/usr/lib/python3/site-packages/mailer.py", line 96, in open
    self.socket = connect(self.host, self.port)
ConnectionError: mail.example.com refused
"""


def ago(**span: float) -> dt.datetime:
    return clock.to_storage(clock.now() - dt.timedelta(**span))


def declare() -> None:
    @task(
        name=INVOICE, autoretry_for=(ConnectionError,), retry_backoff=True, max_retries=4,
        soft_time_limit=60, time_limit=90, rate_limit="100/m",
    )  # fmt: skip
    def send_invoice(order_id: int, *, to: str, api_token: str = "") -> str:
        return f"{order_id} to {to}"

    @task(name=NEWSLETTER)
    def publish_newsletter(issue: int) -> None:
        return None


def make_rows() -> None:
    rows = [_row(number) for number in range(NUMBER)]
    TaskResult.objects.bulk_create(rows)
    TaskAttempt.objects.bulk_create(
        _attempt(row, number)
        for row in rows
        if row.status == states.FAILURE
        for number in range(1, row.retries + 2)
    )


def _row(number: int) -> TaskResult:
    status = (states.SUCCESS, states.SUCCESS, states.FAILURE, states.RETRY, states.PENDING)[number % 5]
    order = _invoice(4711 - number) if number % 2 == 0 else _newsletter(112 - number)
    row = TaskResult.of(order, encode(order))
    row.status, row.worker, row.created_at = status, "worker@web-1", ago(minutes=number, seconds=20)
    took = 2 + number * 37 % 50 / 10
    if status in states.FINAL_STATES:
        row.started_at = row.created_at + dt.timedelta(seconds=number % 4 / 10)
        row.finished_at = row.started_at + dt.timedelta(seconds=took)
    if status == states.FAILURE:
        row.result, row.traceback, row.fingerprint = ERROR, TRACEBACK, f"{412:016x}"
        row.retries, row.finished_at = 2, row.created_at + dt.timedelta(seconds=11)
        row.started_at = row.finished_at - dt.timedelta(seconds=took / 2)
    if status == states.RETRY:
        row.retries = 1 + number % 3
    if status == states.PENDING and number < 30:
        row.status, row.claimed_by, row.started_at = states.STARTED, f"{'a' * 32}.1", ago(seconds=number * 3)
        row.created_at = row.started_at - dt.timedelta(seconds=0.4)
    return row


def _invoice(order_id: int) -> TaskMessage:
    return TaskMessage(
        id=new_task_id(), task=INVOICE, args=(order_id,), kwargs={"to": "ada@example.com", "api_token": "s3cr3t"},
        argsrepr=f"({order_id},)", kwargsrepr="{'to': 'ada@example.com', 'api_token': '********'}",
        origin="gen4093@web-2", asked=Asked(user_id="7", request_id="6f1d0c52b9e84a7d"),
        subject=("blog.entry", str(order_id)),
    )  # fmt: skip


def _newsletter(issue: int) -> TaskMessage:
    return TaskMessage(
        id=new_task_id(), task=NEWSLETTER, args=(issue,), argsrepr=f"({issue},)", kwargsrepr="{}"
    )


def _attempt(row: TaskResult, number: int) -> TaskAttempt:
    """The last one is the row's own; those before it came a few seconds apart."""
    ending = TaskAttempt.Ending.RETRY if number <= row.retries else TaskAttempt.Ending.FAILURE
    begin = row.created_at + dt.timedelta(seconds=(0.2, 2.4)[number - 1]) if number <= 2 else row.started_at
    end = begin + dt.timedelta(seconds=1.1) if number <= 2 else row.finished_at
    return TaskAttempt(
        task_id=row.id, number=number, ending=ending, worker=row.worker, started_at=begin, finished_at=end,
        error_type="ConnectionError", message="mail.example.com refused", traceback=TRACEBACK,
        fingerprint=row.fingerprint,
    )  # fmt: skip
