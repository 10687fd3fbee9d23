"""This script becomes a server process: it drops privileges, ties its life to its parent's, and calls exec.

It is run by path with `python -I -S`, imports nothing of Backtape, and is not meant to be imported.

    launcher.py PARENT_PID UID GID COMMAND...

PARENT_PID 0 means: outlive the parent. UID -1 means: stay who we are. The order matters: the kernel forgets the
parent-death signal when the credentials change, so privileges go first. It happens here, not in a `preexec_fn`, because code
between fork and exec may deadlock in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, uid, gid = (int(text) for text in arguments[:3])
    command = arguments[3:]
    os.chdir("/")  # not ours: the user we become may not be able to enter it
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked to be told
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
