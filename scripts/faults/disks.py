"""Disks that are full, read-only, or lose their power."""

import fcntl
import itertools
import os
import shutil
import struct
import subprocess
import time

from . import tracer
from .calls import CHANGES, FAULTS, count
from .tracer import Done, Kill
from .world import NEW, OLD, MIB, Disturbed, Wrong, check_message, check_same, copy, snapshot

SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2  # FS_IOC_SHUTDOWN; nothing that is not on the disk yet gets there
# Label, how to make one, how to mount it, its size (mkfs.xfs makes nothing smaller than 300 MiB).
FILE_SYSTEMS = (
    ("ext4", ["mkfs.ext4", "-q", "-F"], "loop", 64 * MIB),
    ("ext4 noauto_da_alloc", ["mkfs.ext4", "-q", "-F"], "loop,noauto_da_alloc", 64 * MIB),
    ("xfs", ["mkfs.xfs", "-q", "-f"], "loop", 300 * MIB),
)


class Mount:
    """A mounted file system; it is unmounted with the block."""

    def __init__(self, source, folder, *arguments):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.command = ["mount", *arguments, str(source), str(folder)]

    def __enter__(self):
        done = subprocess.run(self.command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Disturbed(f"{' '.join(self.command)}: {done.stderr.strip()}")
        return self.folder

    def __exit__(self, *_):
        for _ in range(100):  # a process that was killed may need a moment to let go
            done = subprocess.run(["umount", str(self.folder)], capture_output=True, text=True)
            if done.returncode == 0:
                return
            time.sleep(0.02)
        raise Disturbed(f"umount {self.folder}: {done.stderr.strip()}")


def not_possible(world, *arguments):
    """Why nothing can be mounted like this here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        with Mount(*arguments[:1], world.work / "probe", *arguments[1:]):
            return None
    except (Disturbed, OSError) as error:
        return f"cannot mount here: {error}"


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True, capture_output=True)


def run(world, command):
    done = world.run(command)
    return Done(done.returncode, done.stdout, done.stderr)


def enospc(part, world, operations, quick):
    reason = not_possible(world, "tmpfs", "-t", "tmpfs")
    if reason:
        return part.skip(reason)
    prepared = world.installation(world.work / "enospc-prepared")
    expected = undisturbed(world, prepared)
    used = int(subprocess.check_output(["du", "-s", "-B1", str(prepared)]).split()[0])
    names = sum(1 for _ in prepared.rglob("*")) + 1
    step = 4 if quick else 1
    sizes = [f"size={used + more}" for more in range(0, 16 * MIB, step * 64 * 1024)]
    counts = [f"size=64m,nr_inodes={names + more}" for more in range(1, 48, step)]
    for what, steps in (("sizes", sizes), ("numbers of inodes", counts)):
        failed = worked = 0
        for options in steps:
            with Mount("tmpfs", world.work / "small", "-t", "tmpfs", "-o", options) as disk:
                root = disk / "root"
                copied = subprocess.run(["cp", "-a", str(prepared), str(root)], capture_output=True)
                if copied.returncode != 0:
                    continue  # not even the old release fits
                done = run(world, world.update(root, NEW))
                try:
                    check_full(world, done, root)
                    remount(disk, "size=64m,nr_inodes=10000")
                    world.must(world.update(root, NEW))
                    world.check_root(root, {NEW})
                    check_same(root, expected)
                    problems = []
                except (Wrong, Disturbed) as error:
                    problems = [f"{options} (the old release has {used} bytes, {names} names): {error}\n      it said: {done.text.strip()[:400]}"]
                failed, worked = failed + (done.code != 0), worked + (done.code == 0)
            part.count(None, 1, problems)
            if worked >= 4:
                break
        part.count(f"{failed + worked} {what}: {failed} failed, {worked} worked", 0, [])
        if not failed or not worked:
            part.count(None, 0, [f"the {what} did not reach from too small to enough"])
    filled_midway(part, world, prepared, expected, 12 if quick else 2)


def filled_midway(part, world, prepared, expected, step):
    """There was room enough when it looked; then somebody else takes all of it."""
    if tracer.missing():
        return part.skip(f"a disk that fills while it runs: {tracer.missing()}")
    failed = cases = 0
    for number in itertools.count(1, step):
        with Mount("tmpfs", world.work / "small", "-t", "tmpfs", "-o", "size=32m") as disk:
            root, counter, hit = copy(prepared, disk / "root"), itertools.count(1), []

            def on_call(call):
                if call.kind in CHANGES and next(counter) == number:
                    hit.append(str(call))
                    fill(disk / "filler")

            done, problems = tracer.run(world.update(root, NEW), root, on_call), []
            if not hit:
                break
            try:
                check_full(world, done, root)
                (disk / "filler").unlink()
                world.must(world.update(root, NEW))
                world.check_root(root, {NEW})
                check_same(root, expected)
            except (Wrong, Disturbed) as error:
                problems = [f"full from call {number} on ({hit[0]}), exit {done.code}: {error}\n      it said: {done.text.strip()[:400]}"]
        cases, failed = cases + 1, failed + (done.code != 0)
        part.count(None, 1, problems)
    part.count(f"{cases} filled midway: {failed} failed, {cases - failed} worked", 0, [])


def fill(path):
    with open(path, "wb", 0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def check_full(world, done, root):
    check_message(done, root)
    if done.code not in (0, 1):
        raise Wrong(f"exit code {done.code}")
    if done.code == 1 and ("space" not in done.text or "no_space" not in done.text):
        raise Wrong("the message does not speak of space")
    world.check_root(root, {OLD, NEW} if done.code else {NEW})


def undisturbed(world, prepared):
    done = copy(prepared, world.work / "undisturbed")
    world.must(world.update(done, NEW))
    tree = snapshot(done)
    shutil.rmtree(done)
    return tree


def powercut(part, world, operations, quick):
    reason = tracer.missing() or ("needs root" if os.geteuid() != 0 else None)
    if reason:
        return part.skip(reason)
    kill = FAULTS["kill"]
    for label, make, options, size in FILE_SYSTEMS:
        if not shutil.which(make[0]):
            part.skip(f"{label}: {make[0]} is not installed")
            continue
        for operation in operations:
            image, folder = world.work / "image", world.work / "disk"
            with open(image, "wb") as file:
                file.truncate(size)
            subprocess.run([*make, str(image)], check=True, capture_output=True)
            try:
                with Mount(image, folder, "-o", options):
                    copy(operation.prepared, folder / "root")
            except Disturbed as error:
                part.skip(f"{label}: {error}")
                break
            calls = count(operation, kill)
            step = (1 if operation.name == "update" else 3) * (12 if quick else 1)
            cases, number, problems, ended = 0, 1, [], False
            while not ended:
                used = world.work / "image-used"
                subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(used)], check=True)
                # Past the last call it is cut when the program has said that it is done.
                ended, problem = cut(world, operation, used, folder, options, number if number <= calls else None)
                cases += 1
                number = number + step
                problems += [f"{label}, {problem}"] if problem else []
                used.unlink()
            part.count(f"{label}: {operation.name} {cases} cuts in {calls} calls", cases, problems)
            if operation.name == "update":
                # Were its syncs left out, a cut at the end must lose it: else these cuts prove nothing.
                shutil.copy(image, used)
                _, problem = cut(world, operation, used, folder, options, None, syncs=False)
                part.count("without its syncs: found out", 1, [] if problem else [f"{label}: an update that syncs nothing survived its power cut"])


def cut(world, operation, image, folder, options, number, syncs=True):
    """One power cut before a call, or after the end. Returns whether it was at the end, and the problem."""
    seen, place, root = 0, "after the end", folder / "root"

    def on_call(call):
        nonlocal seen, place
        if call.kind not in CHANGES:
            return None
        seen += 1
        if not syncs and call.kind == "sync":
            return 0
        if seen < (number or float("inf")):
            return None
        if seen == number:
            place = str(call)
            shut_down(folder)
        return Kill

    with Mount(image, folder, "-o", options):
        done = tracer.run(operation.command(root), root, on_call)
        ended = done.code == 0
        if seen < (number or float("inf")):
            shut_down(folder)
    try:
        if number is None and not ended:
            raise Wrong(f"it failed ({done.code}) although nobody disturbed it: {done.text.strip()[:300]}")
        with Mount(image, folder, "-o", options):
            operation.check(root, ended=ended)
            operation.finish(root)
    except (Wrong, Disturbed) as error:
        return ended, f"{operation.name}, power cut at call {number} ({place}), exit {done.code}: {error}"
    return ended, None


def shut_down(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
    finally:
        os.close(handle)


def readonly(part, world, operations, quick):
    reason = not_possible(world, "tmpfs", "-t", "tmpfs")
    if reason:
        return part.skip(reason)
    prepared = world.installation(world.work / "readonly-prepared", NEW)
    before = copy(prepared, world.work / "readonly-before")
    expected = snapshot(before)
    with Mount(prepared, world.work / "readonly", "--bind") as root:
        remount(root, "bind,ro")
        changing = {
            "update": world.update(root, OLD, "--allow-downgrade"),
            "rollback": world.at("rollback", root),
            "prune": world.at("prune", root, "--keep", "0"),
            "repair": world.at("repair", root),
        }
        for name, command in changing.items():
            part.count(name, 1, refused(world, name, run(world, command), root, "read-only", expected))
        for name in ("verify", "status", "history"):
            done = run(world, world.at(name, root))
            part.count(name, 1, [] if done.code == 0 else [f"{name} needs no writing, but failed ({done.code}): {done.text.strip()}"])
        new = run(world, world.update(root / "another", NEW))
        part.count("install", 1, refused(world, "install", new, root, "read-only", expected))
        remount(root, "bind,rw")
        try:
            world.must(world.at("rollback", root))
            problems = []
        except Disturbed as error:
            problems = [str(error)]
        part.count("writable again", 1, problems)


def refused(world, name, done, root, words, expected):
    """It failed, said why in words and where, and changed nothing. Returns the problems."""
    problems = []
    try:
        check_message(done, root)
        if done.code != 1:
            raise Wrong(f"exit code {done.code}")
        if words not in done.text.lower():
            raise Wrong(f"the message does not say {words!r}")
        if str(root) not in done.text:
            raise Wrong(f"the message does not name the place, {root}")
        check_same(root, expected)
    except Wrong as error:
        problems.append(f"{name}: {error}\n      it said: {done.text.strip()[:400]}")
    return problems
