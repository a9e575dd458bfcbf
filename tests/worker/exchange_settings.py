"""A project with exchanges of every type."""

from tests.features.guide_settings import *  # noqa: F403
from tests.features.guide_settings import DJANGO_TASKS

DJANGO_TASKS = {
    **DJANGO_TASKS,
    "TASK_QUEUES": {
        "mail": {"exchange": "shop", "routing_key": "order"},
        "audit": {"exchange": "shop", "routing_key": "order"},
        "images": {"exchange": "media", "exchange_type": "topic", "routing_key": "images.#"},
        "small": {"exchange": "media", "exchange_type": "topic", "routing_key": "*.small"},
        "here": {"exchange": "everywhere", "exchange_type": "fanout"},
        "there": {"exchange": "everywhere", "exchange_type": "fanout"},
    },
}
