"""Checks of a running cluster: those of the gate harm nothing, those of `breaking` do and ask for leave."""
