"""Exit codes of the command line: for scripts, so they never change their meaning."""

OK = 0
FAILED = 1  # the job failed; doctor found a fault
USAGE = 2
REFUSED = 3  # the request was refused: 4xx; run: as a server would refuse it
UNREACHABLE = 4  # no server answers, or it answers that it cannot now
NOT_FOUND = 5
TIMED_OUT = 6  # what was waited for did not come in time
CANCELLED = 7  # the job was cancelled
INTERNAL = 70  # a fault of the console itself
INTERRUPTED = 130  # Ctrl-C
BROKEN_PIPE = 141  # whoever read the output left

MEANINGS = """exit codes:
  0  done, or the job succeeded        4  no server answers, or it cannot now (503)
  1  the job failed; doctor: a fault   5  there is no such job, event or address
  2  the command line is wrong         6  it did not end within the time given
  3  the request was refused           7  the job was cancelled
and 70 a fault of the command line itself, 130 Ctrl-C, 141 whoever read the output left"""
