"""What a Hub keeps: repositories, their commits, and the bytes of large files."""

import base64
import dataclasses
import fnmatch
import hashlib
import json
import re
from typing import Any

import yaml

INITIAL_ATTRIBUTES = b"".join(
    b"%b filter=lfs diff=lfs merge=lfs -text\n" % kind for kind in (b"*.bin", b"*.safetensors")
)
FRONT_MATTER = re.compile(rb"^---\r?\n(.*?)\r?\n---\r?\n", re.DOTALL)
NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9])?", re.ASCII)
REGULAR_BYTES_MAX = 10 * 1024 * 1024


class HubRefusal(Exception):
    """An answer that is an error: `status`, a sentence, and the Hub's own code for it."""

    def __init__(self, status: int, error: str, code: str | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.code = status, error, code


@dataclasses.dataclass(frozen=True)
class File:
    """One file of one commit. `large` ones are kept as git keeps LFS: a pointer and an object."""

    data: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        return (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{self.sha256}\nsize {len(self.data)}\n"
        ).encode()

    @property
    def oid(self) -> str:
        blob = self.pointer if self.large else self.data
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "type": "file",
            "path": path,
            "oid": self.oid,
            "size": len(self.data),
        }
        if self.large:
            pointer_size = len(self.pointer)
            entry["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": pointer_size}
        return entry


@dataclasses.dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    files: dict[str, File]


class Repository:
    """One model repository. `commits` begins with the one that the Hub makes itself."""

    def __init__(self, repo_id: str, *, private: bool) -> None:
        self.repo_id, self.private = repo_id, private
        self.objects: dict[str, bytes] = {}
        self.commits: list[Commit] = []
        self.add("initial commit", {".gitattributes": File(INITIAL_ATTRIBUTES, False)})

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def add(self, title: str, files: dict[str, File]) -> Commit:
        seed = f"{self.repo_id} {len(self.commits)} {title} {sorted(files)}".encode()
        self.commits.append(Commit(hashlib.sha1(seed).hexdigest(), title, files))
        return self.head

    def at(self, revision: str) -> Commit:
        if revision == "main":
            return self.head
        for commit in self.commits:
            if commit.oid == revision:
                return commit
        raise HubRefusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def upload_mode(self, path: str, sample: bytes, size: int) -> str:
        """Decide as the Hub does: by `.gitattributes`, by size, and whether the bytes are text."""
        for line in self.head.files[".gitattributes"].data.decode().splitlines():
            pattern, _, rest = line.partition(" ")
            if "filter=lfs" in rest and fnmatch.fnmatch(path.rpartition("/")[2], pattern):
                return "lfs"
        return "lfs" if size > REGULAR_BYTES_MAX or b"\0" in sample else "regular"

    def commit(self, lines: bytes) -> Commit:
        """Apply one NDJSON commit, whole or not at all."""
        entries = [json.loads(line) for line in lines.splitlines() if line.strip()]
        header = next((entry["value"] for entry in entries if entry["key"] == "header"), {})
        if not header.get("summary"):
            raise HubRefusal(
                400, "✖ Invalid input: expected string, received undefined\n  → at value.summary"
            )
        if header.get("parentCommit") not in (None, self.head.oid):
            raise HubRefusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(self.head.files)
        for entry in entries:
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = File(
                    base64.b64decode(value["content"], validate=True), False
                )
            elif entry["key"] == "lfsFile":
                files[value["path"]] = File(self._object(value), True)
            elif entry["key"] == "deletedFile":
                files.pop(value["path"], None)
        return self.add(header["summary"], files)

    def _object(self, value: dict[str, Any]) -> bytes:
        data = self.objects.get(value["oid"])
        if data is None or len(data) != value["size"]:
            raise HubRefusal(400, f"LFS object {value['oid']} of {value['path']} never arrived")
        return data


class Repositories:
    """Every repository of one Hub."""

    def __init__(self, namespaces: set[str]) -> None:
        self._namespaces = namespaces
        self.by_id: dict[str, Repository] = {}

    def find(self, repo_id: str) -> Repository:
        if repo_id not in self.by_id:
            raise HubRefusal(404, "Repository not found", "RepoNotFound")
        return self.by_id[repo_id]

    def create(self, owner: str, name: str, *, private: bool) -> Repository:
        repo_id = f"{owner}/{name}"
        if owner not in self._namespaces:
            raise HubRefusal(
                403,
                f'You don\'t have the rights to create a model under the namespace "{owner}"',
            )
        if not NAME.fullmatch(name):
            raise HubRefusal(400, f"Invalid repository name: {name}")
        if repo_id in self.by_id:
            raise HubRefusal(409, "You already created this model repo")
        self.by_id[repo_id] = Repository(repo_id, private=private)
        return self.by_id[repo_id]

    def delete(self, repo_id: str) -> None:
        self.find(repo_id)
        del self.by_id[repo_id]


def card_errors(content: str) -> list[str]:
    """Return what the Hub has against a model card's front matter."""
    found = FRONT_MATTER.match(content.encode())
    if found is None:
        return []
    try:
        card = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return [f"The YAML does not parse: {error}"]
    if not isinstance(card, dict):
        return ["The front matter is no mapping"]
    texts = ("license", "base_model", "library_name", "pipeline_tag", "instance_prompt")
    errors = [
        f'"{key}" must be a string' for key in texts if not isinstance(card.get(key, ""), str)
    ]
    tags = card.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        errors.append('"tags" must be an array of strings')
    return errors
