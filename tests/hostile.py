"""Messages that nobody means well with, or that went wrong on their way: none of them may be run, or stop a worker.

Each is a good message but for one thing. `send` puts one into a queue of any broker, by kombu; what no kombu producer
sends, but anybody can write into a table or a Redis list, is in `RAW`.
"""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import kombu

from tests.ledger.tasks import nothing

EMBED: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
GOOD = json.dumps([[], {}, EMBED]).encode()
JSON, YAML, MSGPACK = "application/json", "application/x-yaml", "application/x-msgpack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A message as it is handed to kombu. Headers are those of a good one with these changed; `...` is left out."""

    name: str
    body: bytes = GOOD
    headers: Mapping[str, Any] = field(default_factory=dict)
    content_type: Any = JSON
    content_encoding: Any = "utf-8"
    properties: Mapping[str, Any] = field(default_factory=dict)
    #: AMQP has types of its own for these, and refuses what is of another or too long.
    fits_amqp: bool = True

    @property
    def is_large(self) -> bool:
        return len(self.body) + sum(len(str(value)) for value in self.headers.values()) > 1_000_000

    def all_headers(self, id: str) -> dict[str, Any]:
        merged = {"lang": "py", "task": nothing.name, "id": id, **self.headers}
        return {name: value for name, value in merged.items() if value is not ...}


def send(producer: kombu.Producer, hostile: Hostile, *, queue: str, id: str) -> None:
    """As a stranger would: kombu writes what it is told to."""
    producer.publish(
        hostile.body,
        routing_key=queue,
        content_type=hostile.content_type,
        content_encoding=hostile.content_encoding,
        headers=hostile.all_headers(id),
        **hostile.properties,
    )


def body(name: str, body: bytes, **more: Any) -> Hostile:
    return Hostile(name=f"body: {name}", body=body, **more)


def part(name: str, *parts: Any) -> Hostile:
    return body(name, json.dumps(list(parts)).encode())


def header(key: str, value: Any, **more: Any) -> Hostile:
    return Hostile(name=f"header: {key} is {str(value)[:40]!r}", headers={key: value}, **more)


def packed(name: str, body: bytes, compression: Any = "gzip", **more: Any) -> Hostile:
    return Hostile(name=f"compression: {name}", body=body, headers={"compression": compression}, **more)


