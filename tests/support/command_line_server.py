"""The command line, imported once and forked for each call: a process of its own each time, without the second that imports take.

Gets calls over the socket that its first argument names: a JSON message with arguments, environment and folder, and with it the
descriptors of standard input, output and error. Answers the process id at once, and the exit code at the end.
"""

import json
import os
import socket
import struct
import sys

LARGEST = 1 << 17
ANSWER = struct.Struct("!qi")


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    import console.cli
    import console.client  # noqa: F401 - imported here, so that no call has to

    while True:
        message, descriptors, _, _ = socket.recv_fds(control, LARGEST, 3)
        if not message:
            return
        asked = json.loads(message)
        child = os.fork()
        if child == 0:
            control.close()
            call(asked, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(ANSWER.pack(child, 0))
        _, status = os.waitpid(child, 0)
        control.sendall(ANSWER.pack(child, os.waitstatus_to_exitcode(status)))


def call(asked: dict, descriptors: list[int]) -> None:
    """In the child: what `python -m console` does."""
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["console", *asked["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = open(0, closefd=False), open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    code = 70
    try:
        from console.cli import main as command_line

        code = command_line()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                pass
        os._exit(code)


if __name__ == "__main__":
    main()
