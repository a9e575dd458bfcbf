"""Bodies made small on their way.

kombu's registry (`kombu.compression`) does the work: `gzip`, `bzip2`, `lzma`, and what the project registers there.
"""

from __future__ import annotations

import bz2
import logging
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from kombu import compression as kombu

from django_tasks.conf import guess
from django_tasks.exceptions import DecodeError

from .saferepr import saferepr

logger = logging.getLogger("django_tasks.compression")

# kombu is not annotated.
_get_encoder: Callable[[object], tuple[object, str]] = kombu.get_encoder
_get_decoder: Callable[[object], Callable[[bytes], object]] = kombu.get_decoder
#: What kombu calls those it knows; brotli and zstd only where their packages are installed.
_NAMES = ("gzip", "zlib", "bzip2", "bzip", "brotli", "lzma", "xz", "zstd", "zstandard")


def check(name: str | None, where: str) -> str | None:
    """The content type that `name` stands for, as the header has it. Raises `ValueError` if there is none."""
    if name is None:
        return None
    if found := _content_type(name):
        return found
    known = [known for known in _NAMES if _content_type(known)]
    raise ValueError(
        f"{where}: no compression {name!r} is installed.{guess(name, known)} There are {', '.join(known)}; "
        "the packages brotli and backports.zstd add theirs. For one of your own, call kombu.compression.register first."
    )


def usable(name: object) -> str | None:
    """`name`, if this process can compress so; else it says so in the log, and the body goes as it is.

    Another process chose it. Readers find in the header whether a body is compressed, so it can be read nevertheless.
    """
    if not name:
        return None
    if found := _content_type(name):
        return found
    logger.warning(
        "This process cannot compress as %r: the message is sent as it is. Call kombu.compression.register "
        "where all processes do, such as in AppConfig.ready().",
        name,
    )
    return None


def _content_type(name: object) -> str | None:
    try:
        return _get_encoder(name)[1]
    except (KeyError, TypeError):  # TypeError: a stranger's may be anything, unhashable too
        return None


# -- undoing it


def unpack(body: bytes, name: object, most: int) -> bytes:
    """What `body` was before it was compressed. Raises `DecodeError`, also if that is more than `most` bytes.

    It is counted while it grows, so that a small body does not fill the memory. Only a compression of the project's
    own, of which there is nothing but a function, is measured when that has returned.
    """
    try:
        decoder = _get_decoder(name)
    except (KeyError, TypeError):
        raise DecodeError(
            f"The body is compressed as {saferepr(name, most=80)}, which this process cannot undo. Install its "
            "package, or call kombu.compression.register in AppConfig.ready(), and replay it."
        ) from None
    try:
        unpacked = _unpacked(decoder, body, most)
    except Exception as error:  # decoders raise what they like
        raise DecodeError(
            f"The body cannot be unpacked as {saferepr(name, most=80)} ({saferepr(error, most=200)}); "
            "correct its sender."
        ) from error
    if len(unpacked) > most:
        raise too_large("The unpacked body", most)
    return unpacked


def too_large(what: str, most: int) -> DecodeError:
    return DecodeError(
        f"{what} takes more than the {most:,} bytes of DJANGO_TASKS['MESSAGE_MAX_BYTES']. Pass what is large by its "
        "name or key, or raise the limit."
    )


def _unpacked(decoder: Callable[[bytes], object], body: bytes, most: int) -> bytes:
    if (start := next((start for known, start in _STREAMS if known is decoder), None)) is not None:
        return _read(start(), body, most + 1)
    if _brotli is not None and decoder is _brotli.decompress:
        return _read_brotli(body, most + 1)
    found = decoder(body)
    if not isinstance(found, bytes):
        raise TypeError(f"its decoder made a {type(found).__name__} of it, not bytes")
    return found


def _read(stream: Any, body: bytes, room: int) -> bytes:
    """What the stream holds, of which `room` bytes at most."""
    unpacked: bytes = stream.decompress(body, room)
    if len(unpacked) < room and not stream.eof:
        raise EOFError("it ends too early")
    if stream.unused_data:
        # Not read on: each of a million empty streams would have the rest copied once.
        raise ValueError("something follows its end")
    return unpacked


def _read_brotli(body: bytes, room: int) -> bytes:
    stream = _brotli.Decompressor()
    if not hasattr(stream, "can_accept_more_data"):
        raise NotImplementedError("it takes version 1.2 of the package brotli to do so within a bound")
    pieces = [stream.process(body, output_buffer_limit=room)]
    while (left := room - sum(map(len, pieces))) > 0 and not stream.is_finished():
        if not (piece := stream.process(b"", output_buffer_limit=left)):
            raise EOFError("it ends too early")
        pieces.append(piece)
    return b"".join(pieces)[:room]


#: The most memory that lzma may ask for before it has read anything: enough for its strongest preset.
_LZMA_MEMORY = 70_000_000
#: How to begin reading, by the function that would read all at once.
_STREAMS: list[tuple[object, Callable[[], Any]]] = [
    (zlib.decompress, zlib.decompressobj),
    (bz2.decompress, bz2.BZ2Decompressor),
    (lzma.decompress, partial(lzma.LZMADecompressor, memlimit=_LZMA_MEMORY)),
]
# Where kombu found their packages.
_brotli: Any = getattr(kombu, "brotli", None)
_zstd: Any = getattr(kombu, "zstd", None)
if _zstd is not None:
    _STREAMS.append((_zstd.decompress, _zstd.ZstdDecompressor))
