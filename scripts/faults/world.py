"""Releases, a server for them, installations with a user's files, and what must be true of one after a fault."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
from pathlib import Path

MIB = 1 << 20
OLD, NEW = "1.0.0", "2.0.0"
TOOL = "sketcher"
NOTES = {".lockstep/history.jsonl", ".lockstep/lock", "publish.lock"}  # differ from run to run, or come with the first

# What a user and a tool put into a release's folder, and beside the releases.
USERS = {"notes/mine.txt": b"mine\n", "lib/extra.py": b"extra = 1\n", "config.local.toml": b"a = 1\n", "run.log": b"ran\n"}
BESIDE = {"user_data/drawing.txt": b"a drawing\n", "venv/bin/python": b"#!/bin/true\n"}
LATER = {"notes/later.txt": b"written in the new release\n"}
ONLY_OLD = {"notes/only-old.txt": b"written in the old release after the update\n"}


class Wrong(Exception):
    """Something that must be true is not."""


class Disturbed(Exception):
    """A step that nobody disturbed failed."""


class World:
    """Everything that the parts share."""

    def __init__(self, lockstep, work):
        self.lockstep, self.work = str(lockstep), Path(work)
        self.trees = {OLD: self.work / "old", NEW: self.work / "new"}
        make_trees(self.trees[OLD], self.trees[NEW])
        self.contents = {version: read_tree(tree) for version, tree in self.trees.items()}
        self.server = Server(self, self.work / "store")
        for version in (OLD, NEW):
            self.must(self.publish(version, self.work / "store"))

    def close(self):
        self.server.close()

    # Commands

    def publish(self, version, store):
        base = ["--base-url", self.server.base] if store == self.work / "store" else []
        return [self.lockstep, "publish", str(self.trees[version]), "--store", str(store), "--tool-id", TOOL, "--tool-version", version, *base]

    def update(self, root, version, *more):
        url = f"{self.server.base}{TOOL}/{version}/manifest.json"
        return [self.lockstep, "update", "--root", str(root), "--manifest", url, "--json", *more]

    def at(self, command, root, *more):
        return [self.lockstep, command, "--root", str(root), "--json", *more]

    def run(self, command, limit=60, **options):
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, **options)

    def must(self, command):
        """Runs what nobody disturbs: it has to succeed."""
        done = self.run(command)
        if done.returncode != 0:
            raise Disturbed(f"{' '.join(command[1:])} failed ({done.returncode}): {(done.stdout + done.stderr).strip()}")
        return done.stdout

    # Installations

    def installation(self, root, active=OLD):
        """An installation of the old release, with a user's files, then updated if the new one is wanted."""
        self.must(self.update(root, OLD))
        write_files(root / "releases" / f"v{OLD}", USERS)
        write_files(root, BESIDE)
        if active == NEW:
            self.must(self.update(root, NEW))
            write_files(root / "releases" / f"v{NEW}", LATER)
            write_files(root / "releases" / f"v{OLD}", ONLY_OLD)
        return root

    def active(self, root):
        try:
            return (root / "current.txt").read_text().strip().removeprefix("v") or "(empty)"
        except FileNotFoundError:
            return None

    def check_release(self, folder, version, owned):
        """Every file of the release and of the user, by reading them: nothing that Lockstep says is believed."""
        for path, (content, executable) in self.contents[version].items():
            file = folder / path
            if not file.is_file() or file.is_symlink():
                raise Wrong(f"{path} of the active release {version} is missing")
            if file.read_bytes() != content:
                raise Wrong(f"{path} of the active release {version} has other bytes ({file.stat().st_size} of {len(content)})")
            if bool(file.stat().st_mode & 0o100) != executable:
                raise Wrong(f"{path} of the active release {version} has the wrong mode")
        check_files(folder, owned, f"the active release {version}")

    def check_root(self, root, allowed, owned=USERS, verify=True):
        """Old or new, every byte of it; and what is the user's."""
        active = self.active(root)
        if active not in allowed:
            raise Wrong(f"current.txt says {active!r}")
        check_files(root, BESIDE, "the root")
        if active is None:
            return None
        self.check_release(root / "releases" / f"v{active}", active, owned)
        if verify:
            done = self.run(self.at("verify", root))
            if done.returncode != 0:
                raise Wrong(f"verify says ({done.returncode}) {(done.stdout + done.stderr).strip()}")
        return active

    def check_history(self, root):
        self.must(self.at("history", root))


class Server:
    """`lockstep serve`, which can be killed and started again at the same address."""

    def __init__(self, world, store, listen="127.0.0.1:0"):
        self.world, self.store = world, store
        self.start(listen)

    def start(self, listen):
        command = [self.world.lockstep, "serve", "--store", str(self.store), "--listen", listen]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = re.search(r"http://(\S+?:\d+)/\S*", self.process.stdout.readline())
        if not found:
            raise Disturbed(f"serve on {listen} did not say its address")
        self.base, self.address = found.group(0), found.group(1)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self):
        self.start(self.address)

    def close(self):
        self.process.terminate()
        self.process.wait()


