"""The search index, whatever store it lies in: what it holds of a job, how a query reads it, how it follows the feed.

A store brings the rows: `rows.py` says what it must read and write.
"""
