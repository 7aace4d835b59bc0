"""What people use: the command line, the Python client and the screens. It talks HTTP and imports only `contracts`."""
