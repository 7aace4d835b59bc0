"""The four servers on this machine, for `make run PROFILE=servers` and for tests: found, started, stopped, without touching others."""
