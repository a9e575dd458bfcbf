"""A project that accepts more than JSON."""

from tests.settings import *  # noqa: F403
from tests.settings import DJANGO_TASKS

DJANGO_TASKS = {**DJANGO_TASKS, "ACCEPT_CONTENT": ["json", "yaml", "msgpack"]}
