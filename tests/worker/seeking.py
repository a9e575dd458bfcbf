"""Imported by a worker before it makes its housekeeper."""

from django_tasks.worker import housekeeper

housekeeper.LOST_INTERVAL = 0.5
