"""A project whose worker can be met in the moment between a fork and the first act of the new process."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {**DJANGO_TASKS, "IMPORTS": ["tests.worker.slow_birth"]}
