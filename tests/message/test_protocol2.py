import datetime as dt
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_tasks import clock
from django_tasks.exceptions import DecodeError, EncodeError
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import RESERVED, decode, encode

ROOT = Path(__file__).parents[2]
MESSAGE = TaskMessage(id="one", task="blog.tasks.add", args=(2, 2), argsrepr="(2, 2)", kwargsrepr="{}")
LINKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=255)
MOMENTS = st.none() | st.datetimes(
    min_value=dt.datetime(1001, 1, 1), max_value=dt.datetime(9998, 12, 30), timezones=st.just(dt.UTC)
)
COUNTS = st.integers(min_value=0, max_value=2**30)
SECONDS = st.none() | st.integers(1, 10**6) | st.floats(min_value=0.001, max_value=10**6)
FINITE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(FINITE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
SIGNATURES = st.dictionaries(st.sampled_from(["task", "args", "x-new"]), JSON)
LISTS_OF_SIGNATURES = st.none() | st.lists(SIGNATURES, max_size=2).map(tuple)
MESSAGES = st.builds(
    TaskMessage,
    id=NAMES,
    task=NAMES,
    args=st.lists(JSON, max_size=3).map(tuple),
    kwargs=st.dictionaries(st.text(), JSON, max_size=3),
    queue=st.just("default"),
    priority=st.integers(0, 9),
    ignore_result=st.none() | st.booleans(),
    retries=COUNTS,
    eta=MOMENTS,
    expires=MOMENTS,
    time_limit=SECONDS,
    soft_time_limit=SECONDS,
    root_id=NAMES,
    parent_id=st.none() | NAMES,
    group=st.none() | NAMES,
    group_index=st.none() | COUNTS,
    shadow=st.none() | NAMES,
    origin=NAMES,
    reply_to=NAMES,
    argsrepr=NAMES,
    kwargsrepr=NAMES,
    callbacks=LISTS_OF_SIGNATURES,
    errbacks=LISTS_OF_SIGNATURES,
    chain=LISTS_OF_SIGNATURES,
    chord=st.none() | SIGNATURES,
    replaced_task_nesting=COUNTS,
    headers=st.dictionaries(NAMES.filter(lambda name: name not in RESERVED), JSON, max_size=2),
)


def read(envelope):
    return decode(envelope, queue="default", accept=["json"])


def written(headers=None, properties=None, body=None, **changes):
    """A good envelope with some parts replaced; a header of `...` is left out."""
    good = encode(MESSAGE)
    merged = {**good.headers, **(headers or {})}
    changes["headers"] = {name: value for name, value in merged.items() if value is not ...}
    changes["properties"] = {**good.properties, **(properties or {})}
    if body is not None:
        changes["body"] = body if isinstance(body, str | bytes) else json.dumps(body)
    return replace(good, **changes)


@given(MESSAGES)
def test_what_is_written_is_read_back(message):
    envelope = encode(message)

    assert read(envelope) == message


def test_the_origin_names_this_process_and_machine():
    envelope = encode(MESSAGE)

    assert envelope.headers["origin"] == f"gen{os.getpid()}@{socket.gethostname()}"


def test_the_origin_is_right_after_a_fork():
    script = """
import os
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
message = TaskMessage(id="one", task="add")
encode(message)
if (child := os.fork()) == 0:
    print(encode(message).headers["origin"], flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(child)
"""

    # A process of its own: forking one that other tests have given threads is deprecated.
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)

    origin, child = ran.stdout.split()
    assert origin == f"gen{child}@{socket.gethostname()}"


def test_the_origin_of_a_forwarded_message_stays():
    envelope = encode(replace(MESSAGE, origin="gen1@elsewhere"))

    assert envelope.headers["origin"] == "gen1@elsewhere"


def test_a_task_without_a_workflow_is_its_own_root():
    envelope = encode(MESSAGE)

    assert envelope.headers["root_id"] == "one"


def test_a_message_already_expired_has_no_time_left_on_the_broker():
    envelope = encode(replace(MESSAGE, expires=clock.now() - dt.timedelta(hours=1)))

    assert envelope.properties["expiration"] == "0"


def test_a_message_that_never_expires_has_no_expiration():
    envelope = encode(MESSAGE)

    assert "expiration" not in envelope.properties


def test_headers_of_the_protocol_are_not_the_users_to_choose():
    envelope = encode(replace(MESSAGE, headers={"id": "two", "compression": "gzip", "x": 1}))

    assert envelope.headers["id"] == "one"
    assert envelope.headers["x"] == 1
    assert "compression" not in envelope.headers


def test_every_header_we_write_is_reserved_except_stamps():
    envelope = encode(MESSAGE)

    assert envelope.headers.keys() - RESERVED == {"stamped_headers", "stamps"}


