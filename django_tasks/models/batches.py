"""How many rows go into one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

#: Characters that fit into one statement of any database, whatever they are.
SURELY_FITS = 1_000_000
#: Bytes for the other columns.
ROOM_FOR_THE_REST = 20_000

MOST_ROWS = 500
#: Characters. In UTF-8 at most four times as many bytes, which is what MariaDB takes in one statement by default.
MOST_TEXT = 4_000_000


def batch_size(texts: Iterable[str]) -> int:
    """The number of rows of which each holds one of these texts: less if some are long."""
    longest = max(map(len, texts), default=0)
    return max(1, min(MOST_ROWS, MOST_TEXT // (longest or 1)))


def most_bytes(connection: BaseDatabaseWrapper) -> int | None:
    """How long one statement may be at most; `None` where nothing that we send can be too long."""
    if connection.vendor != "mysql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        return int(cursor.fetchone()[0])


def bytes_in_statement(text: str) -> int:
    """How long a text is in a statement, where some characters are written as two."""
    return len(text.encode(errors="surrogatepass")) + sum(map(text.count, "\\\"'\n"))


def fits(text: str, connection: BaseDatabaseWrapper) -> bool:
    """Does a row with this text fit into one statement?"""
    if len(text) <= SURELY_FITS:
        return True
    most = most_bytes(connection)
    return most is None or bytes_in_statement(text) + ROOM_FOR_THE_REST <= most


def slices(keys: Sequence[T], size: int = MOST_ROWS) -> Iterator[Sequence[T]]:
    """The keys in parts of which each fits into one `IN (…)`; none if there are none."""
    return (keys[start : start + size] for start in range(0, len(keys), size))
