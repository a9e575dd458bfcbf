"""The same project, with prints left alone."""

from tests.observability.observed_settings import *  # noqa: F403
from tests.observability.observed_settings import DJANGO_TASKS

DJANGO_TASKS = {**DJANGO_TASKS, "WORKER_REDIRECT_STDOUTS": False}
