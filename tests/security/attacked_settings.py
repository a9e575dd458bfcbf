"""A project that accepts YAML, with tasks that attacks are tried on."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {
    **DJANGO_TASKS,
    "IMPORTS": ["tests.security.attacked_tasks"],
    "ACCEPT_CONTENT": ["json", "yaml"],
}
