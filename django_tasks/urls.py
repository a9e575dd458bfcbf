"""`path("tasks/", include("django_tasks.urls"))`: the endpoints, for who is logged in and may see tasks.

For a token, which a monitor has, take the views themselves: see `django_tasks.views`.
"""

from django.urls import path

from . import views

app_name = "django_tasks"

urlpatterns = [
    path("metrics", views.metrics(), name="metrics"),
    path("stats.json", views.stats(), name="stats"),
]
