"""What really ran: one entry per call of a task's body, written by the body itself."""

from django.db import models


class Entry(models.Model):
    task_id = models.CharField(max_length=255)
    number = models.IntegerField(default=0)
    pid = models.IntegerField()
    at = models.FloatField()

    def __str__(self) -> str:
        return f"{self.task_id} in {self.pid}"


class Article(models.Model):
    """What the guides expand abbreviations in."""

    title = models.CharField(max_length=100)
    body = models.TextField()

    def __str__(self) -> str:
        return self.title
