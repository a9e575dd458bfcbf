"""The states of a task, with Celery's names and sets (celery.states)."""

PENDING = "PENDING"
RECEIVED = "RECEIVED"
STARTED = "STARTED"
RETRY = "RETRY"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"
#: The body raised `Ignore`: it ended, and nothing is said about how.
IGNORED = "IGNORED"
#: The body raised `Reject(requeue=True)`: it goes back to its queue.
REJECTED = "REJECTED"
#: Somebody asked the body to stop (`AbortableTask`), and it has not ended yet.
ABORTED = "ABORTED"

#: Nothing more will happen to the task.
READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
#: The row is done with: no worker will touch it again.
FINAL_STATES = READY_STATES | {IGNORED}
#: `AsyncResult.get` raises the stored exception.
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
#: The stored result is an exception.
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, RETRY})
ALL_STATES = READY_STATES | UNREADY_STATES | {IGNORED, REJECTED}

#: Celery 2's name for `PROPAGATE_STATES`.
FAILURE_STATES = PROPAGATE_STATES

#: For monitors that hear of several states of a task in no order: the first of these is the one to show. `None`
#: stands for all states of your own.
PRECEDENCE = (SUCCESS, FAILURE, None, REVOKED, STARTED, RECEIVED, REJECTED, RETRY, PENDING)


def precedence(state: str) -> int:
    """The place of a state in `PRECEDENCE`: a smaller number hides a larger one."""
    return PRECEDENCE.index(state if state in PRECEDENCE else None)
