"""Messages as Celery 5 writes them, byte for byte where it matters."""

import base64
import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from django_tasks import clock
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode, encode

GOLDEN = Path(__file__).parent / "golden"
SENT = dt.datetime(2026, 11, 20, 8, 27, 3, 872924, tzinfo=dt.UTC)
GROUP = "99999999-9999-4999-8999-999999999999"


def signature(task, *args, immutable=False, **options):
    return {
        "task": task,
        "args": list(args),
        "kwargs": {},
        "options": options,
        "subtask_type": None,
        "immutable": immutable,
    }


ADD = TaskMessage(
    id="11111111-1111-4111-8111-111111111111",
    task="proj.tasks.add",
    args=(2, 2),
    queue="capq",
    root_id="11111111-1111-4111-8111-111111111111",
    origin="gen24841@vm",
    reply_to="1ed66106-1aba-3978-ab13-df4f9b173480",
    argsrepr="(2, 2)",
    kwargsrepr="{}",
)
MESSAGES = {
    "add": ADD,
    "every_option": replace(
        ADD,
        args=(2,),
        kwargs={"y": 3},
        priority=5,
        ignore_result=True,
        retries=1,
        eta=SENT + dt.timedelta(seconds=10),
        expires=SENT + dt.timedelta(seconds=120),
        time_limit=30,
        soft_time_limit=20,
        root_id="22222222-2222-4222-8222-222222222222",
        parent_id="33333333-3333-4333-8333-333333333333",
        shadow="nick",
        argsrepr="(2,)",
        kwargsrepr="{'y': 3}",
        replaced_task_nesting=1,
        callbacks=(signature("proj.tasks.add", 16),),
        errbacks=(signature("proj.tasks.err"),),
        headers={"x-my": "v"},
    ),
    "chain": replace(
        ADD,
        args=(1, 2),
        argsrepr="(1, 2)",
        chain=(
            signature("proj.tasks.add", 4, 4, immutable=True, task_id="cccccccc-cccc-4ccc-8ccc-cccccccccccc"),
            signature("proj.tasks.add", 3, task_id="bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"),
        ),
    ),
    "chord_part": replace(
        ADD,
        args=(1, 1),
        argsrepr="(1, 1)",
        group=GROUP,
        group_index=0,
        chord=signature(
            "proj.tasks.tsum",
            task_id="dddddddd-dddd-4ddd-8ddd-dddddddddddd",
            reply_to="1ed66106-1aba-3978-ab13-df4f9b173480",
            group_id=GROUP,
        ),
    ),
    "stamped": replace(
        ADD, headers={"stamped_headers": ["tenant"], "stamps": {"tenant": ["acme"]}, "tenant": ["acme"]}
    ),
    "rich_types": replace(
        ADD,
        args=(
            SENT,
            dt.date(2026, 11, 20),
            dt.time(8, 27, 3),
            Decimal("1.10"),
            UUID("11111111-1111-4111-8111-111111111111"),
            b"abc",
            b"\xff",
            dt.timedelta(seconds=90.5),
        ),
        argsrepr="('...',)",
    ),
}


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.fixture(autouse=True)
def the_moment_of_sending(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: SENT)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_written_as_celery_writes_it(name):
    envelope = encode(MESSAGES[name])

    assert {slot: getattr(envelope, slot) for slot in Envelope.__slots__} == golden(name)
    assert list(envelope.headers)[:19] == list(golden(name)["headers"])[:19]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_message_is_read_back(name):
    message = decode(Envelope(**golden(name)), queue="capq", accept=["json"])

    assert message == MESSAGES[name]


def test_what_celery_put_into_redis_is_read():
    element = golden("captured_from_celery_on_redis")
    envelope = Envelope(
        headers=element["headers"],
        body=base64.b64decode(element["body"]),
        content_type=element["content-type"],
        content_encoding=element["content-encoding"],
        properties=element["properties"],
    )

    assert decode(envelope, queue="capq", accept=["json"]) == ADD
