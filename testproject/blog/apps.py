from django.apps import AppConfig


class BlogConfig(AppConfig):
    name = "testproject.blog"
    verbose_name = "Blog"
