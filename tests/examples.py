"""How many examples hypothesis tries: few, and always the same ones.

With `EXAMPLES=100` in the environment it tries a hundred times as many, and other ones each time.
"""

from __future__ import annotations

import os

import hypothesis

TIMES = int(os.environ.get("EXAMPLES", "1"))


def examples(number: int, **more: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=number * TIMES,
        # What runs always must not fail now and then.
        derandomize=TIMES == 1,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        **more,
    )
