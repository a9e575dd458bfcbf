"""A blog where visitors comment and the comments are checked for spam in the background."""
