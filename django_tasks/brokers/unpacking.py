"""What a kombu channel delivers, as an envelope: its parts checked, its body unpacked, neither more than allowed.

kombu undoes a compression as soon as it has a message, whatever comes of it, and trusts what Redis and the like hold
to be what it wrote itself. `deliver_packed` makes a channel pass on what came; `delivery_of` looks at it. What our own
worker takes from our own table needs no channel to deliver it: `stored_delivery`.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from django_tasks import conf
from django_tasks.exceptions import DecodeError
from django_tasks.message import compression
from django_tasks.message.message import Envelope, size_of
from django_tasks.message.serialization import is_deeper

from .broker import Delivery

#: Containers inside one another; more may not be possible to write down again.
DEEPEST_HEADERS = 100


def deliver_packed(channel: Any) -> None:
    """Have a kombu channel deliver messages as they came: still compressed, and whatever is wrong with them."""
    channel.Message = _packed(channel.Message)
    # py-amqp reads bodies by any encoding that Python has and a sender names; for some that takes hours.
    channel.auto_decode = False


@cache
def _packed(kind: Any) -> Any:
    class Packed(kind):  # type: ignore[misc]
        """Its body is what came, as bytes or text; `faults` says what kept it from being read further."""

        # Some of kombu's callers name the first argument.
        def __init__(self, payload: Any, channel: Any = None, **more: Any) -> None:
            raw = payload
            self.faults: list[str] = []
            # kombu leaves the body of a message alone that has errors.
            self.errors: list[Any] = [None]
            if hasattr(raw, "delivery_tag"):  # of AMQP, which has checked it
                super().__init__(raw, channel, **more)
            else:
                stored = _in_order(raw, self.faults)
                super().__init__(_out_of_base64(stored, self.faults), channel, **more)
                self._raw = stored
            self.errors = []

        def serializable(self) -> Any:
            """To be put back into its queue: kombu's own would say that the body is not compressed."""
            return {**self._raw}

    return Packed


def _in_order(raw: object, faults: list[str]) -> dict[str, Any]:
    """What a virtual transport stores, with all parts that kombu counts on."""
    if isinstance(raw, dict):
        message = {**raw}
    else:
        faults.append("it is not a mapping")
        message = {"body": json.dumps(raw, default=str), "properties": {"delivery_info": {}}}
    headers = message.get("headers")
    message["headers"] = {} if headers is None else _mapping(headers, "headers", faults)
    properties = {**_mapping(message.get("properties"), "properties", faults)}
    info = _mapping(properties.get("delivery_info"), "delivery_info", faults)
    properties["delivery_info"] = {"exchange": "", "routing_key": "", **info}
    if not isinstance(properties.get("delivery_tag"), str | int):
        properties["delivery_tag"] = str(uuid.uuid4())
    for name in ("content-type", "content-encoding"):
        if not isinstance(message.get(name), str | None):
            faults.append(f"{name} is not text")
            del message[name]
    if not isinstance(message.get("body"), str | bytes):
        faults.append("its body is not text")
        message["body"] = json.dumps(message.get("body"), default=str)
    message["properties"] = properties
    return message


def _mapping(found: object, name: str, faults: list[str]) -> Mapping[str, Any]:
    if isinstance(found, Mapping):
        return found
    faults.append(f"{name} is not a mapping")
    return {}


