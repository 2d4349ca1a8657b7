"""Other users, few handles, a server that dies, and several processes at once."""

import itertools
import os
import shutil
import subprocess
import threading

from . import tracer
from .calls import CHANGES
from .disks import refused
from .tracer import Done
from .world import NEW, OLD, Disturbed, Wrong, check_message, check_same, copy, snapshot

NOBODY = 65534


def unprivileged(part, world, operations, quick):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return part.skip("needs root and setpriv")
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if subprocess.run([*as_nobody, world.lockstep, "--version"], capture_output=True).returncode != 0:
        return part.skip(f"another user cannot reach {world.lockstep}; name a --work folder that everybody may read")

    def run(command):
        done = world.run([*as_nobody, *command], cwd="/")
        return Done(done.returncode, done.stdout, done.stderr)

    root = world.installation(world.work / "roots", NEW)
    expected = snapshot(root)
    commands = {
        "update": world.update(root, OLD, "--allow-downgrade"),
        "rollback": world.at("rollback", root),
        "prune": world.at("prune", root, "--keep", "0"),
        "repair": world.at("repair", root),
        "install": world.update(root / "another", NEW),
    }
    for name, command in commands.items():
        part.count(name, 1, refused(world, f"root's installation: {name}", run(command), root, "permission", expected))
    done = run(world.at("verify", root))
    part.count("verify", 1, [] if done.code == 0 else [f"verify of what may be read failed: {done.text.strip()}"])

    # Some of it belongs to another: each folder and file that an update writes to, one after the other.
    own = world.installation(world.work / "nobodys")
    for path in [own, *own.rglob("*")]:
        os.lchown(path, NOBODY, NOBODY)
    case = world.work / "nobodys-case"
    release = f"releases/v{OLD}"
    places = ["current.txt", "releases", "releases/.staging", "releases/.trash", ".lockstep", ".lockstep/lock"]
    places += [".lockstep/history.jsonl", release, f"{release}/version.txt", f"{release}/notes/mine.txt"]
    for place in places:
        copy(own, case)
        os.chown(case / place, 0, 0)
        if (case / place).is_file():
            (case / place).chmod(0o600)
        done = run(world.update(case, NEW))
        problems = []
        try:
            check_message(done, case)
            if done.code not in (0, 1) or done.code == 1 and "permission" not in done.text.lower():
                raise Wrong(f"exit code {done.code}, or no word about permission")
            world.check_root(case, {OLD, NEW})
            os.chown(case / place, NOBODY, NOBODY)
            again = run(world.update(case, NEW))
            if again.code != 0:
                raise Wrong(f"given back, it still fails: {again.text.strip()[:300]}")
            world.check_root(case, {NEW})
        except Wrong as error:
            problems = [f"nobody's installation, {place} is root's: {error}\n      it said: {done.text.strip()[:400]}"]
        part.count(f"{place}: {done.code}", 1, problems)

    done = run(world.update(own, NEW))
    problems = [] if done.code == 0 else [f"an installation of its own: {done.text.strip()}"]
    try:
        world.check_root(own, {NEW})
    except Wrong as error:
        problems.append(f"an installation of its own: {error}")
    part.count("its own", 1, problems)


def emfile(part, world, operations, quick):
    if not shutil.which("prlimit"):
        return part.skip("prlimit is not installed")
    prepared = world.installation(world.work / "emfile-prepared")
    done = copy(prepared, world.work / "emfile")
    world.must(world.update(done, NEW))
    expected, worked, failed = snapshot(done), 0, 0
    for limit in range(4, 80, 6 if quick else 1):
        root = copy(prepared, world.work / "emfile")
        ended = world.run(["prlimit", f"--nofile={limit}:{limit}", *world.update(root, NEW)])
        done, problems = Done(ended.returncode, ended.stdout, ended.stderr), []
        try:
            check_message(done, root)
            world.check_root(root, {NEW} if done.code == 0 else {OLD, NEW})
            world.must(world.update(root, NEW))
            check_same(root, expected)
        except (Wrong, Disturbed) as error:
            problems = [f"{limit} handles: {error}\n      it said: {done.text.strip()[:400]}"]
        worked, failed = worked + (done.code == 0), failed + (done.code != 0)
        part.count(None, 1, problems)
    part.count(f"{worked} worked, {failed} failed", 0, [])


