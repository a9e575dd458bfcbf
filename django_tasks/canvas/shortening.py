"""How composed signatures are shown."""

from __future__ import annotations

import re


def shortened(name: str, text: str) -> str:
    """`text` with the module of the task `name` only where it comes first.

    >>> shortened("shop.tasks.add", "shop.tasks.add(2, 2) | shop.tasks.add(4) | shop.mail.send()")
    'shop.tasks.add(2, 2) | add(4) | shop.mail.send()'
    """
    module = name.rpartition(".")[0] + "."
    first, found, rest = text.partition(module)
    if module == "." or not found:
        return text
    return first + found + re.sub(rf"(?<![\w.-]){re.escape(module)}", "", rest)
