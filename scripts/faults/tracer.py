"""Runs a program and does something to it right before its N-th system call of some kind.

This does what `strace -f -e inject=NAME:…:when=N` does, but strace counts for each thread apart, and a program whose
work moves between threads has calls that no (thread, N) is sure to reach. Here N counts over all threads, so that
going on until the program is not disturbed any more reaches every call. Linux on x86-64 only; no root is needed.
"""

import ctypes
import errno
import os
import platform
import signal
import struct
import subprocess
import tempfile
import time

TRACEME, PEEK_USER, POKE_USER, CONTINUE, STEP_TO_CALL = 0, 3, 6, 7, 24
SET_OPTIONS, GET_CALL = 0x4200, 0x420E
OPTIONS = 0x1 | 0x8 | 0x2 | 0x4 | 0x100000  # good syscall stops; follow clone, fork, vfork; kill with the tracer
R8, RAX, RDX, ORIG_RAX = 72, 80, 96, 120  # places in `struct user`
ANY_CHILD = 0x40000000  # __WALL

# How each call says what it is about: a path below the folder of a handle (`at`), a path, or a handle.
NAMES = {
    1: ("write", "fd"), 18: ("pwrite64", "fd"), 20: ("writev", "fd"), 296: ("pwritev", "fd"), 40: ("sendfile", "fd"),
    326: ("copy_file_range", "fd2"), 16: ("ioctl", "fd"), 77: ("ftruncate", "fd"), 285: ("fallocate", "fd"),
    74: ("fsync", "fd"), 75: ("fdatasync", "fd"), 306: ("syncfs", "fd"), 277: ("sync_file_range", "fd"),
    91: ("fchmod", "fd"), 93: ("fchown", "fd"), 90: ("chmod", "path"), 268: ("fchmodat", "at"), 452: ("fchmodat2", "at"),
    83: ("mkdir", "path"), 258: ("mkdirat", "at"), 84: ("rmdir", "path"), 87: ("unlink", "path"), 263: ("unlinkat", "at"),
    82: ("rename", "path"), 264: ("renameat", "at"), 316: ("renameat2", "at"), 86: ("link", "path"), 265: ("linkat", "at"),
    88: ("symlink", "path"), 266: ("symlinkat", "at1"), 280: ("utimensat", "at"), 76: ("truncate", "path"),
    2: ("open", "path"), 257: ("openat", "at"), 437: ("openat2", "at"), 85: ("creat", "path"),
    0: ("read", "fd"), 17: ("pread64", "fd"), 217: ("getdents64", "fd"),
}  # fmt: skip
OPENING = {"open", "openat", "openat2"}
READING = {"read", "pread64", "getdents64"}
WRITING = {"write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range"}
CLONE = {0x40049409, 0x4020940D}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def missing():
    """Why this cannot work here, or None."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "the tracer knows the system calls of Linux on x86-64 only"
    try:
        done = run(["/bin/true"], "/", lambda call: None)
    except OSError as error:
        return f"no process can be traced here: {error}"
    return None if done.code == 0 else "no process can be traced here"


def ptrace(request, pid, address=0, data=0):
    ctypes.set_errno(0)
    result = libc.ptrace(request, pid, address, data)
    code = ctypes.get_errno()
    if result == -1 and code:
        raise OSError(code, f"ptrace {request}: {os.strerror(code)}")
    return result


class Call:
    """One system call that is about something below the watched folder."""

    def __init__(self, pid, name, kind, path):
        self.pid, self.name, self.kind, self.path = pid, name, kind, path

    def __str__(self):
        return f"{self.name} {self.path}"


class Done:
    """How a traced program ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out + self.err


class Kill:
    """The answer to a call that ends the program before it."""


class Short:
    """The answer to a write that makes less of it than was asked for."""


