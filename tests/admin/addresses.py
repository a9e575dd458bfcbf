"""Every address that our part of the admin answers, as its URLs say: one that is added later is among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One pattern. `owner` is what answers it: one of our pages, or the admin of a model."""

    name: str
    parameters: frozenset[str]
    owner: Any
    view: str

    def path(self, **given: str) -> str:
        return reverse(f"admin:{self.name}", kwargs={name: given[name] for name in self.parameters})

    @property
    def is_action(self) -> bool:
        return self.view == "act"


def addresses() -> list[Address]:
    return [_address(pattern) for pattern in _patterns(admin.site.urls[0]) if _is_ours(pattern)]


def actions() -> Iterator[tuple[str, str, str]]:
    """The URL's name, that of the action, and its path."""
    for address in addresses():
        if address.is_action:
            for deed in address.owner.deeds:
                yield address.name, deed.name, address.path(name=deed.name)


def pages(keys: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Whatever is read with GET. `keys` has what a URL's parameters stand for, by its name."""
    for address in addresses():
        if not address.is_action:
            yield address.path(**keys.get(address.name, {}))


def visited(browser: Client, path: str, **query: str) -> Iterator[Any]:
    """What a page answers, and each part of it that is asked for by itself."""
    answer: Any = browser.get(path, query)
    yield answer
    for name in (answer.context or {}).get("tasks_fragments", ()):
        yield browser.get(path, {**query, "_fragment": name})


def of_row(row: Any) -> dict[str, dict[str, str]]:
    """The parameters of all URLs of one row."""
    names = [address.name for address in addresses() if address.name.startswith(_prefix(row))]
    return {name: {"object_id": quote(row.pk)} for name in names}


def _prefix(row: Any) -> str:
    return f"django_tasks_{row._meta.model_name}_"


def _patterns(several: Sequence[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for one in several:
        if isinstance(one, URLResolver):
            yield from _patterns(one.url_patterns)
        else:
            yield one


def _is_ours(pattern: URLPattern) -> bool:
    return bool(pattern.name and pattern.name.startswith("django_tasks_"))


def _address(pattern: URLPattern) -> Address:
    # The site wraps each view, and remembers which one it was.
    view: Any = pattern.callback
    while not hasattr(view, "__self__"):
        view = view.__wrapped__
    return Address(
        name=str(pattern.name),
        parameters=frozenset(pattern.pattern.converters),
        owner=view.__self__,
        view=view.__name__,
    )
