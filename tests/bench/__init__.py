"""`make bench`: what the embedded system does in a second, what a job costs, and the same over servers beside Celery."""
