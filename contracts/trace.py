"""W3C Trace Context (https://www.w3.org/TR/trace-context/, section 3.2): what of a caller's trace a job carries on.

A job keeps the `traceparent` of whoever asked for it; its events say it, its handlers get one of the same trace whose parent
is the attempt. A job that nobody traced begins a trace of its own, whose id is its own id without the hyphens: who sees
the trace elsewhere finds the job. Spans are not drawn by lot either: a job's is the end of its id, an attempt's that and
the claim's number, so that whoever draws the trace from the log later comes to the same ones.
"""

import re

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_SAMPLED = "01"
_ZEROS = ("0" * 32, "0" * 16)


def traceparent_of(text: str | None) -> str | None:
    """A caller's `traceparent` as it is carried on, in version 00; None for what is none, which begins a new trace.

    Of later versions the parts that version 00 knows are read (section 3.2.4).
    """
    if text is None:
        return None
    found = _FORM.fullmatch(text.strip(" \t"))
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]) or found[2] == _ZEROS[0] or found[3] == _ZEROS[1]:
        return None
    return f"00-{found[2]}-{found[3]}-{int(found[4], 16) & 1:02x}"


def trace_id(traceparent: str | None) -> str | None:
    """The trace's id: 32 hexadecimal digits; None without a trace."""
    valid = traceparent_of(traceparent)
    return None if valid is None else valid[3:35]


def begun_by(job_id: str) -> str:
    """The trace that a job begins."""
    digits = job_id.replace("-", "")
    return f"00-{digits}-{digits[16:]}-{_SAMPLED}"


def below_job(traceparent: str, job_id: str) -> str:
    """What a job hands to the jobs that it leads to."""
    return _below(traceparent, _number(job_id))


def below_attempt(traceparent: str | None, job_id: str, lease_token: int) -> str:
    """What an attempt hands to whom it calls."""
    return _below(traceparent_of(traceparent) or begun_by(job_id), _number(job_id) ^ lease_token)


def _number(job_id: str) -> int:
    return int(job_id.replace("-", "")[16:], 16)


def _below(traceparent: str, span: int) -> str:
    return f"{traceparent[:36]}{span:016x}{traceparent[52:]}"
