"""Messages that nobody would think of: good ones with parts changed to anything, and what is no message at all.

Those that somebody has thought of are in `tests/hostile.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from tests.hostile import Hostile
from tests.ledger.tasks import nothing

NAN = float("nan")
STRANGE = st.sampled_from([
    NAN, float("inf"), 10**400, -(10**400), 2**31, 2**63, -1, 0, True, None, "", "\ud800", "a\x00b", "x" * 300,
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-01T12:00:00", "2026-02-30", "nan", "1e999",
    [[]] * 3, json.loads("[" * 90 + "]" * 90), {"__type__": "datetime", "__value__": 5}, {"": {}}, [None, None],
])  # fmt: skip
VALUES = st.recursive(
    STRANGE | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
GOOD = encode(TaskMessage(id="valid", task=nothing.name))
HEADERS = st.sampled_from([*GOOD.headers, "compression", "django_tasks_deliveries", "stamps", "x"])
PROPERTIES = st.sampled_from(["priority", "reply_to", "correlation_id", "delivery_mode", "expiration"])
PROTOCOL_1 = {
    "task": nothing.name, "id": "first", "args": [], "kwargs": {}, "retries": 0, "eta": None, "expires": None,
    "utc": True, "timelimit": [None, None], "taskset": None, "chord": None, "callbacks": None, "errbacks": None,
}  # fmt: skip
CONTENT_TYPES = st.sampled_from(
    ["application/json", "application/x-yaml", "application/x-python-serialize", "text/plain", "", None, 5]
)
ENCODINGS = st.sampled_from(["utf-8", "binary", "ascii", "utf-16", "rot13", "", None, 5])


def body_of(value: Any) -> bytes:
    return json.dumps(value).encode()


BODIES = (
    st.binary(max_size=50)
    | VALUES.map(body_of)
    | st.tuples(VALUES, VALUES, VALUES).map(body_of)
    | st.lists(STRANGE, max_size=3).map(lambda args: body_of([args, {}, {}]))
    | st.dictionaries(st.sampled_from(["callbacks", "errbacks", "chain", "chord"]), VALUES).map(
        lambda embed: body_of([[], {}, embed])
    )
)
CHANGED_HEADERS = st.dictionaries(HEADERS, VALUES | st.just(...), max_size=3)
MUTATED = st.builds(
    Hostile,
    name=st.just("mutated"),
    body=st.just(GOOD.body.encode() if isinstance(GOOD.body, str) else GOOD.body) | BODIES,
    headers=CHANGED_HEADERS.map(lambda changes: {**GOOD.headers, **changes}),
    content_type=st.just("application/json") | CONTENT_TYPES,
    content_encoding=st.just("utf-8") | ENCODINGS,
    properties=st.dictionaries(PROPERTIES, VALUES, max_size=1),
)
FIRST_PROTOCOL = st.dictionaries(st.sampled_from([*PROTOCOL_1, "group", "x"]), VALUES, max_size=3).map(
    lambda changes: Hostile(
        name="protocol 1",
        body=body_of({**PROTOCOL_1, **changes}),
        headers={"lang": ..., "task": ..., "id": ...},
    )
)


def stored(changes: Mapping[str, Any]) -> str:
    envelope = {
        "body": base64.b64encode(body_of([[], {}, {}])).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": nothing.name, "id": "stored"},
        "properties": {"delivery_info": {}, "delivery_tag": "1", "body_encoding": "base64"},
    }
    return json.dumps({**envelope, **changes})


ENVELOPES = st.dictionaries(
    st.sampled_from(["body", "content-type", "content-encoding", "headers", "properties", "x"]),
    VALUES,
    max_size=2,
).map(stored)
#: What is written into a table or a list where a stored message should be.
STORED = VALUES.map(json.dumps) | ENVELOPES
