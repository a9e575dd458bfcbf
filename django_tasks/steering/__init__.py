"""What an operator does to tasks that were sent: to one, or to all that a filter finds, in the background."""
