"""A project whose worker looks for lost tasks all the time: one of its looks will not find something in the queue."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {**DJANGO_TASKS, "IMPORTS": ["tests.worker.seeking"]}
