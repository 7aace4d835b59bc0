"""The cluster by command: created, filled, checked, broken on purpose, removed. `python -m knative.e2e --help`."""
