"""Arguments and results as text or bytes, and back.

kombu's registry (`kombu.serialization`) does the work: `json`, `pickle`, `yaml`, `msgpack`, and what the
project registers there. JSON is kombu's, with its types (datetime, date, time, Decimal, UUID, bytes, lazy
strings, `__json__`), and timedelta. As in Celery, tuples come back as lists and number keys as text, and NaN
and infinities are written as Python reads them: not strict JSON, so it belongs in text columns.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from kombu import serialization as kombu
from kombu.exceptions import SerializerNotInstalled
from kombu.utils import json as kombu_json
from kombu.utils.json import register_type

from django_tasks.conf import guess
from django_tasks.exceptions import DecodeError, EncodeError
from django_tasks.handlers import resolve

from .saferepr import saferepr

#: The keys and positions that lead to a part of a value.
Path = tuple[Any, ...]

#: kombu makes an encoder or a decoder for each value. These do the same, and are made once.
_ENCODER = kombu_json.JSONEncoder()
_DECODER = json.JSONDecoder(object_hook=kombu_json.object_hook)
_PASS_PLAIN = "Pass plain values: text, numbers, dates, lists, dicts."
_PLAIN = frozenset({str, int, float, bool, type(None)})
#: How far an error message goes to find what is to blame.
_DEPTH, _LEAVES = 20, 100_000
#: Containers that are counted in no time, however few bytes they came from.
_FEW = 100_000
#: What kombu's serializers write; they read nothing else, whatever is said of a body.
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "binary", "ascii-8bit", ""})


class Written(NamedTuple):
    """A value written down."""

    content_type: str
    content_encoding: str
    body: str | bytes


def spell(what: str, path: Path) -> str:
    """`what`, and the way from there."""
    return what + "".join(f"[{saferepr(key, most=80)}]" for key in path)


def dumps(value: object, serializer: str = "json", *, where: Callable[[Path], str] | None = None) -> Written:
    """Write `value`. Raises `EncodeError`, which tells what cannot be written and where it sits.

    `where` puts a place into words: "Argument 2".
    """
    try:
        written = Written(*_dumps(_plain(value, {}) if serializer == "yaml" else value, serializer))
    except Exception as error:  # encoders raise what they like
        raise EncodeError(_refusal(value, serializer, error, where or partial(spell, "The value"))) from error
    if not isinstance(written.body, str | bytes):
        raise EncodeError(f"Serializer {serializer!r} wrote no text or bytes. Use another one.")
    return written


def write_json(value: object) -> str:
    """JSON with kombu's types, as queues keep it, whatever the project has registered under that name."""
    written: str = _ENCODER.encode(value)
    return written


def _dumps(value: object, serializer: str) -> tuple[str, str, str | bytes]:
    known = kombu.registry._encoders.get(serializer)
    if known is not None and known.encoder is kombu_json.dumps:
        return known.content_type, known.content_encoding, write_json(value)
    written: tuple[str, str, str | bytes] = kombu.dumps(value, serializer)
    return written


def _loads(body: str | bytes, content_type: str, content_encoding: str) -> Any:
    if kombu.registry._decoders.get(content_type) is kombu_json.loads:
        return _DECODER.decode(body if isinstance(body, str) else body.decode("utf-8"))
    return kombu.loads(body, content_type, content_encoding, accept=(content_type,))


def _plain(value: Any, made: dict[int, Any]) -> Any:
    """`value` with plain dicts in the place of signatures and the like, which yaml refuses. Circles stay circles."""
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, dict):
        made[id(value)] = plain = dict[Any, Any]()
        plain.update((key, _plain(item, made)) for key, item in value.items())
        return plain
    if type(value) is list:
        made[id(value)] = items = list[Any]()
        items += [_plain(item, made) for item in value]
        return items
    return tuple(_plain(item, made) for item in value) if type(value) is tuple else value


def loads(body: str | bytes, *, content_type: str, content_encoding: str, accept: Collection[str]) -> Any:
    """Read what `dumps` or a stranger wrote, if `accept` has its serializer or content type.

    Raises `DecodeError`.
    """
    known = isinstance(content_type, str)  # a stranger's may be anything, unhashable too
    if not known or (content_type not in accept and name_of(content_type) not in accept):
        raise DecodeError(
            f"Content type {saferepr(content_type, most=80)} is refused. If its senders are to be trusted,"
            " add its serializer to DJANGO_TASKS['ACCEPT_CONTENT']."
        )
    if not body:
        raise DecodeError("The body is empty; correct its sender.")
    _check_encoding(content_type, content_encoding)
    try:
        return _loads(body, content_type, content_encoding)
    except Exception as error:  # decoders raise what they like
        raise DecodeError(
            f"The body is not readable as {content_type} ({_reason(error)}); correct its sender."
        ) from error


