"""How events travel: the codec, the Trigger files, the queues, and the brokers behind one port."""