def kill_serve(part, world, operations, quick):
    reason = tracer.missing()
    if reason:
        return part.skip(reason)
    prepared = world.installation(world.work / "serve-prepared")
    finished = copy(prepared, world.work / "serve-case")
    world.must(world.update(finished, NEW))
    expected, at_once = snapshot(finished), 0
    for number in itertools.count(1, 12 if quick else 3):
        root, counter, hit = copy(prepared, world.work / "serve-case"), itertools.count(1), []

        def on_call(call):
            if call.kind in CHANGES and next(counter) == number:
                hit.append(str(call))
                world.server.kill()
                world.server.restart()

        done, problems = tracer.run(world.update(root, NEW), root, on_call), []
        if not hit:
            break
        try:
            check_message(done, root)
            world.check_root(root, {NEW} if done.code == 0 else {OLD})
            world.must(world.update(root, NEW))
            world.check_root(root, {NEW})
            check_same(root, expected)
        except (Wrong, Disturbed) as error:
            problems = [f"server killed at call {number} ({hit[0]}), exit {done.code}: {error}\n      it said: {done.text.strip()[:400]}"]
        at_once += done.code == 0
        part.count(None, 1, problems)
    part.count(f"{at_once} of {part.cases} finished without a second run", 0, [])


def two_updaters(part, world, operations, quick):
    rounds = 8 if quick else 30
    prepared = world.installation(world.work / "two-prepared")
    done = copy(prepared, world.work / "two")
    world.must(world.update(done, NEW))
    expected, both = snapshot(done), 0
    for number in range(rounds):
        root = copy(prepared, world.work / "two")
        pair = [subprocess.Popen(world.update(root, NEW), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
        texts = [process.communicate()[0] for process in pair]
        codes, problems = sorted(process.returncode for process in pair), []
        try:
            if codes not in ([0, 0], [0, 3]):
                raise Wrong(f"exit codes {codes}: {texts}")
            if codes == [0, 3] and '"busy"' not in "".join(texts):
                raise Wrong(f"the loser does not say that it was busy: {texts}")
            world.check_root(root, {NEW})
            check_same(root, expected)
        except Wrong as error:
            problems = [f"round {number}: {error}"]
        both += codes == [0, 0]
        part.count(None, 1, problems)
    part.count(f"{rounds} rounds of two updates, in {both} both succeeded", 0, [])
    readers(part, world, prepared, rounds)


def readers(part, world, prepared, rounds):
    """Readers resolve the active release all the time; `prune` runs beside updates and rollbacks."""
    root = copy(prepared, world.work / "two")
    world.must(world.update(root, NEW))
    stop, looks, problems = threading.Event(), itertools.count(), []
    commands = 0

    def read():
        while not stop.is_set():
            next(looks)
            before = commands
            try:
                active = (root / "current.txt").read_text().strip()
                found = (root / "releases" / active / "version.txt").read_bytes()
                if found != {f"v{OLD}": b"1", f"v{NEW}": b"2"}.get(active):
                    problems.append(f"a reader saw {active!r} with version.txt {found!r}")
            except OSError as error:
                # A release that is not the active one any more may be pruned between the two looks.
                if (root / "current.txt").read_text().strip() == active and commands == before:
                    problems.append(f"a reader saw {error}")

    def prune():
        while not stop.is_set():
            done = world.run(world.at("prune", root, "--keep", "1"))
            if done.returncode not in (0, 3):
                problems.append(f"prune ended with {done.returncode}: {done.stdout}{done.stderr}")

    threads = [threading.Thread(target=target) for target in (read, read, prune)]
    for thread in threads:
        thread.start()
    try:
        for number in range(rounds):
            for command in (world.at("rollback", root, OLD), world.update(root, NEW)):
                commands += 1  # each of them switches once
                while (done := world.run(command)).returncode == 3:
                    pass  # prune was faster
                if done.returncode != 0:
                    problems.append(f"round {number}: {command[1]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    try:
        world.check_root(root, {NEW})
    except Wrong as error:
        problems.append(str(error))
    part.count(f"{rounds} rounds with {next(looks)} looks of readers", rounds, problems)
