"""A project whose messages are signed, among queues that exchanges lead to."""

from tests.settings import *  # noqa: F403
from tests.worker.exchange_settings import DJANGO_TASKS

DJANGO_TASKS = {
    **DJANGO_TASKS,
    "TASK_QUEUES": {**DJANGO_TASKS["TASK_QUEUES"], "other": {}},
    "IMPORTS": ["tests.security.attacked_tasks"],
    "ACCEPT_CONTENT": ["json", "pickle"],
    "MESSAGE_SIGNING": True,
}
