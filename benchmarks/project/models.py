"""A plain table, to see what the ORM and the database can do without tasks."""

from django.db import models


class Row(models.Model):
    id = models.CharField(max_length=255, primary_key=True)
    status = models.CharField(max_length=50, default="PENDING")
    text = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["status", "id"])]

    def __str__(self) -> str:
        return self.id