def zeros(size: int, level: int = 9) -> bytes:
    """A zlib stream of so many zeros, made without having them all."""
    packer = zlib.compressobj(level)
    pieces = [packer.compress(b"0" * 1_000_000) for _ in range(size // 1_000_000)]
    return b"".join([*pieces, packer.flush()])


def nested(levels: int) -> bytes:
    return b"[" + b"[" * levels + b"]" * levels + b", {}, {}]"


BODIES = [
    body("a number", b"42"),
    body("an empty list", b"[]"),
    body("an empty mapping", b"{}"),
    body("null", b"null"),
    body("text", b'"text"'),
    body("no JSON", b"garbage"),
    body("cut off", GOOD[:-5]),
    body("half a message", GOOD + GOOD[:3]),
    body("nothing", b""),
    body("a space", b" "),
    body("no UTF-8", b"[[\xff\xfe], {}, {}]"),
    body("halves of surrogate pairs", b'[["\xed\xa0\x80"], {}, {}]'),
    body("UTF-16", GOOD.decode().encode("utf-16")),
    body("a NUL byte", b'[["a\x00b"], {}, {}]'),
    body("only NUL bytes", b"\x00" * 100),
    body("an endless number", b"[[" + b"9" * 100_000 + b"], {}, {}]"),
    body("deeper than Python goes", b"[" * 100_000),
    body("deeper than Python goes, and closed", nested(100_000)),
    body("nearly as deep as Python goes", nested(900)),
    body("deep mappings", b'[[], {"a": ' + b'{"a": ' * 700 + b"1" + b"}" * 700 + b"}, {}]"),
    body("kombu's types, unknown", b'[[{"__type__": "code", "__value__": "1"}], {}, {}]'),
    body("kombu's types, unhashable", b'[[{"__type__": [], "__value__": 1}], {}, {}]'),
    body("kombu's types, no moment", b'[[{"__type__": "datetime", "__value__": "now"}], {}, {}]'),
    body("kombu's types, no bytes", b'[[{"__type__": "base64", "__value__": "x"}], {}, {}]'),
    body("kombu's types, no span", b'[[{"__type__": "timedelta", "__value__": "1"}], {}, {}]'),
    part("two parts", [], {}),
    part("four parts", [], {}, EMBED, 1),
    part("args is text", "ab", {}, EMBED),
    part("args is a mapping", {}, {}, EMBED),
    part("kwargs is a list", [], [], EMBED),
    part("embed is text", [], {}, "x"),
    part("callbacks is a mapping", [], {}, {"callbacks": {}}),
    part("errbacks has a number", [], {}, {"errbacks": [1]}),
    part("chain is a number", [], {}, {"chain": 1}),
    part("chord is a list", [], {}, {"chord": []}),
    body("protocol 1", b'{"task": "a", "id": "b", "args": 5}', headers={"task": ..., "id": ...}),
]  # fmt: skip

HEADERS = [
    header("task", ...),
    header("id", ...),
    header("task", ""),
    header("id", ""),
    header("task", 5),
    header("id", 5),
    header("task", None),
    header("id", ["x"]),
    header("task", "no.such.task"),
    header("task", "x" * 256),
    header("task", "x" * 60_000),
    header("id", "x" * 256),
    header("id", "x" * 60_000),
    header("task", "tests\x00"),
    header("id", "a\x00b"),
    header("id", "a\nb"),
    header("id", "\ud800", fits_amqp=False),
    header("root_id", ["x"]),
    header("parent_id", "x" * 256),
    header("group", 1),
    header("group_index", "first"),
    header("retries", -1),
    header("retries", "many"),
    header("retries", 2**31 - 1),
    header("retries", 2**62),
    header("retries", 10**400, fits_amqp=False),
    header("timelimit", "abc"),
    header("timelimit", [1]),
    header("timelimit", [float("nan"), None]),
    header("timelimit", [float("inf"), None]),
    header("timelimit", [-1, None]),
    header("timelimit", {"hard": 1}),
    header("eta", float("nan")),
    header("eta", "tomorrow"),
    header("eta", 1700000000),
    header("eta", "0001-01-01T00:00:00+14:00"),
    header("expires", "9999-12-31T23:59:59"),
    header("expires", "nan"),
    header("expires", True),
    header("ignore_result", "no"),
    header("shadow", 1),
    header("origin", {}),
    header("argsrepr", []),
    header("kwargsrepr", 5),
    header("replaced_task_nesting", "deep"),
    header("x-deep", json.loads("[" * 300 + "]" * 300), fits_amqp=False),
    header("x-huge", "x" * 11_000_000, fits_amqp=False),
    header("x-many", [0] * 11_000_000, fits_amqp=False),
]  # fmt: skip

CONTENT = [
    Hostile(name="content type: none", content_type=None),
    Hostile(name="content type: unknown", content_type="application/x-nonsense"),
    Hostile(name="content type: of another kind", content_type="text/plain"),
    Hostile(name="content type: bytes", content_type="application/data", content_encoding="binary"),
    Hostile(name="content type: a list", content_type=["application/json"], fits_amqp=False),
    Hostile(name="content type: of 250 letters", content_type="x" * 250),
    Hostile(name="content encoding: unknown", content_encoding="x-nonsense"),
    Hostile(name="content encoding: a compression", content_encoding="zlib", body=zlib.compress(GOOD)),
    Hostile(name="content encoding: not what it is", content_encoding="utf-16"),
    Hostile(name="content encoding: slow", content_encoding="punycode", body=b"x-" * 100_000),
    Hostile(name="content encoding: a number", content_encoding=5, fits_amqp=False),
    Hostile(
        name="content: pickle",
        body=pickle.dumps([[], {}, EMBED]),
        content_type="application/x-python-serialize",
        content_encoding="binary",
    ),
    Hostile(name="content: YAML with tags", body=b"- [!!python/name:os.system '']\n- {}\n- {}", content_type=YAML),
    Hostile(name="content: YAML in circles", body=b"- &a [*a]\n- {}\n- {}", content_type=YAML),
    Hostile(name="content: cut msgpack", body=b"\x93\x90", content_type=MSGPACK, content_encoding="binary"),
    Hostile(
        name="content: msgpack with bytes for text",
        body=b"\x93\x90\x81\xc4\x01a\x01\x80",
        content_type=MSGPACK,
        content_encoding="binary",
    ),
    Hostile(
        name="content: msgpack that promises four billion values",
        body=b"\xdd\xff\xff\xff\xff",
        content_type=MSGPACK,
        content_encoding="binary",
    ),
]  # fmt: skip

COMPRESSIONS = [
    packed("not compressed", GOOD),
    packed("cut off", zlib.compress(GOOD)[:-3]),
    packed("something behind it", zlib.compress(GOOD) + b"x"),
    packed("two in one", zlib.compress(GOOD) * 2),
    packed("of another kind", zlib.compress(GOOD), "bzip2"),
    packed("unknown", GOOD, "application/x-nonsense"),
    packed("a list", GOOD, ["gzip"]),
    packed("a number", GOOD, 5),
    packed("nothing", b""),
    packed("garbage within", zlib.compress(b"garbage")),
    packed("compressed twice", zlib.compress(zlib.compress(GOOD))),
    packed("20 MB of zeros", zeros(20_000_000)),
]  # fmt: skip

PROPERTIES = [
    Hostile(name="property: priority is text", properties={"priority": "high"}, fits_amqp=False),
    Hostile(name="property: reply_to is a list", properties={"reply_to": []}, fits_amqp=False),
    Hostile(name="property: reply_to is endless", properties={"reply_to": "x" * 5000}, fits_amqp=False),
]  # fmt: skip

#: Each is set aside by a worker that accepts JSON, YAML and msgpack, and by one that accepts less.
HOSTILE = [*BODIES, *HEADERS, *CONTENT, *COMPRESSIONS, *PROPERTIES]


def bomb() -> Hostile:
    """1 MB that unpacks to 1 GB."""
    return packed("a bomb", zeros(1_000_000_000))


def heavy() -> Hostile:
    """A body of 50 MB, good but for its size."""
    return body("50 MB", json.dumps([["x" * 50_000_000], {}, EMBED]).encode())


def stored(**changes: Any) -> str:
    """What kombu keeps of a good message in Redis and in our table, with some parts changed."""
    good = {
        "body": base64.b64encode(GOOD).decode(),
        "content-type": JSON,
        "content-encoding": "utf-8",
        "headers": {"task": nothing.name, "id": "stored"},
        "properties": {
            "delivery_info": {"exchange": "", "routing_key": "default"},
            "delivery_tag": "stored",
            "body_encoding": "base64",
        },
    }
    return json.dumps({**good, **changes})


RAW = [
    "42",
    "[]",
    "null",
    '"text"',
    "{}",
    "garbage",
    "",
    "[" * 100_000,
    stored(body=5),
    stored(body=None),
    stored(body="?"),
    stored(body="\ud800", properties={"delivery_info": {}, "delivery_tag": "x"}),
    stored(headers=[]),
    stored(headers="x"),
    stored(headers={"task": 5}),
    stored(properties=[]),
    stored(properties={}),
    stored(properties={"delivery_info": [], "delivery_tag": "x"}),
    stored(properties={"delivery_info": {}, "delivery_tag": {}, "body_encoding": "rot13"}),
    stored(**{"content-type": {}}),
    stored(**{"content-encoding": []}),
]  # fmt: skip
