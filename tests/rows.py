"""Which rows of `rows.txt` no test names: `python -m tests.rows`.

A test names a row in its name (`test_ret_01_…`) or anywhere in its text (`RET-01` in the docstring, a comment, a
parameter). A module's docstring does not count: it says what a file is about, not what holds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROW = re.compile(r"^([A-Z]+-\d\d)  +(.+)$", re.MULTILINE)
WRITTEN = re.compile(r"\b([A-Z]{2,4}-\d\d)\b")
IN_A_NAME = re.compile(r"(?<=_)([a-z]{2,4})_(\d\d)(?=_)")


def rows() -> dict[str, str]:
    """The id of each row, and what it is about."""
    return dict(ROW.findall((HERE / "rows.txt").read_text()))


def named() -> set[str]:
    """The ids that tests name."""
    return {id for file in sorted(HERE.rglob("test_*.py")) for id in named_in(file.read_text())}


def named_in(source: str) -> Iterator[str]:
    lines = source.splitlines()
    for test in ast.walk(ast.parse(source)):
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_"):
            first = min([test.lineno, *(decorator.lineno for decorator in test.decorator_list)])
            yield from WRITTEN.findall("\n".join(lines[first - 1 : test.end_lineno]))
            yield from (f"{kind.upper()}-{number}" for kind, number in IN_A_NAME.findall(test.name))


def report(rows: dict[str, str], named: Iterable[str]) -> str:
    open_rows = {id: words for id, words in rows.items() if id not in set(named)}
    lines = [f"{id:8} {words}" for id, words in open_rows.items()]
    return "\n".join([*lines, f"{len(open_rows)} of {len(rows)} rows have no test that names them."])


if __name__ == "__main__":
    print(report(rows(), named()))