def _check_encoding(content_type: str, encoding: object) -> None:
    """Serializers read bytes by a rule of their own. To decode them before, as kombu does for content without a
    serializer, would be by whatever Python has under that name: that can be a compression."""
    if content_type not in kombu.registry._decoders:
        raise DecodeError(
            f"No serializer for {saferepr(content_type, most=80)} is installed. `yaml` and `msgpack` are extras "
            "of this package; `kombu.serialization.register` adds others."
        )
    if isinstance(encoding, str):
        written = kombu.registry._encoders.get(name_of(content_type))
        if encoding.lower() in _UTF_8 or (written is not None and encoding == written.content_encoding):
            return
    raise DecodeError(f"Content encoding {saferepr(encoding, most=80)} is not UTF-8; correct its sender.")


def is_deeper(value: object, most: int, *, size: int) -> bool:
    """Are there more than `most` containers inside one another, in what was read from `size` bytes?

    More containers than bytes are possible as well: in YAML an alias stands for all that is in its anchor, which may
    have aliases too. That counts as deep, as do circles, and nobody follows them to their end.
    """
    left = max(size, _FEW)
    path = [iter((value,))]
    while path:
        for item in path[-1]:
            if isinstance(item, dict | list | tuple):
                left -= 1
                if left < 0 or len(path) > most:
                    return True
                path.append(iter(item.values() if isinstance(item, dict) else item))
                break
        else:
            path.pop()
    return False


def name_of(content_type: str) -> str:
    """The serializer that writes `content_type`."""
    return str(kombu.registry.type_to_name.get(content_type, content_type))


def _refusal(value: object, serializer: str, error: Exception, where: Callable[[Path], str]) -> str:
    if isinstance(error, SerializerNotInstalled):
        return (
            f"No serializer {serializer!r} is installed.{guess(serializer, kombu.registry.name_to_type)}"
            " `yaml` and `msgpack` are extras of this package; `kombu.serialization.register` adds others."
        )
    for path, leaf in islice(_leaves(value, (), set()), _LEAVES):
        if type(leaf) not in _PLAIN and not _writable(leaf, serializer):
            return _advice(leaf, where(path), serializer)
    return f"{serializer} cannot write this: {_reason(error)}. {_PASS_PLAIN}"


def _leaves(value: object, path: Path, seen: set[int]) -> Iterator[tuple[Path, object]]:
    """What `value` is made of, each with its place; no container twice, so circles end."""
    if not isinstance(value, dict | list | tuple):
        yield path, value
    elif id(value) not in seen and len(path) < _DEPTH:
        seen.add(id(value))
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key), seen)


def _writable(leaf: object, serializer: str) -> bool:
    try:
        _dumps(leaf, serializer)
    except Exception:  # noqa: BLE001 - encoders raise what they like
        return False
    return True


def _advice(leaf: object, place: str, serializer: str) -> str:
    if isinstance(leaf, resolve("django.db.models.Model")):
        model = leaf._meta.label
        return f"{place} is an instance of the model {model}. Pass its pk and fetch the row in the task."
    kind = f"{type(leaf).__module__}.{type(leaf).__qualname__}".removeprefix("builtins.")
    return f"{place} is a {kind}, which {serializer} cannot write. {_PASS_PLAIN}"


def _reason(error: Exception) -> str:
    """What went wrong, short enough for a log line and a column; kombu wraps the real error."""
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    try:
        text = str(cause)
    except Exception:  # noqa: BLE001 - user code
        text = ""
    return (
        f"{type(cause).__name__}: {text[:200]}".rstrip(": .")
        if text.isprintable()
        else saferepr(cause, most=200)
    )


def _write_span(span: dt.timedelta) -> float | list[int]:
    # Seconds as a float are exact to the microsecond for more than a hundred years.
    if span.microseconds and abs(span.days) > 36_500:
        return [span.days, span.seconds, span.microseconds]
    return span.total_seconds()


def _read_span(value: Any) -> dt.timedelta:
    return dt.timedelta(*value) if isinstance(value, list) else dt.timedelta(seconds=value)


# kombu has no marker for timedelta: a Celery worker without this module cannot decode the message and rejects
# it. For its tasks pass seconds, or register the same marker there.
register_type(dt.timedelta, "timedelta", _write_span, _read_span)
