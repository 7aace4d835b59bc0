"""The brokers, one technology a file. Only the wiring imports them."""
