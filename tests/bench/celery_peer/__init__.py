"""Celery over the same servers, in a virtual environment of its own: the peer of `make bench PROFILE=servers`."""
