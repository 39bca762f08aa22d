"""Close a process off: what asks for an internet socket or starts a program, in Python or below it, is killed on the spot."""

import ctypes
import os
import platform
import struct
import sys

_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_SYSTEM_CALL, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
_SOCKET = {"x86_64": 41, "aarch64": 198}
_EXECUTE = {"x86_64": (59, 322), "aarch64": (221, 281)}  # execve, execveat
_AF_INET, _AF_INET6 = 2, 10
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2

is_possible = sys.platform == "linux" and platform.machine() in _SOCKET


def seal(*, programs: bool = False) -> None:
    """Install a seccomp filter, which children inherit; nothing can take it off again.

    Args:
        programs: forbid starting programs too.

    Raises:
        OSError: the kernel does not allow it.
    """
    calls = _EXECUTE[platform.machine()] if programs else ()
    program = [
        (_LOAD, 0, 0, _SYSTEM_CALL),
        *((_JUMP_IF_EQUAL, 3 + len(calls) - index, 0, call) for index, call in enumerate(calls)),
        (_JUMP_IF_EQUAL, 0, 4, _SOCKET[platform.machine()]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 1, 0, _AF_INET),
        (_JUMP_IF_EQUAL, 0, 1, _AF_INET6),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
