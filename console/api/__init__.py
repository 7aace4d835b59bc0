"""The HTTP surface as a client sees it, without a socket: what both clients, sync and async, share."""