def run(command, watched, on_call, limit=60, **options):
    """Runs `command` and asks `on_call(Call)` before each call about something below `watched`.

    Its answer is None (go on), an errno (the call is not made, and fails with it; with 0 it seems to succeed), `Short`
    or `Kill`.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = lambda: libc.ptrace(TRACEME, 0, None, None)
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, preexec_fn=begin, process_group=0, **options
        )
        try:
            code = follow(child.pid, str(watched), on_call, time.monotonic() + limit)
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        child.returncode = code
        read = lambda file: (file.seek(0), file.read().decode(errors="replace"))[1]
        return Done(code, read(out), read(err))


def follow(leader, watched, on_call, deadline):
    """Steps through all calls of all threads. Returns the exit code, negative for a signal."""
    os.waitpid(leader, ANY_CHILD)  # the stop at its exec
    ptrace(SET_OPTIONS, leader, 0, OPTIONS)
    known, failing = {leader}, {}
    step(leader, 0)
    while True:
        if time.monotonic() > deadline:
            os.killpg(leader, signal.SIGKILL)
            deadline = float("inf")
        pid, status = os.waitpid(-leader, ANY_CHILD)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if pid == leader:
                return os.waitstatus_to_exitcode(status)
            continue
        number, event = os.WSTOPSIG(status), status >> 16
        deliver = 0
        if number == signal.SIGTRAP | 0x80:
            try:
                at_call(pid, watched, on_call, failing)
            except ProcessLookupError:
                pass  # it was killed meanwhile
        elif pid not in known:
            known.add(pid)  # a new thread starts with a stop of its own
        elif event == 0:
            deliver = number
        step(pid, deliver)


def step(pid, deliver):
    try:
        ptrace(STEP_TO_CALL, pid, 0, deliver)
    except ProcessLookupError:
        pass


def at_call(pid, watched, on_call, failing):
    code = failing.pop(pid, None)
    if code is not None:
        ptrace(POKE_USER, pid, RAX, -code)
        return
    info = ctypes.create_string_buffer(88)
    ptrace(GET_CALL, pid, len(info), ctypes.addressof(info))
    operation, number = info.raw[0], struct.unpack_from("<Q", info.raw, 24)[0]
    if operation != 1 or number not in NAMES:
        return
    call = describe(pid, number, struct.unpack_from("<6Q", info.raw, 32), watched)
    if call is None:
        return
    answer = on_call(call)
    if answer is Kill:
        os.kill(pid, signal.SIGKILL)
    elif answer is Short:
        if call.name == "copy_file_range":  # asks for as much as there is
            ptrace(POKE_USER, pid, R8, 1)
        else:
            ptrace(POKE_USER, pid, RDX, (struct.unpack_from("<Q", info.raw, 48)[0] + 1) // 2)
    elif answer is not None:
        ptrace(POKE_USER, pid, ORIG_RAX, -1)
        failing[pid] = answer


def describe(pid, number, arguments, watched):
    name, form = NAMES[number]
    kind = "write" if name in WRITING else "read" if name in READING else "sync" if "sync" in name else "change"
    if name in OPENING:
        flags = arguments[2] if name == "openat" else arguments[1] if name == "open" else 0
        if name == "openat2":
            flags = struct.unpack("<Q", memory(pid, arguments[2], 8))[0]
        kind = "create" if flags & (os.O_CREAT | os.O_TRUNC) else "open"
    if name == "ioctl" and arguments[1] not in CLONE:
        return None
    if form in ("fd", "fd2"):
        path = handle(pid, arguments[2] if form == "fd2" else arguments[0])
    elif form == "path":
        path = text(pid, arguments[0])
    else:
        first = 1 if form == "at1" else 0
        path = text(pid, arguments[first + 1])
        path = os.path.join(handle(pid, arguments[first]), path) if not path.startswith("/") else path
    return Call(pid, name, kind, path) if path.startswith(watched) else None


def handle(pid, number):
    try:
        return os.readlink(f"/proc/{pid}/fd/{number & 0xFFFFFFFF}")
    except OSError:
        return ""


def memory(pid, address, length):
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as file:
            file.seek(address)
            return file.read(length)
    except (OSError, ValueError):
        return bytes(length)


def text(pid, address):
    found = b""
    while b"\0" not in found and len(found) < 4096:
        # Not over the end of a page, which may be the end of what can be read.
        piece = memory(pid, address + len(found), 4096 - (address + len(found)) % 4096)
        if not piece:
            break
        found += piece
    return os.fsdecode(found.split(b"\0")[0])


def code_of(name):
    return getattr(errno, name)
