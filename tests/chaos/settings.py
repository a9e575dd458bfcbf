"""A project whose workers meet the faults of this folder."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {**DJANGO_TASKS, "IMPORTS": ["tests.chaos.tasks", "tests.chaos.faults"]}
