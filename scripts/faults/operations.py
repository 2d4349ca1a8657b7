"""The operations that are disturbed: how each starts, what it may leave behind, and where it must end."""

import hashlib
import json
import shutil

from .world import BESIDE, LATER, NEW, OLD, ONLY_OLD, USERS, Wrong, check_anywhere, check_same, copy, read_tree, snapshot, write_files


class Operation:
    """An operation on an installation. `prepared` is the folder before it, `expected` the tree after an undisturbed run."""

    start, end = OLD, NEW
    owned, somewhere = USERS, {}

    def __init__(self, world):
        self.world, self.name = world, type(self).__name__.lower()
        self.prepared = world.work / f"{self.name}-prepared"
        self.prepare(self.prepared)
        done = copy(self.prepared, world.work / f"{self.name}-done")
        world.must(self.command(done))
        self.check(done, ended=True)
        self.expected = snapshot(done)
        shutil.rmtree(done)

    def prepare(self, root):
        self.world.installation(root, self.start)

    def command(self, root):
        raise NotImplementedError

    def check(self, root, ended=False):
        """What must be true at every moment, and with `ended` once it said that it is done."""
        self.world.check_root(root, {self.end} if ended else {self.start, self.end}, self.owned)
        check_anywhere(root, self.somewhere)

    def finish(self, root, could_read=True):
        """Runs it again, undisturbed: it must succeed, and nothing must tell that it was disturbed."""
        self.world.must(self.command(root))
        self.check(root, ended=True)
        check_same(root, self.expected, () if could_read else {*self.owned, *self.somewhere})
        self.world.check_history(root)


class Update(Operation):
    def command(self, root):
        return self.world.update(root, NEW)


class Install(Operation):
    start, end, owned = None, OLD, {}

    def prepare(self, root):
        write_files(root, BESIDE)

    def command(self, root):
        return self.world.update(root, OLD)


class Rollback(Operation):
    start, end = NEW, OLD
    somewhere = LATER | ONLY_OLD

    def prepare(self, root):
        super().prepare(root)
        damaged = root / "releases" / f"v{OLD}" / "version.txt"  # so that it repairs its target, too
        damaged.write_bytes(b"?")

    def command(self, root):
        return self.world.at("rollback", root, OLD)


class Repair(Operation):
    end = OLD
    damage = {"version.txt": b"?", "models/large.bin": b"cut short", "bin/run.sh": None, "docs/same.txt": None}

    def prepare(self, root):
        super().prepare(root)
        release = root / "releases" / f"v{OLD}"
        for path, content in self.damage.items():
            (release / path).unlink()
            if content is not None:
                (release / path).write_bytes(content)
        write_files(release, {"docs/same.txt/note.txt": b"a folder of the user in the place of a file"})
        (release / "bin/tool").chmod(0o755)

    def command(self, root):
        return self.world.at("repair", root)

    def check(self, root, ended=False):
        check_anywhere(root, {"docs/same.txt/note.txt": b"a folder of the user in the place of a file"})
        if ended:
            return self.world.check_root(root, {OLD}, self.owned)
        if self.world.active(root) != OLD:
            raise Wrong(f"current.txt says {self.world.active(root)!r}")
        release, right = root / "releases" / f"v{OLD}", self.world.contents[OLD]
        found = read_tree(release)
        for path, (content, _) in right.items():
            now = found.get(path, (None, False))[0]
            if now != content and (path not in self.damage or now != self.damage[path] and now is not None):
                raise Wrong(f"{path} is neither as it was nor repaired")
        for path, content in USERS.items():
            if found.get(path, (None, False))[0] != content:
                raise Wrong(f"the user's {path} is lost")


class Prune(Operation):
    start = end = NEW
    owned, somewhere = USERS | LATER, ONLY_OLD

    def command(self, root):
        return self.world.at("prune", root, "--keep", "0")


class Publish(Operation):
    """On a store instead of an installation."""

    def prepare(self, root):
        self.world.must(self.world.publish(OLD, root))

    def command(self, root):
        return self.world.publish(NEW, root)

    def check(self, root, ended=False):
        folder = root / "releases/sketcher"
        for version in (OLD, NEW):
            manifest = folder / f"v{version}/manifest.json"
            if not manifest.exists():
                if version == OLD or ended:
                    raise Wrong(f"release {version} is not published")
                continue
            files = json.loads(manifest.read_bytes())["files"]
            if {file["path"] for file in files} != set(self.world.contents[version]):
                raise Wrong(f"the published manifest of {version} is another")
            for digest in {file["sha256"] for file in files}:
                blob = root / "blobs/sha256" / digest[:2] / digest
                if not blob.is_file() or hashlib.sha256(blob.read_bytes()).hexdigest() != digest:
                    raise Wrong(f"a content of {version} is missing or damaged: {digest}")

    def finish(self, root, could_read=True):
        self.world.must(self.command(root))
        self.check(root, ended=True)
        check_same(root, self.expected)


class HotSwap(Operation):
    """On a binary instead of an installation. The names of backups hold the time, so that trees are not compared."""

    binaries = {OLD: b"#!/bin/sh\necho old\n" * 5000, NEW: b"#!/bin/sh\necho new\n" * 6000}

    def prepare(self, root):
        self.candidate = self.world.work / "candidate"
        for path, version in ((root / "server", OLD), (self.candidate, NEW)):
            write_files(path.parent, {path.name: self.binaries[version]})
            path.chmod(0o755)

    def command(self, root):
        return [self.world.lockstep, "hot-swap", "--quiet", "--json", "--target", str(root / "server"), "--candidate", str(self.candidate)]

    def check(self, root, ended=False):
        found = (root / "server").read_bytes()
        if found != self.binaries[NEW] and (ended or found != self.binaries[OLD]):
            raise Wrong(f"the binary in place is neither the old one nor the new one ({len(found)} bytes)")
        if (root / "server").stat().st_mode & 0o777 != 0o755:
            raise Wrong("the binary in place has another mode")

    def finish(self, root, could_read=True):
        self.world.must(self.command(root))
        self.check(root, ended=True)
        state = root / ".lockstep-swap/server"
        left = sorted(path.name for path in state.iterdir())
        if left != ["backups", "lock"]:
            raise Wrong(f"after running again {', '.join(left)} are left")
        backups = list((state / "backups").iterdir())
        for backup in backups:
            if hashlib.sha256(backup.read_bytes()).hexdigest() != backup.name.split("-")[1]:
                raise Wrong(f"the backup {backup.name} is damaged")
        if not backups:
            raise Wrong("there is no backup")


ALL = (Update, Install, Rollback, Repair, Prune, Publish, HotSwap)
