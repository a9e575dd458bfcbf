"""What the benchmarks send."""

import time

from django_tasks import task


@task
def add(x: int, y: int) -> int:
    return x + y


@task
def arrive() -> float:
    """When the first line of the body was reached."""
    return time.time()


@task
def count(numbers: list[int]) -> int:
    return len(numbers)
