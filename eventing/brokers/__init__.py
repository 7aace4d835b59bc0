"""The brokers, one technology a file. Only `functions/runtime/adapters.py` imports them."""
