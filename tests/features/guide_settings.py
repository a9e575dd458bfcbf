"""The settings of these tests, with the tasks of the guides."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

MODULES = ["guide_tasks", "pages_in_a_chain", "pages_waited_for", "pages_with_callbacks"]
DJANGO_TASKS = {**DJANGO_TASKS, "IMPORTS": [f"tests.features.{name}" for name in MODULES]}
