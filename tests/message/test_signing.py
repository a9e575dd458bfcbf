"""What a signature covers: each part of a message that decides what runs, when, and who hears of it."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_tasks.exceptions import EncodeError, NotSigned
from django_tasks.message import signing
from django_tasks.message.asked import Asked
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode, encode

SIGNING = override_settings(DJANGO_TASKS={"MESSAGE_SIGNING": True}, SECRET_KEY="new", SECRET_KEY_FALLBACKS=[])
FULL = TaskMessage(
    id="one",
    task="shop.tasks.pay",
    args=(1,),
    eta=dt.datetime(2030, 1, 1, tzinfo=dt.UTC),
    time_limit=1.5,
    reply_to="6b1bd8ff-0000-4000-8000-000000000000",
    asked=Asked(user_id="17", request_id=None),
    subject=("shop.order", "17"),
    headers={"tenant": 7, "trace": {"b": [1, None], "a": True}},
)
#: Those that brokers or kombu may write anew.
UNSIGNED = {"compression", signing.HEADER}


@pytest.fixture(autouse=True)
def signing_is_on() -> Any:
    with SIGNING:
        yield


def with_header(envelope: Envelope, name: str, value: object) -> Envelope:
    return replace(envelope, headers={**envelope.headers, name: value})


def test_a_message_as_it_was_signed_is_taken_with_its_address() -> None:
    signed = signing.check(encode(replace(FULL, queue="mail")))

    assert (signed.exchange, signed.routing_key) == ("", "mail")
    assert signed.headers == ("tenant", "trace")


def test_of_what_goes_through_an_exchange_that_is_the_address() -> None:
    signed = signing.check(encode(replace(FULL, exchange="news", routing_key="news.sport")))

    assert (signed.exchange, signed.routing_key) == ("news", "news.sport")


def test_without_the_setting_nothing_is_signed() -> None:
    with override_settings(DJANGO_TASKS={}):
        envelope = encode(FULL)

    assert signing.HEADER not in envelope.headers
    with pytest.raises(NotSigned, match="MESSAGE_SIGNING"):
        signing.check(envelope)


def test_who_does_not_want_signatures_reads_a_signed_message_and_sees_none() -> None:
    with override_settings(DJANGO_TASKS={}):
        message = decode(encode(FULL), queue="default", accept=("json",))

    assert message.headers == FULL.headers


def test_every_header_of_ours_is_signed_whether_it_says_something_or_not() -> None:
    envelope = encode(FULL)
    names = (envelope.headers.keys() | FULL.headers.keys()) - UNSIGNED

    assert names == {*signing.OURS, *FULL.headers}
    for name in names:
        with pytest.raises(NotSigned, match="altered"):
            signing.check(with_header(envelope, name, "other"))


@pytest.mark.parametrize(
    "altered",
    [
        {"body": '[[2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'},
        {"content_type": "application/x-python-serialize"},
        {"properties": {"reply_to": "somebody else"}},
        {"properties": {}},
    ],
)
def test_so_are_the_body_its_kind_and_who_is_answered(altered: dict[str, Any]) -> None:
    with pytest.raises(NotSigned, match="altered"):
        signing.check(replace(encode(FULL), **altered))


@pytest.mark.parametrize(
    "altered", [{"to": ["", "other"]}, {"headers": []}, {"headers": ["tenant"]}, {"mac": "0" * 64}]
)
def test_so_is_what_the_signature_says_of_itself(altered: dict[str, Any]) -> None:
    envelope = encode(FULL)
    header = {**envelope.headers[signing.HEADER], **altered}

    with pytest.raises(NotSigned, match="altered"):
        signing.check(with_header(envelope, signing.HEADER, header))


@pytest.mark.parametrize("name", [*signing.OURS, *FULL.headers])
def test_a_header_that_is_left_out_was_altered_unless_it_said_nothing(name: str) -> None:
    envelope = encode(FULL)
    headers = {key: value for key, value in envelope.headers.items() if key != name}
    shorter = replace(envelope, headers=headers)

    if envelope.headers[name] is None:
        signing.check(shorter)
    else:
        with pytest.raises(NotSigned):
            signing.check(shorter)


def test_what_brokers_change_on_the_way_does_no_harm() -> None:
    envelope = encode(replace(FULL, compression="gzip"))
    headers = {name: value for name, value in reversed(envelope.headers.items()) if name != "compression"}
    travelled = replace(
        envelope,
        headers={**headers, "redelivered": True, "x-death": [{"count": 1}]},
        body=str(envelope.body).encode(),
        properties={**envelope.properties, "priority": 9, "expiration": "1"},
    )

    signing.check(travelled)
    signing.check(Envelope.from_text(travelled.to_text()))


@given(
    args=st.lists(st.text() | st.integers() | st.floats(allow_nan=False), max_size=3),
    headers=st.dictionaries(
        st.text(min_size=1).filter(lambda name: name not in signing.OURS), st.text() | st.none()
    ),
    serializer=st.sampled_from(["json", "yaml", "pickle", "msgpack"]),
)
def test_whatever_it_says_it_is_as_it_was_after_a_stay_in_a_row(
    args: list[Any], headers: dict[str, Any], serializer: str
) -> None:
    if serializer == "msgpack":
        args = [value for value in args if not isinstance(value, int) or abs(value) < 2**63]
    envelope = encode(TaskMessage(id="x", task="y", args=tuple(args), headers=headers, serializer=serializer))

    assert signing.check(Envelope.from_text(envelope.to_text())) == signing.check(envelope)


def test_a_key_of_before_is_good_while_it_is_among_the_fallbacks() -> None:
    with override_settings(SECRET_KEY="old"):
        envelope = encode(FULL)

    with override_settings(SECRET_KEY_FALLBACKS=["older", "old"]):
        signing.check(envelope)
    with pytest.raises(NotSigned, match="SECRET_KEY_FALLBACKS"):
        signing.check(envelope)


def test_new_messages_are_signed_with_the_new_key() -> None:
    with override_settings(SECRET_KEY_FALLBACKS=["old"]):
        envelope = encode(FULL)

    with override_settings(SECRET_KEY="old"), pytest.raises(NotSigned):
        signing.check(envelope)


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        5,
        [],
        {},
        {"mac": "x"},
        {"to": ["", "q"], "headers": [5], "mac": "x"},
        {"to": [5], "headers": [], "mac": ""},
    ],
)
def test_what_is_no_signature_is_none(signature: object) -> None:
    with pytest.raises(NotSigned, match="not signed"):
        signing.check(with_header(encode(FULL), signing.HEADER, signature))


@pytest.mark.parametrize("mac", ["", "é", "\ud800", base64.b64encode(b"0" * 32).decode()])
def test_a_signature_of_any_letters_can_be_compared(mac: str) -> None:
    envelope = encode(FULL)
    header = {**envelope.headers[signing.HEADER], "mac": mac}

    with pytest.raises(NotSigned, match="altered"):
        signing.check(with_header(envelope, signing.HEADER, header))


@pytest.mark.parametrize("value", [dt.datetime(2030, 1, 1), b"bytes", {1: 2, "a": 3}])
def test_a_header_that_would_not_come_as_it_was_is_refused_where_it_is_sent(value: object) -> None:
    with pytest.raises(EncodeError, match="plain values"):
        encode(replace(FULL, headers={"x": value}))


def test_a_body_cannot_pass_for_a_part_of_the_headers() -> None:
    """Both are signed as one text."""
    envelope = encode(replace(FULL, headers={}))
    moved = replace(envelope, body=b"]" + str(envelope.body).encode())

    with pytest.raises(NotSigned):
        signing.check(moved)
