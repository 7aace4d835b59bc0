"""One module a verb of the command line: `configure(parser)` names its arguments, `run(session, arguments)` does it."""
