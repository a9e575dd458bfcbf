"""The attacks that task queues have suffered from, each tried on a real worker or on who asks for a result.

What is sent would leave a trace in the file system if any of it ran.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import kombu
import pytest
from django.test import Client
from django.urls import reverse

from django_tasks import AsyncResult, clock, states
from django_tasks.message.errors import read_error
from django_tasks.message.message import Envelope
from django_tasks.models import QueuedMessage, TaskResult
from tests.hostile import YAML, Hostile, send
from tests.ledger.models import Entry
from tests.ledger.tasks import note
from tests.workers import RunningWorker

RunBurst = Callable[..., RunningWorker]
ATTACKED = {"DJANGO_SETTINGS_MODULE": "tests.security.attacked_settings"}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def put(hostile: Hostile) -> None:
    with kombu.Connection("django://") as stranger:
        send(kombu.Producer(stranger.channel()), hostile, queue="default", id="hostile")


class Touch:
    """Leaves its trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


def as_pickle(trace: Path) -> Hostile:
    body = pickle.dumps([[], {}, {"callbacks": None, "x": Touch(trace)}])
    kind = "application/x-python-serialize"
    return Hostile(name="pickle", body=body, content_type=kind, content_encoding="binary")


def pickle_in_json(trace: Path) -> Hostile:
    """kombu's JSON has marks for types; a mark of one's own names none."""
    value = {"__type__": "pickle", "__value__": pickle.dumps(Touch(trace)).hex()}
    return Hostile(name="mark", body=json.dumps([[value], {}, {}]).encode())


def yaml_that_applies(trace: Path) -> Hostile:
    body = f"- [!!python/object/apply:os.system ['touch {trace}']]\n- {{}}\n- {{}}"
    return Hostile(name="apply", body=body.encode(), content_type=YAML)


def yaml_that_makes(trace: Path) -> Hostile:
    body = f"- [!!python/object/new:subprocess.Popen [['touch', '{trace}']]]\n- {{}}\n- {{}}"
    return Hostile(name="new", body=body.encode(), content_type=YAML)


def a_name_that_leads_to_a_function(trace: Path) -> Hostile:
    return Hostile(
        name="task", body=json.dumps([[f"touch {trace}"], {}, {}]).encode(), headers={"task": "os.system"}
    )


def a_task_that_runs_code(trace: Path) -> Hostile:
    body = pickle.dumps([[Touch(trace)], {}, {}])
    headers = {"task": "celery.execute_remote"}
    return Hostile(name="remote", body=body, content_type="application/x-python-serialize", headers=headers)


def an_encoding_that_is_a_codec(trace: Path) -> Hostile:
    return Hostile(name="codec", body=b"x\x9c" + bytes(200), content_encoding="zlib_codec")


@pytest.mark.worker
@pytest.mark.parametrize(
    "attack",
    [
        as_pickle,
        pickle_in_json,
        yaml_that_applies,
        yaml_that_makes,
        a_name_that_leads_to_a_function,
        a_task_that_runs_code,
        an_encoding_that_is_a_codec,
    ],
)
def test_a_message_that_brings_code_is_set_aside_and_nothing_of_it_runs(
    run_burst: RunBurst, trace: Path, attack: Callable[[Path], Hostile]
) -> None:
    put(attack(trace))
    note.delay(1)

    run_burst("--processes=1", **ATTACKED)

    assert not trace.exists()
    assert QueuedMessage.objects.aside().get().reason
    assert [entry.number for entry in Entry.objects.all()] == [1]


@pytest.mark.worker
def test_a_callback_that_leads_to_a_function_is_set_aside_when_its_turn_comes(
    run_burst: RunBurst, trace: Path
) -> None:
    link = {"task": "os.system", "args": [f"touch {trace}"], "kwargs": {}, "options": {}, "immutable": True}
    body = json.dumps([[1], {}, {"callbacks": [link], "errbacks": None, "chain": None, "chord": None}])
    put(Hostile(name="link", body=body.encode(), headers={"task": note.name}))

    run_burst("--processes=1", **ATTACKED)

    assert not trace.exists()
    assert AsyncResult("hostile").status == states.SUCCESS
    assert "os.system" in QueuedMessage.objects.aside().get().reason


#: `exc_module` and `exc_type` of a stored failure; CVE-2021-23727 is the first.
CALLABLES = [
    ("os", "system"),
    ("sys", "modules.os.system"),
    ("django_tasks.handlers", "os.system"),
    ("subprocess", "run"),
    ("subprocess", "os.system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "__import__"),
    ("pathlib", "Path.touch"),
    ("os", "_exit"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("module", "name"), CALLABLES)
def test_a_stored_failure_that_names_a_function_calls_nothing_when_it_is_raised(
    trace: Path, module: str, name: str
) -> None:
    code = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    for argument in (f"touch {trace}", code, str(trace), 1):
        stored = json.dumps({"exc_type": name, "exc_module": module, "exc_message": [argument]})
        TaskResult.objects.create(
            id=f"forged {argument}"[:60],
            task="x",
            queue="default",
            message="{}",
            status=states.FAILURE,
            result=stored,
            created_at=clock.to_storage(clock.now()),
        )

        with pytest.raises(Exception, match=r".*") as raised:
            AsyncResult(f"forged {argument}"[:60]).get(timeout=1)

        assert type(raised.value).__module__ == module
        assert type(raised.value).__name__ == name.rpartition(".")[2]
    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a..b", "__class__", "Path.__init__.__globals__", "é\x00", "\ud800", "x" * 10_000]
)
def test_a_stored_failure_with_a_strange_name_is_an_exception_nevertheless(name: str) -> None:
    error = read_error({"exc_type": name, "exc_module": "pathlib", "exc_message": [1]})

    assert isinstance(error, Exception)


@pytest.mark.django_db
def test_to_look_at_a_task_unpickles_nothing(admin_client: Client, trace: Path) -> None:
    """Whoever has access to the table may have written it."""
    sent = note.apply_async((1,), countdown=3600)
    row = TaskResult.objects.get(id=sent.id)
    envelope = replace(
        Envelope.from_text(row.message),
        body=pickle.dumps([[], {}, Touch(trace)]),
        content_type="application/x-python-serialize",
        content_encoding="binary",
    )
    TaskResult.objects.update(message=envelope.to_text())

    page = admin_client.get(reverse("admin:django_tasks_taskresult_change", args=[sent.id]))

    assert page.status_code == 200
    assert not trace.exists()
