"""Random that can be repeated: a failed test tells the seed, and takes it from `TEST_SEED`."""

from __future__ import annotations

import os
import random


def chance() -> random.Random:
    seed = int(os.environ.get("TEST_SEED") or random.randrange(2**32))
    print(f"TEST_SEED={seed}")
    return random.Random(seed)
