"""`column IN (…)` for many values, which travel as one: a place for each is compiled and bound one by one."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from django.db.models import F
from django.db.models.lookups import In


def among(column: str, values: Collection[str] | Collection[int]) -> Among:
    """A condition for `filter`; the same as `column__in=values`."""
    return Among(F(column), list(values))


class Among(In):
    """`values` as they are: texts or numbers."""

    def get_prep_lookup(self) -> Any:
        return self.rhs

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", [*parameters, self.rhs]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        if not connection.features.supports_json_field:
            return self.as_sql(compiler, connection)
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} IN (SELECT value FROM json_each(%s))", [*parameters, json.dumps(self.rhs)]
