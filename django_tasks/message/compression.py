"""Bodies made small on their way.

kombu's registry (`kombu.compression`) does the work: `gzip`, `bzip2`, `lzma`, and what the project registers there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from kombu import compression as kombu

from django_tasks.conf import guess

logger = logging.getLogger("django_tasks.compression")

# kombu is not annotated.
_get_encoder: Callable[[object], tuple[object, str]] = kombu.get_encoder
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
