"""`make bench`: what the embedded system does in a second, and what a job costs."""
