"""Which arguments a function takes, known beforehand: every call is checked before it is sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Arguments:
    """The shape of one function's arguments.

    `inspect.Signature.bind` takes as long as making the whole message, so it only has the last word: a call
    that a look at counts and names proves right does not get there.
    """

    __slots__ = ("_allowed", "_most", "_needed", "_signature", "names")

    def __init__(self, function: Callable[..., Any]) -> None:
        #: What positional arguments are called, to know which of them are secret.
        self.names = tuple(p.name for p in _signature(function).parameters.values() if p.kind in _POSITIONAL)
        # What is called is the outermost function. If it is a decorator's, it may take (*args, **kwargs) and
        # add arguments of its own: the function inside says nothing about what may be sent.
        signature = _signature(function, follow_wrapped=False)
        self._signature = signature.replace(return_annotation=signature.empty)
        parameters = list(signature.parameters.values())
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        #: More positional arguments than this are left to `bind`, for functions with *args.
        self._most = len(positional)
        #: With n positional arguments given: the names that must, and those that may, be given as keywords.
        self._needed: list[frozenset[str]] = []
        self._allowed: list[frozenset[str]] = []
        for count in range(len(positional) + 1):
            given = {p.name for p in positional[:count]}
            left = [
                p
                for p in parameters
                if p.name not in given and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            ]
            self._needed.append(frozenset(p.name for p in left if p.default is p.empty))
            self._allowed.append(frozenset(p.name for p in left if p.kind in _NAMED))

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, task: str) -> None:
        """Raises `TypeError` if the function could not be called so."""
        count = len(args)
        if count <= self._most and self._needed[count] <= kwargs.keys() <= self._allowed[count]:
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{task} cannot be called so: {error}. Its arguments are {self._signature}."
            ) from None


def _signature(function: Callable[..., Any], *, follow_wrapped: bool = True) -> inspect.Signature:
    try:
        return inspect.signature(function, follow_wrapped=follow_wrapped)
    except ValueError:  # written in C, it does not say what it takes
        return inspect.signature(lambda *args, **kwargs: None)
