"""A project that has connections open when its worker forks."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {**DJANGO_TASKS, "IMPORTS": ["tests.worker.open_handed"]}
