"""Faults at system calls: kills, errors, short writes."""

import itertools
import multiprocessing
import os
import shutil

from . import tracer
from .tracer import Kill, Short, code_of
from .world import Disturbed, Wrong, check_message, copy

CHANGES = {"change", "create", "write", "sync"}
TAKES_SPACE = {"mkdirat", "linkat", "symlinkat", "openat2", "openat", "pwrite64", "write", "copy_file_range", "renameat", "renameat2"}

# Label, which calls count, what happens to them, from then on or once, whether it must succeed all the same.
ERRORS = (
    ("EIO", lambda call: call.kind in CHANGES, code_of("EIO"), False, False),
    ("EIO from then on", lambda call: call.kind in CHANGES, code_of("EIO"), True, False),
    ("EIO on reading", lambda call: call.kind == "read", code_of("EIO"), False, False),
    ("ENOSPC from then on", lambda call: call.kind in CHANGES and call.name in TAKES_SPACE, code_of("ENOSPC"), True, False),
    ("EACCES", lambda call: call.kind in CHANGES | {"open"} and call.kind != "sync", code_of("EACCES"), False, False),
    ("EROFS from then on", lambda call: call.kind in CHANGES, code_of("EROFS"), True, False),
    ("EMFILE", lambda call: call.kind in {"open", "create"}, code_of("EMFILE"), False, False),
    ("EFBIG", lambda call: call.kind == "write", code_of("EFBIG"), False, False),
    ("EINTR", lambda call: call.kind in {"write", "read"} and "dents" not in call.name, code_of("EINTR"), False, True),
    ("a short write", lambda call: call.kind == "write", Short, False, True),
)  # fmt: skip
KILL = ("kill", lambda call: call.kind in CHANGES, Kill, False, False)
KINDS = {"ENOSPC from then on": "no_space", "EACCES": "permission_denied"}
MAY_NOT_READ = {"EIO on reading", "EACCES", "EMFILE"}
FAULTS = {fault[0]: fault for fault in (KILL, *ERRORS)}
OPERATIONS = {}  # what the processes of a pool inherit: tasks are plain data


def disturbed(operation, root, fault, number):
    """One run of the operation with the fault at the given call. Returns how it ended, and at which call the fault came."""
    _, counts, answer, onward, _ = fault
    counter, hit = itertools.count(1), []

    def on_call(call):
        if not counts(call):
            return None
        now = next(counter)
        if now != number and not (onward and now > number):
            return None
        hit.append(str(call).replace(str(root), "ROOT"))
        return answer

    return tracer.run(operation.command(root), root, on_call), hit[0] if hit else None


def attempt(task):
    """Copies the prepared folder, disturbs a run in it, checks, and lets it finish. Returns (hit, problem)."""
    name, label, number, second = task
    operation, fault = OPERATIONS[name], FAULTS[label]
    root = operation.world.work / f"case-{os.getpid()}"
    copy(operation.prepared, root)
    place = None
    try:
        done, place = disturbed(operation, root, fault, number)
        try:
            if fault is not KILL:
                check_message(done, root, KINDS.get(label))
                if done.code != 0 and (place is None or fault[4]):
                    raise Wrong(f"it failed ({done.code}): {done.text.strip()[:300]}")
            operation.check(root, ended=done.code == 0)
            if second:
                disturbed(operation, root, KILL, second)
                operation.check(root)
            operation.finish(root, could_read=label not in MAY_NOT_READ)
        except (Wrong, Disturbed) as error:
            where = f"{operation.name}, {fault[0]} at call {number} ({place}), exit {done.code}"
            return place, f"{where}{f', then a kill at {second}' if second else ''}: {error}\n      it said: {done.text.strip()[:400]}"
        return place, None
    finally:
        shutil.rmtree(root, ignore_errors=True)


def count(operation, fault):
    """How many calls of the fault's kind a run makes that nobody disturbs."""
    root = copy(operation.prepared, operation.world.work / "counted")
    seen = []
    done = tracer.run(operation.command(root), root, lambda call: seen.append(call) if fault[1](call) else None)
    if done.code != 0:
        raise Disturbed(f"{operation.name} failed while it was only watched: {done.text}")
    shutil.rmtree(root)
    return len(seen)


def sweep(pool, operation, fault, step, second=None):
    """The fault at call 1, 1 + step, … to the last, which moves a little between runs: with every call asked for, until a
    run is over before. Returns (cases, calls, problems)."""
    calls = count(operation, fault)
    task = lambda number: (operation.name, fault[0], number, second and second(number))
    outcomes = list(pool.imap(attempt, map(task, range(1, calls + 1, step))))
    more = calls
    while step == 1 and not second and outcomes[-1][0]:
        more += 1
        outcomes.append(attempt(task(more)))
    problems = [problem for _, problem in outcomes if problem]
    return sum(place is not None for place, _ in outcomes), max(calls, more), problems


def start_pool(operations):
    OPERATIONS.update({operation.name: operation for operation in operations})
    return multiprocessing.get_context("fork").Pool(2)


def kill(part, world, operations, quick):
    reason = tracer.missing()
    if reason:
        return part.skip(reason)
    with start_pool(operations) as pool:
        for operation in operations:
            cases, calls, problems = sweep(pool, operation, KILL, 7 if quick else 1)
            part.count(f"{operation.name} {cases} of {calls} calls", cases, problems)
            # The run that mends what the first kill left is killed, too, early and in its middle.
            for what, second in (("early", lambda number: 2), ("midway", lambda number: 1 + number // 2)):
                cases, _, problems = sweep(pool, operation, KILL, 28 if quick else 4, second)
                part.count(f"and again {what} {cases}", cases, problems)


def errno(part, world, operations, quick):
    reason = tracer.missing()
    if reason:
        return part.skip(reason)
    with start_pool(operations) as pool:
        for operation in operations:
            total = 0
            for index, fault in enumerate(ERRORS):
                step = (2 if index == 0 else 5) if operation.name == "update" else 7
                cases, calls, problems = sweep(pool, operation, fault, step * 7 if quick else step)
                total += cases
                part.count(None, cases, problems)
            part.count(f"{operation.name} {total}", 0, [])
