"""A small site that uses django_tasks: a blog whose comments are checked for spam in the background."""
