"""The settings of these tests, with the tasks of the guides."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {**DJANGO_TASKS, "IMPORTS": ["tests.features.guide_tasks"]}