def test_stamps_of_two_messages_are_not_the_same_object():
    first, second = encode(MESSAGE), encode(MESSAGE)

    assert first.headers["stamps"] is not second.headers["stamps"]


@pytest.mark.parametrize(
    ("message", "place"),
    [
        (replace(MESSAGE, args=(1, User())), "Argument 2 "),
        (replace(MESSAGE, args=(1, [{"by": User()}])), "Argument 2[0]['by'] "),
        (replace(MESSAGE, kwargs={"author": User()}), "Keyword argument 'author' "),
        (replace(MESSAGE, callbacks=({"args": [User()]},)), "The message['callbacks'][0]['args'][0] "),
        (replace(MESSAGE, headers={"x-user": User()}), "The value of headers['x-user'] "),
    ],
)
def test_a_model_instance_is_refused_with_its_place_and_advice(message, place):
    with pytest.raises(EncodeError) as caught:
        encode(message)

    assert (
        str(caught.value)
        == f"{place}is an instance of the model auth.User. Pass its pk and fetch the row in the task."
    )


def test_only_task_and_id_are_needed():
    envelope = Envelope(
        headers={"task": "blog.tasks.add", "id": "one"},
        body="[[1], {}, null]",
        content_type="application/json",
        content_encoding="utf-8",
    )

    assert read(envelope) == TaskMessage(
        id="one", task="blog.tasks.add", args=(1,), root_id="one", ignore_result=None
    )


def test_headers_of_others_are_kept_and_forwarded():
    message = read(written(headers={"x-new": {"deep": [1]}, "stamped_headers": ["t"], "stamps": {"t": 1}}))

    assert message.headers == {"x-new": {"deep": [1]}, "stamped_headers": ["t"], "stamps": {"t": 1}}
    assert encode(message).headers["x-new"] == {"deep": [1]}
    assert encode(message).headers["stamps"] == {"t": 1}


def test_opt_05_compression_that_was_undone_is_asked_for_again_and_is_no_header_of_the_users():
    message = read(written(headers={"compression": "application/x-gzip"}))

    assert message.compression == "application/x-gzip"
    assert "compression" not in message.headers
    assert encode(message).headers["compression"] == "application/x-gzip"
    assert encode(message).body == encode(replace(message, compression=None)).body


def test_a_message_that_nobody_wants_compressed_has_no_header_for_it():
    assert "compression" not in encode(MESSAGE).headers


@pytest.mark.parametrize("text", ["2026-11-20T08:00:00Z", "2026-11-20T10:00:00+02:00", "2026-11-20T09:00:00"])
def test_a_moment_is_read_with_z_with_an_offset_and_in_the_projects_time_zone(text):
    with override_settings(TIME_ZONE="Europe/Berlin"):
        message = read(written(headers={"eta": text}))

    assert message.eta == dt.datetime(2026, 11, 20, 8, tzinfo=dt.UTC)


def test_a_time_limit_of_zero_is_none():
    message = read(written(headers={"timelimit": [0, 0.0]}))

    assert (message.time_limit, message.soft_time_limit) == (None, None)


@pytest.mark.parametrize(("sent", "read_as"), [(255, 9), (None, 0)])
def test_a_priority_is_brought_into_range(sent, read_as):
    message = read(written(properties={"priority": sent}))

    assert message.priority == read_as


