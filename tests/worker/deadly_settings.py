"""A project whose worker is killed, all of it, the first time that it is about to have a failure told of."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {**DJANGO_TASKS, "IMPORTS": ["tests.worker.deadly_moment"]}
