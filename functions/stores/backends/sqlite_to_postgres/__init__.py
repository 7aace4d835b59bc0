"""Carries an embedded data folder over into PostgreSQL."""

from functions.stores.backends.sqlite_to_postgres.carrying import Carrier, Report

__all__ = ["Carrier", "Report"]
