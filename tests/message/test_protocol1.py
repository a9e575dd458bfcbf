"""Messages of protocol 1, as Celery 3 wrote them and Celery 5 writes them with `task_protocol = 1`."""

import datetime as dt
import json
from dataclasses import replace

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from django_tasks.exceptions import DecodeError
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode, encode
from django_tasks.message.serialization import dumps

FINITE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(FINITE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
FIELDS = (
    "task", "id", "args", "kwargs", "group", "group_index", "retries", "eta", "expires", "utc", "callbacks", "errbacks",
    "timelimit", "taskset", "chord",
)  # fmt: skip
BODY = {"task": "blog.tasks.add", "id": "one", "args": [2, 2], "kwargs": {}}


def read(envelope):
    return decode(envelope, queue="default", accept=["json"])


def written(body, headers=None, properties=None):
    return Envelope(
        headers=headers or {},
        body=body if isinstance(body, str | bytes) else json.dumps(body),
        content_type="application/json",
        content_encoding="utf-8",
        properties=properties or {},
    )


def of_celery(*call, **options):
    """What a real Celery hands to its broker."""
    app = Celery("old", set_as_current=False)
    app.conf.task_protocol = 1
    made = app.amqp.create_task_message("one", "blog.tasks.add", *call, **options)
    content_type, content_encoding, body = dumps(made.body)
    return Envelope(
        headers=made.headers,
        body=body,
        content_type=content_type,
        content_encoding=content_encoding,
        properties=made.properties,
    )


def test_a_message_of_celery_s_is_read():
    envelope = of_celery((2,), {"y": 3}, reply_to="answers", retries=1)

    assert envelope.headers == {}
    assert read(envelope) == TaskMessage(
        id="one",
        task="blog.tasks.add",
        args=(2,),
        kwargs={"y": 3},
        ignore_result=None,
        retries=1,
        root_id="one",
        reply_to="answers",
        argsrepr="(2,)",
        kwargsrepr="{'y': 3}",
    )


def test_every_option_of_celery_s_is_read():
    now = dt.datetime(2026, 11, 20, 8, tzinfo=dt.UTC)
    signature = {"task": "blog.tasks.note", "args": [], "kwargs": {}, "options": {}, "immutable": False}

    message = read(
        of_celery(
            (2, 2),
            {},
            countdown=10,
            expires=20,
            now=now,
            group_id="some",
            group_index=3,
            time_limit=30,
            soft_time_limit=20,
            callbacks=[signature],
            errbacks=[signature],
            chord=signature,
        )
    )

    assert message.eta == now + dt.timedelta(seconds=10)
    assert message.expires == now + dt.timedelta(seconds=20)
    assert (message.group, message.group_index) == ("some", 3)
    assert (message.time_limit, message.soft_time_limit) == (30, 20)
    assert message.callbacks == message.errbacks == (signature,)
    assert message.chord == signature


def test_what_was_read_goes_on_as_protocol_2():
    message = read(of_celery((2,), {"y": 3}))

    assert read(encode(message)) == replace(message, origin=read(encode(message)).origin)


def test_a_set_of_tasks_is_a_group():
    assert read(written({**BODY, "taskset": "some"})).group == "some"


def test_only_task_and_id_are_needed():
    message = read(written({"task": "blog.tasks.add", "id": "one"}))

    assert (message.id, message.task, message.args, message.kwargs) == ("one", "blog.tasks.add", (), {})


def test_headers_of_a_program_between_the_protocols_count():
    message = read(written(BODY, headers={"root_id": "zero", "retries": 2, "x-tenant": "acme"}))

    assert (message.root_id, message.retries) == ("zero", 2)
    assert message.headers == {"x-tenant": "acme"}


def test_secrets_are_not_shown():
    assert "hunter2" not in read(written({**BODY, "kwargs": {"password": "hunter2"}})).kwargsrepr


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (42, "nor a body that names a `task`"),
        ([], "nor a body that names a `task`"),
        ({}, "nor a body that names a `task`"),
        ({"task": None}, "no `task` or no `id`"),
        ({"task": "blog.tasks.add"}, "no `task` or no `id`"),
        ({**BODY, "task": 5}, "`task`"),
        ({**BODY, "args": "ab"}, "`args` must be a list"),
        ({**BODY, "kwargs": []}, "`kwargs` must be a mapping"),
        ({**BODY, "eta": "tomorrow"}, "`eta`"),
        ({**BODY, "timelimit": "abc"}, "`timelimit`"),
        ({**BODY, "taskset": 5}, "`taskset`"),
        ({**BODY, "chord": []}, "`chord`"),
        ("{", "not readable as application/json"),
        ("", "empty"),
    ],
)
def test_what_is_malformed_is_named(body, sentence):
    with pytest.raises(DecodeError) as caught:
        read(written(body))

    assert sentence in str(caught.value)


def test_a_refused_argument_is_not_shown():
    with pytest.raises(DecodeError) as caught:
        read(written({**BODY, "args": {"password": "hunter2"}}))

    assert "hunter2" not in str(caught.value)


def reads_or_refuses(envelope):
    """Only `DecodeError` may come out; what is read can be written again."""
    try:
        message = read(envelope)
    except DecodeError as error:
        message, refusal = TaskMessage(id="one", task="blog.tasks.add"), str(error)
    else:
        refusal = ""
    assert len(refusal) < 1000
    encode(message)


@given(st.binary())
def test_arbitrary_bytes_are_read_or_refused(body):
    reads_or_refuses(written(body))


@given(JSON)
def test_arbitrary_json_is_read_or_refused(body):
    reads_or_refuses(written(body))


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_mutated_fields_and_headers_are_read_or_refused(body, headers):
    reads_or_refuses(written({**BODY, **body}, headers={**headers, "task": None}))


@given(JSON, JSON, JSON, JSON)
def test_an_envelope_of_anything_is_read_or_refused(headers, properties, content_type, content_encoding):
    reads_or_refuses(
        Envelope(
            headers=headers,
            body=json.dumps(BODY),
            content_type=content_type,
            content_encoding=content_encoding,
            properties=properties,
        )
    )