def test_a_text_for_display_is_made_storable_and_cut():
    message = read(written(headers={"argsrepr": "a\x00\ud800" + "b" * 5000}))

    assert message.argsrepr.startswith("a\\x00\\ud800b")
    assert len(message.argsrepr) == 1024


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"task": ...}, "no `task` header, as protocol 2 has"),
        ({"task": ""}, "empty `task` header"),
        ({"task": 5}, "`task`"),
        ({"id": ...}, "no `id` header"),
        ({"id": 5}, "`id`"),
        ({"id": "x" * 256}, "at most 255 characters"),
        ({"id": "a\x00b"}, "printable"),
        ({"id": "\ud800"}, "printable"),
        ({"root_id": ["x"]}, "`root_id`"),
        ({"parent_id": "x" * 256}, "`parent_id`"),
        ({"group": 1}, "`group`"),
        ({"group_index": "first"}, "`group_index`"),
        ({"retries": -1}, "`retries`"),
        ({"retries": "many"}, "`retries`"),
        ({"retries": True}, "`retries`"),
        ({"retries": 2**31}, "`retries`"),
        ({"timelimit": "abc"}, "`timelimit`"),
        ({"timelimit": [1]}, "`timelimit`"),
        ({"timelimit": [float("nan"), None]}, "`timelimit`"),
        ({"timelimit": [-1, None]}, "`timelimit`"),
        ({"eta": "tomorrow"}, "`eta`"),
        ({"eta": 1700000000}, "`eta`"),
        ({"eta": "0001-01-01T00:00:00+14:00"}, "`eta`"),
        ({"expires": "9999-12-31T23:59:59"}, "`expires`"),
        ({"ignore_result": "no"}, "`ignore_result`"),
        ({"shadow": 1}, "`shadow`"),
        ({"argsrepr": []}, "`argsrepr`"),
    ],
)
def test_a_malformed_header_is_named(headers, named):
    with pytest.raises(DecodeError) as caught:
        read(written(headers=headers))

    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"task": "blog.tasks.add"}, "The body must be [args, kwargs, embed], not a dict"),
        ([[], {}], "The body must be [args, kwargs, embed], not a list"),
        (["ab", {}, LINKS], "args, must be a list, not a str"),
        ([[], [], LINKS], "kwargs, must be a mapping of names to values, not a list"),
        ([[], {}, "x"], "The Embed part must be a mapping"),
        ([[], {}, {"callbacks": {}}], "`callbacks`"),
        ([[], {}, {"chain": ["x"]}], "`chain`"),
        ([[], {}, {"chord": []}], "`chord`"),
        (b"\xff\xfe", "not readable as application/json"),
        ("", "empty"),
        ("[" * 100_000, "not readable as application/json (RecursionError"),
        ('[[{"__type__": [], "__value__": 1}], {}, null]', "not readable as application/json"),
    ],
)
def test_a_malformed_body_is_refused(body, sentence):
    with pytest.raises(DecodeError) as caught:
        read(written(body=body))

    assert sentence in str(caught.value)


def test_a_refused_body_is_not_shown():
    with pytest.raises(DecodeError) as caught:
        read(written(body=[{"password": "hunter2"}, {}, None]))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "application/data", "", None, 5])
def test_content_that_is_not_accepted_is_refused(content_type):
    with pytest.raises(DecodeError, match="ACCEPT_CONTENT"):
        read(written(content_type=content_type))


@pytest.mark.parametrize("part", ["headers", "properties"])
def test_headers_and_properties_must_be_mappings(part):
    with pytest.raises(DecodeError, match="must be a mapping"):
        read(replace(encode(MESSAGE), **{part: ["x"]}))


@pytest.mark.parametrize("priority", ["high", -1, 1.5, True])
def test_a_malformed_priority_is_refused(priority):
    with pytest.raises(DecodeError, match="`priority`"):
        read(written(properties={"priority": priority}))


def test_a_message_written_with_pickle_is_read_only_where_pickle_is_accepted():
    envelope = encode(replace(MESSAGE, args=({1, 2},), serializer="pickle"))

    message = decode(envelope, queue="default", accept=["pickle"])

    assert message.args == ({1, 2},)
    assert message.serializer == "pickle"
    with pytest.raises(DecodeError, match="refused"):
        read(envelope)


def reads_or_refuses(envelope):
    """Only `DecodeError` may come out; what is read can be written again."""
    try:
        message = read(envelope)
    except DecodeError as error:
        message, refusal = MESSAGE, str(error)
    else:
        refusal = ""
    assert len(refusal) < 1000
    encode(message)


@given(st.binary())
def test_arbitrary_bytes_are_read_or_refused(body):
    reads_or_refuses(written(body=body))


@given(JSON)
def test_arbitrary_json_is_read_or_refused(body):
    reads_or_refuses(written(body=json.dumps(body)))


@given(st.lists(JSON, min_size=3, max_size=3))
def test_three_arbitrary_parts_are_read_or_refused(parts):
    reads_or_refuses(written(body=json.dumps(parts)))


@given(
    st.dictionaries(st.sampled_from([*sorted(RESERVED), "stamps", "x"]), JSON | st.just(...)),
    st.dictionaries(st.sampled_from(["priority", "reply_to", "expiration"]), JSON),
)
def test_mutated_headers_and_properties_are_read_or_refused(headers, properties):
    reads_or_refuses(written(headers=headers, properties=properties))


@given(st.integers(0, 80), st.binary(max_size=3))
def test_a_damaged_body_is_read_or_refused(position, damage):
    body = encode(MESSAGE).body.encode()

    reads_or_refuses(written(body=body[:position] + damage + body[position + len(damage) :]))


@given(JSON, JSON, JSON, JSON)
def test_an_envelope_of_anything_is_read_or_refused(headers, properties, content_type, content_encoding):
    reads_or_refuses(
        Envelope(
            headers=headers,
            body=b"[[], {}, {}]",
            content_type=content_type,
            content_encoding=content_encoding,
            properties=properties,
        )
    )
