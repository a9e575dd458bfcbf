"""What Django does with the app at start-up."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from . import registry


class TasksConfig(AppConfig):
    name = "django_tasks"
    verbose_name = _("Background tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - it registers itself, and needs the models
        from .brokers import embedded  # noqa: F401 - kombu knows `django://` from here on

        registry.canonicalize()
