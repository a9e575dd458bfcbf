"""Whatever comes: decoding it ends in a message or in `DecodeError`."""

from __future__ import annotations

import contextlib
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import compression as kombu_compression

from django_tasks.brokers.unpacking import envelope_of
from django_tasks.exceptions import DecodeError
from django_tasks.message.compression import unpack
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import decode, encode
from tests.hostile import GOOD, HOSTILE, Hostile, bomb

ACCEPT = ["json", "yaml", "msgpack"]


class Arrived:
    """A kombu message, as far as it is looked at."""

    def __init__(self, hostile: Hostile) -> None:
        self.body = hostile.body
        self.headers = hostile.all_headers("hostile")
        self.content_type = hostile.content_type
        self.content_encoding = hostile.content_encoding
        self.properties = {"delivery_info": {}, **hostile.properties}


def read(hostile: Hostile) -> TaskMessage:
    return decode(envelope_of(Arrived(hostile)), queue="default", accept=ACCEPT)


#: Readable; that there is no such task is for the worker to find out.
UNKNOWN = next(one for one in HOSTILE if "no.such.task" in one.name)


def test_a_good_message_is_read() -> None:
    assert read(Hostile(name="good")).id == "hostile"


@pytest.mark.parametrize(
    "hostile", [one for one in HOSTILE if one is not UNKNOWN], ids=lambda one: str(one.name)
)
def test_a_hostile_message_is_refused_with_a_reason(hostile: Hostile) -> None:
    with pytest.raises(DecodeError) as caught:
        read(hostile)

    reason = str(caught.value)
    assert 20 < len(reason) < 1000
    assert reason.isprintable()


def test_a_bomb_is_refused_by_the_limit_and_the_reason_names_the_setting() -> None:
    with pytest.raises(DecodeError, match="MESSAGE_MAX_BYTES"):
        read(bomb())


def test_yaml_that_stands_for_a_billion_things_is_refused_and_nobody_counts_them() -> None:
    lines = ["- - &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    laughs = "\n".join([*lines, "- {}", "- {}"]).encode()

    with pytest.raises(DecodeError, match="nested deeper"):
        read(Hostile(name="laughs", body=laughs, content_type="application/x-yaml"))


def test_yaml_with_a_few_aliases_is_read() -> None:
    body = b"- [&a [1, 2], *a, *a]\n- {}\n- {}"

    assert read(Hostile(name="aliases", body=body, content_type="application/x-yaml")).args == ([1, 2],) * 3


def reads_or_refuses(hostile: Hostile) -> None:
    """Only `DecodeError` may come out; what is read can be written again."""
    with contextlib.suppress(DecodeError):
        encode(read(hostile))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
TYPES = st.sampled_from(["application/json", "application/x-yaml", "application/x-msgpack"])


@given(st.binary(), TYPES)
def test_arbitrary_bytes_are_read_or_refused(body: bytes, content_type: str) -> None:
    reads_or_refuses(Hostile(name="any", body=body, content_type=content_type))


@given(JSON)
def test_arbitrary_json_is_read_or_refused(body: object) -> None:
    reads_or_refuses(Hostile(name="any", body=json.dumps(body).encode()))


@given(st.binary(), st.sampled_from(["gzip", "bzip2", "lzma", "brotli", "zstd"]))
def test_arbitrary_bytes_that_are_said_to_be_compressed_are_refused(body: bytes, name: str) -> None:
    reads_or_refuses(Hostile(name="any", body=body, headers={"compression": name}))


@given(st.data())
def test_a_good_message_with_anything_for_some_of_its_parts_is_read_or_refused(data: st.DataObject) -> None:
    names = [*encode(TaskMessage(id="1", task="t")).headers, "compression", "x"]
    reads_or_refuses(
        Hostile(
            name="mutated",
            headers=data.draw(st.dictionaries(st.sampled_from(names), JSON | st.just(...))),
            content_encoding=data.draw(st.just("utf-8") | JSON),
            content_type=data.draw(st.just("application/json") | JSON),
            properties=data.draw(st.dictionaries(st.sampled_from(["priority", "reply_to"]), JSON)),
        )
    )


@given(st.integers(0, len(GOOD)), st.binary(max_size=3))
def test_a_damaged_body_is_read_or_refused(position: int, damage: bytes) -> None:
    reads_or_refuses(Hostile(name="damaged", body=GOOD[:position] + damage + GOOD[position + len(damage) :]))


# -- unpacking


def pack(data: bytes, name: str) -> bytes:
    if name not in kombu_compression._aliases:
        pytest.skip(f"the package for {name} is not installed")
    packed: bytes = kombu_compression.compress(data, name)[0]
    return packed


KINDS = pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma", "brotli", "zstd"])


@KINDS
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_what_is_not_too_large_is_unpacked(name: str, size: int) -> None:
    assert unpack(pack(b"x" * size, name), name, 1000) == b"x" * size


@KINDS
@pytest.mark.parametrize("size", [1001, 5_000_000])
def test_what_is_too_large_is_refused_with_the_limit(name: str, size: int) -> None:
    with pytest.raises(DecodeError, match="1,000 bytes of DJANGO_TASKS"):
        unpack(pack(b"x" * size, name), name, 1000)


@KINDS
def test_what_is_cut_off_anywhere_is_refused(name: str) -> None:
    packed = pack(bytes(range(256)) * 3, name)

    for length in range(len(packed)):
        with pytest.raises(DecodeError, match="cannot be unpacked"):
            unpack(packed[:length], name, 1000)


@KINDS
def test_what_has_something_behind_it_is_refused(name: str) -> None:
    packed = pack(b"x", name)

    for behind in (b"x", packed):
        with pytest.raises(DecodeError, match="cannot be unpacked"):
            unpack(packed + behind, name, 1000)


def test_a_compression_of_ones_own_is_measured_when_it_is_undone() -> None:
    kombu_compression.register(zlib.compress, lambda body: zlib.decompress(body), "application/x-own-test")

    assert unpack(zlib.compress(b"x" * 1000), "application/x-own-test", 1000) == b"x" * 1000
    with pytest.raises(DecodeError, match="MESSAGE_MAX_BYTES"):
        unpack(zlib.compress(b"x" * 1001), "application/x-own-test", 1000)
