"""The task API: `from functions.processor.tasks import task, TaskContext, Retry, Snooze, Permanent, RetryPolicy`."""

from functions.processor.tasks.context import JobCancelled, Permanent, Retry, Snooze, TaskContext
from functions.processor.tasks.registry import RetryPolicy, task

__all__ = ["JobCancelled", "Permanent", "Retry", "RetryPolicy", "Snooze", "TaskContext", "task"]