def make_trees(old, new):
    """Two releases: a file of each is changed, moved, removed, added, made executable, replaced by a folder."""
    # No `.py`: such files are executable in a release, whatever their mode is.
    generator = random.Random(7)
    common = {"bin/run.sh": b"#!/bin/sh\n", "bin/tool": b"tool\n" * 100, "lib/__init__.lua": b"", "lib/core.lua": b"core\n" * 999}
    common |= {"models/same.bin": generator.randbytes(300_000)}
    moved, removed = generator.randbytes(70_000), generator.randbytes(5_000)
    write_files(old, common | {"version.txt": b"1", "config/settings.json": b"{}", "plugins": b"a file", "lib/a.lua": moved})
    write_files(old, {"docs/removed.txt": removed, "docs/same.txt": b"same", "models/large.bin": generator.randbytes(3 * MIB)})
    write_files(new, common | {"version.txt": b"2", "config/settings.json": b'{"a":1}', "plugins/one.lua": b"a folder"})
    write_files(new, {"lib/moved/a.lua": moved, "docs/added.txt": b"added" * 999, "docs/copy.txt": b"added" * 999})
    write_files(new, {"docs/same.txt": b"same", "models/large.bin": generator.randbytes(3 * MIB)})
    for file in (old / "bin/run.sh", new / "bin/run.sh", new / "bin/tool"):
        file.chmod(0o755)


def read_tree(tree):
    files = (path for path in sorted(tree.rglob("*")) if path.is_file())
    return {str(path.relative_to(tree)): (path.read_bytes(), bool(path.stat().st_mode & 0o100)) for path in files}


def write_files(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def check_files(folder, files, where):
    for path, content in files.items():
        if not (folder / path).is_file():
            raise Wrong(f"the user's {path} is not in {where} any more")
        if (folder / path).read_bytes() != content:
            raise Wrong(f"the user's {path} in {where} has other bytes")


def check_anywhere(root, files):
    for path, content in files.items():
        places = [*root.glob(f"releases/*/{path}"), *root.glob(f".lockstep/kept/*/{path}")]
        if not any(place.is_file() and place.read_bytes() == content for place in places):
            raise Wrong(f"the user's {path} is nowhere any more")


def snapshot(root):
    """All names below a folder with kind, mode and content."""
    found = {}
    current = root / "current.txt"
    # The next session forgets what was taken over from the release that is active.
    forgotten = f".lockstep/carried/{current.read_text()}.json" if current.exists() else None
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            key = str(path.relative_to(root))
            status = path.lstat()
            if key in NOTES or key == forgotten:
                continue
            if path.is_symlink():
                found[key] = f"link to {path.readlink()}"
            elif path.is_dir():
                found[key] = f"folder {status.st_mode & 0o777:o}"
            else:
                content = path.read_bytes()
                if name == "manifest.json":  # says when it was made
                    content = re.sub(rb'"created_at": "[^"]*"', b"", content)
                if key.startswith(".lockstep/carried/"):  # names each file by its inode and its times
                    content = b" ".join(sorted(re.findall(rb'"([^"]*)": *{', content)))
                found[key] = f"file {status.st_mode & 0o777:o} {hashlib.sha256(content).hexdigest()[:16]}"
    return found


def check_same(root, expected, spare=()):
    """The same tree as after a run that nobody disturbed. `spare` are the user's files of which one more copy may have been
    kept, since they could not be compared."""
    found = snapshot(root)
    for key in [key for key in found if key.startswith(".lockstep/kept") and key not in expected]:
        if found[key].startswith("folder") or key.split("/", 3)[-1] in spare:
            del found[key]
    wrong = [f"{key}: {found.get(key, 'absent')}, undisturbed {expected.get(key, 'absent')}" for key in sorted({*found, *expected}) if found.get(key) != expected.get(key)]
    if wrong:
        raise Wrong(f"after running again the tree differs in {len(wrong)} places: {'; '.join(wrong[:3])}")


def check_message(done, root, kind=None):
    """A failure says what failed and where, in words, and of which kind it is."""
    text = done.out + done.err
    if "panicked" in text or "RUST_BACKTRACE" in text:
        raise Wrong(f"it panicked: {text.strip()[:400]}")
    if done.code == 0:
        return
    if done.code < 0 or done.code > 4:
        raise Wrong(f"it ended with {done.code}: {text.strip()[:300]}")
    try:
        error = json.loads(done.out)["error"]
        said = " ".join([error["message"], *error["causes"]])
        if kind and error["kind"] != kind:
            raise Wrong(f"its kind is {error['kind']}, not {kind}: {said[:300]}")
    except (ValueError, KeyError):
        said = text
    if not said.strip() or not re.search(r"[/\"]|http:|manifest|release|current\.txt|history|lock|threads", said):
        raise Wrong(f"the message names nothing: {text.strip()[:300]!r}")


def copy(source, target):
    """As `cp -a`: hard links stay links."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target
