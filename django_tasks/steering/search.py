"""What is written into a search box: `task:shop.pay queue:mail error:timeout arg.customer_id:42`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q

from django_tasks import states
from django_tasks.models.result import TaskResultQuerySet

_PART = re.compile(r"""(?:(?P<key>[A-Za-z_][\w.]*):)?(?:"(?P<quoted>[^"]*)"|(?P<plain>\S+))""")

#: Users of one name: there may be several where names are not unique.
MOST_USERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search, taken apart. Words without a qualifier are an id or the beginning of a task's name."""

    words: str = ""
    #: Qualifiers and what was asked for, in the order they were written.
    asked: tuple[tuple[str, str], ...] = ()

    @property
    def is_slow(self) -> bool:
        """Is there something for which there is no index?"""
        return any(key in SLOW or key.startswith("arg.") for key, _ in self.asked)

    @property
    def is_for_arguments(self) -> bool:
        return any(key.startswith("arg.") for key, _ in self.asked)


def parse(text: str) -> Search:
    """`word:` of an unknown word is no qualifier: names of foreign tasks may have a colon in them."""
    words, asked = [], []
    for part in _PART.finditer(text.replace("\x00", "")):
        key, value = part["key"] or "", part["quoted"] if part["quoted"] is not None else part["plain"]
        if key in QUALIFIERS or (key.startswith("arg.") and len(key) > 4):
            asked.append((key, value))
        else:
            words.append(f"{key}:{value}" if key else value)
    return Search(words=" ".join(words), asked=tuple(asked))


def found(rows: TaskResultQuerySet, text: str) -> TaskResultQuerySet:
    """The rows that a search finds. Those for a slow one had better be of a short time."""
    search = parse(text)
    for key, value in search.asked:
        rows = _argument(rows, key[4:], value) if key.startswith("arg.") else QUALIFIERS[key](rows, value)
    return _of_words(rows, search.words) if search.words else rows


def _of_words(rows: TaskResultQuerySet, words: str) -> TaskResultQuerySet:
    by_id = rows.filter(id=words)
    return by_id if by_id.exists() else rows.of_tasks_named(words)


def _argument(rows: TaskResultQuerySet, name: str, value: str) -> TaskResultQuerySet:
    """Keyword arguments, as the row shows them: what was masked or cut off there is not found."""
    spelled = [f"'{name}': {value}{end}" for end in (",", "}")]
    quoted = [f"'{name}': '{value}'"]
    either = Q()
    for text in (*spelled, *quoted):
        either |= Q(kwargs__contains=text)
    return rows.filter(either)


def _error(rows: TaskResultQuerySet, text: str) -> TaskResultQuerySet:
    return rows.with_status(states.FAILURE).filter(result__icontains=text)


def _user(rows: TaskResultQuerySet, who: str) -> TaskResultQuerySet:
    """By what a user logs in with, or by the key, which is what the row knows."""
    users = get_user_model()
    try:
        keys = users._default_manager.filter(**{users.USERNAME_FIELD: who}).values_list("pk", flat=True)
        named = [str(key) for key in keys[:MOST_USERS]]
    except (ValueError, ValidationError):  # a project's users may be named by numbers, or by something else
        named = []
    return rows.filter(user_id__in=[who, *named])


#: What may stand before a colon, and what it asks of the rows.
QUALIFIERS: Mapping[str, Callable[[TaskResultQuerySet, str], TaskResultQuerySet]] = {
    "id": lambda rows, value: rows.filter(id=value),
    "task": lambda rows, value: rows.of_tasks_named(value),
    "queue": lambda rows, value: rows.filter(queue=value),
    "status": lambda rows, value: rows.with_status(value.upper()),
    "worker": lambda rows, value: rows.filter(worker=value),
    "user": _user,
    "error": _error,
}
#: Those of them that read row by row.
SLOW = frozenset({"error", "worker", "user"})
