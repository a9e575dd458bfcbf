"""Signatures that make no sense, from programs of others: the task that brings one ends all the same.

What ends is written in batches: an end that cannot be written would hold up all others of its process, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from django_tasks import clock
from django_tasks.execution.settlement import settle
from django_tasks.message.message import TaskMessage
from django_tasks.message.serialization import dumps
from django_tasks.models import TaskGroup, TaskResult
from tests.endings import OWNER, claimed, failed, in_queues, succeeded, untracked
from tests.ledger.tasks import add

pytestmark = pytest.mark.django_db

Dict = dict[str, Any]

GOOD: Dict = {
    "task": add.name,
    "args": [1],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
    "immutable": False,
}


def said(**options: Any) -> Dict:
    return {**GOOD, "options": options}


def composed(kind: str, **kwargs: Any) -> Dict:
    return {**GOOD, "task": f"celery.{kind}", "args": [], "kwargs": kwargs, "subtask_type": kind}


def nested() -> Dict:
    sig = GOOD
    for _ in range(150):
        sig = composed("chain", tasks=[sig, GOOD])
    return sig


NONSENSE: dict[str, Dict] = {
    "nothing": {},
    "no task": {"args": [1]},
    "task is a number": {**GOOD, "task": 5},
    "task is empty": {**GOOD, "task": ""},
    "task is too long": {**GOOD, "task": "x" * 300},
    "task with NUL": {**GOOD, "task": "x\x00"},
    "args are a number": {**GOOD, "args": 5},
    "kwargs are a list": {**GOOD, "kwargs": [1]},
    "options are a list": {**GOOD, "options": [1]},
    "id is too long": said(task_id="i" * 300),
    "id is a number": said(task_id=5),
    "id with half a character": said(task_id="a\ud800"),
    "no such queue": said(queue="nowhere"),
    "no such priority": said(priority=10**9),
    "countdown is text": said(countdown="x"),
    "group is too long": said(group_id="g" * 300),
    "group is a list": said(group_id=["g"]),
    "place in the group is text": said(group_id="g", group_index="x"),
    "place in the group is too large": said(group_id="g", group_index=10**12),
    "root is too long": said(root_id="r" * 300),
    "parent is a list": said(parent_id=["p"]),
    "chain of text": said(chain=["x"]),
    "chain is a number": said(chain=5),
    "chord is text": said(chord="x"),
    "nesting is text": said(replaced_task_nesting="x"),
    "link is text": said(link=["x"]),
    "link_error is nothing": said(link_error=[{}]),
    "no such serializer": said(serializer="nope"),
    "headers are a list": said(headers=[1]),
    "chord without body": composed("chord", header=[GOOD], kwargs={}),
    "chord whose body is nothing": composed("chord", header=[GOOD], body={}, kwargs={}),
    "chord whose header is for no queue": composed(
        "chord", header=[GOOD, said(queue="nowhere")], body=GOOD, kwargs={}
    ),
    "group whose id is too long": {**composed("group", tasks=[GOOD]), "options": {"task_id": "g" * 300}},
    "chain without tasks": composed("chain"),
    "chunks of nothing": composed("chunks"),
    "chunks of no size": composed("chunks", task=GOOD, it=[[1, 2]], n=0),
    "kind is unknown": {**GOOD, "subtask_type": "frob"},
    "kind is a list": {**GOOD, "subtask_type": ["frob"]},
    "nested too deeply": nested(),
}


@pytest.mark.parametrize("ends", [succeeded, lambda request, _: failed(request, ValueError("bang"))])
@pytest.mark.parametrize("where", ["chain", "callbacks", "errbacks"])
@pytest.mark.parametrize("name", NONSENSE)
def test_what_brings_nonsense_along_ends(name: str, where: str, ends: Any) -> None:
    other = add.delay(1, 1)
    message = TaskMessage(id="brings it", task=add.name, **{where: (GOOD, NONSENSE[name])})

    settle([ends(untracked(message), 1), succeeded(claimed(other.id), 2)], OWNER)

    assert other.state == "SUCCESS"
    in_queues()  # what was sent can be read


@pytest.mark.parametrize("name", NONSENSE)
def test_a_group_whose_body_is_nonsense_is_finished(name: str) -> None:
    member = _last_member(NONSENSE[name])

    settle([succeeded(claimed(member), 1)], OWNER)

    assert not TaskGroup.objects.unfinished().exists()
    in_queues()


def _last_member(body: Mapping[str, Any]) -> str:
    now = clock.to_storage(clock.now())
    TaskGroup.objects.create(id="the group", total=1, pending=1, body=str(dumps(body).body), created_at=now)
    sent = add.s(1, 1).set(group_id="the group", group_index=0).apply_async()
    assert TaskResult.objects.members("the group").get().id == sent.id
    return str(sent.id)