def _out_of_base64(message: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    body, encoding = message["body"], message["properties"].get("body_encoding")
    if isinstance(body, str) and encoding is not None:
        try:
            if encoding != "base64":
                raise ValueError
            body = base64.b64decode(body, validate=True)
        except ValueError:
            faults.append("its body is not what body_encoding says")
    return {**message, "body": body, "properties": {**message["properties"], "body_encoding": None}}


# -- what came


def delivery_of(message: Any, *, queue: str, tag: Any = None) -> Delivery:
    """The delivery of a message that came by `queue`. If it may not be read, it says why, and has it as it came."""
    refusal = None
    try:
        envelope = envelope_of(message)
    except DecodeError as error:
        refusal = DecodeError(str(error))  # its traceback would keep what was unpacked
        envelope = _as_it_came(message)
    exchange, routing_key = _address(message.delivery_info)
    return Delivery(
        queue=queue,
        envelope=envelope,
        exchange=exchange,
        routing_key=routing_key,
        tag=message.delivery_tag if tag is None else tag,
        refusal=refusal,
    )


def stored_delivery(message: Mapping[str, Any], text: str, *, queue: str) -> Delivery:
    """The same of what `payload.from_row` has made of the text of a row, and has seen to be in order."""
    most = conf.current().MESSAGE_MAX_BYTES
    headers, properties, refusal = message["headers"], message["properties"], None
    try:
        if not _surely_fits(text, most):
            headers, properties = _checked(headers, "headers", most), _checked(properties, "properties", most)
        body: str | bytes = _body_of(message["body"], headers, most)
    except DecodeError as error:
        refusal = DecodeError(str(error))  # its traceback would keep what was unpacked
        body = message["body"]
    exchange, routing_key = _address(properties["delivery_info"])
    return Delivery(
        queue=queue,
        envelope=Envelope(
            headers=headers,
            body=body,
            content_type=message.get("content-type") or "",
            content_encoding=message.get("content-encoding") or "",
            properties=properties,
        ),
        exchange=exchange,
        routing_key=routing_key,
        tag=properties["delivery_tag"],
        refusal=refusal,
    )


def _surely_fits(text: str, most: int) -> bool:
    """Is no part of this JSON too large or too deep? Of nearly all messages that is plain to see."""
    return len(text) <= most and text.isascii() and text.count("{") + text.count("[") <= DEEPEST_HEADERS


def _address(info: Mapping[str, Any]) -> tuple[str, str]:
    exchange, routing_key = info.get("exchange"), info.get("routing_key")
    # Of a virtual transport: anybody may have written it.
    return (exchange, routing_key) if isinstance(exchange, str) and isinstance(routing_key, str) else ("", "")


def unread(text: bytes, *, queue: str, tag: Any) -> Delivery:
    """The delivery of what is too long to be even a message of the largest body: read, it would be there four times."""
    envelope = Envelope(headers={}, body=text, content_type="", content_encoding="")
    refusal = compression.too_large("The message", conf.current().MESSAGE_MAX_BYTES)
    return Delivery(queue=queue, envelope=envelope, tag=tag, refusal=refusal)


def envelope_of(message: Any) -> Envelope:
    """The envelope of a message, its body unpacked. Raises `DecodeError` for what is too large or in disorder."""
    if faults := getattr(message, "faults", ()):
        raise DecodeError(f"It is not a kombu message: {'; '.join(faults)}. Correct its sender.")
    most = conf.current().MESSAGE_MAX_BYTES
    headers = _checked(message.headers, "headers", most)
    properties = _checked(_of_the_message(message.properties), "properties", most)
    return _envelope(message, headers, _body_of(message.body, headers, most), properties)


def _of_the_message(properties: Any) -> Any:
    """AMQP has the headers among them."""
    if isinstance(properties, dict) and "application_headers" in properties:
        return {name: value for name, value in properties.items() if name != "application_headers"}
    return properties


def _as_it_came(message: Any) -> Envelope:
    """Its body may be packed: it can be kept, and neither read nor sent."""
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    properties = _of_the_message(message.properties)
    return _envelope(message, headers, _plain_body(message.body), properties)


def _envelope(
    message: Any, headers: Mapping[str, Any], body: str | bytes, properties: Mapping[str, Any]
) -> Envelope:
    return Envelope(
        headers=headers,
        body=body,
        content_type=message.content_type or "",
        content_encoding=message.content_encoding or "",
        properties=properties,
    )


def _plain_body(body: Any) -> str | bytes:
    if body is None:
        return b""
    return body if isinstance(body, str | bytes) else bytes(body)


def _body_of(found: object, headers: Mapping[str, Any], most: int) -> bytes:
    body = _checked_body(found, most)
    name = headers.get("compression")
    return compression.unpack(body, name, most) if name else body


def _checked_body(found: object, most: int) -> bytes:
    body = _plain_body(found)
    if size_of(body, most) > most:
        raise compression.too_large("The body", most)
    try:
        return body if isinstance(body, bytes) else body.encode()
    except UnicodeEncodeError:
        raise DecodeError(
            "The body has halves of surrogate pairs, which are no text; correct its sender."
        ) from None


def _checked(values: object, kind: str, most: int) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise DecodeError(f"Its {kind} are not a mapping; correct its sender.")
    try:
        levels = _measure(values, most)
    except _Foreign:
        if is_deeper(values, DEEPEST_HEADERS, size=most):
            raise _too_deep(kind) from None
        return _checked(_plain(values), kind, most)
    if levels is None:
        raise compression.too_large(f"What it has as {kind}", most)
    if levels > DEEPEST_HEADERS and is_deeper(values, DEEPEST_HEADERS, size=most):
        raise _too_deep(kind)
    return values


def _too_deep(kind: str) -> DecodeError:
    return DecodeError(f"Its {kind} are nested too deeply; correct its sender.")


class _Foreign(Exception):
    """A value that JSON does not have: AMQP and msgpack have moments, decimals, bytes."""


def _measure(values: object, left: int) -> int | None:
    """How many containers there are, if all this, roughly as JSON, takes no more than `left` characters.

    Every message goes through here: one pass, which ends where it is clear.
    """
    containers = 0
    pending = [values]
    while pending:
        container = pending.pop()
        containers += 1
        left -= len(container)  # type: ignore[arg-type]
        if type(container) is dict:
            left -= _length_of_keys(container)
            container = container.values()
        elif type(container) is not list:
            raise _Foreign
        for item in container:
            kind = type(item)
            if kind is str:
                left -= len(item)
            elif kind is dict or kind is list:
                pending.append(item)
            elif kind is int:
                left -= item.bit_length() // 4
            elif not (item is None or kind is bool or kind is float):
                raise _Foreign
        if left < 0:
            return None
    return containers


def _length_of_keys(container: dict[Any, Any]) -> int:
    try:
        return len("".join(container))
    except TypeError:
        raise _Foreign from None


def _plain(value: Any) -> Any:
    """With JSON's types only: this is also what rows keep."""
    match value:
        case bool() | None:
            return value
        case str():
            return str(value)
        case int():
            return int(value)
        case float():
            return float(value)
        case Mapping():
            return {_key(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case bytes() | bytearray():
            return bytes(value).decode("utf-8", "backslashreplace")
        case dt.datetime():
            return value.isoformat()
    return str(value)


def _key(key: object) -> str:
    return key if isinstance(key, str) else str(_plain(key))
