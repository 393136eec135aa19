"""A config repo with secrets, its administrator Ann with an SSH key, and hosts with the keys that they make."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest

from agent.domain.desired import DesiredState
from agent.engine.client import Engine
from agent.host.identity import Identity, decryption_key, public_lines
from agent.inventory.complaint import ComplaintsError
from agent.inventory.environment import Environment
from agent.inventory.load import load
from agent.secrets.store import OwnKeys, SecretStore
from agent.secrets.unseal import Unsealer
from agent.steps.resolve import desired_state
from agent.system import mask
from agent.system.folder import FolderTree
from tests import children

HOSTS = "all: {children: {web: {hosts: {web1: , web2: }}, db: {hosts: {db1: }}}}\n"


@dataclass(frozen=True)
class Desk:
    """``repo``: the config repo with the inventory ``lab``; ``ann``: her private key."""

    repo: Path
    ann: Path
    keys: Path

    def copy(self, folder: Path) -> Self:
        """The same desk below ``folder``."""
        there = replace(self, repo=folder / "repo", keys=folder / "keys")
        shutil.copytree(self.repo, there.repo)
        shutil.copytree(self.keys, there.keys)
        return there

    def write(self, path: str, content: str | bytes) -> None:
        """A file of the inventory, or of the repository where ``path`` begins with a slash."""
        file = self.repo / path.lstrip("/") if path.startswith("/") else self.repo / "inventories/lab" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def admit(self, *hosts: str) -> None:
        for host in hosts:
            Identity.ensure(self.keys / host, host)
            self.write(f"identities/{host}.pub", "\n".join(public_lines(self.keys / host, host)))

    @property
    def tree(self) -> FolderTree:
        return FolderTree(self.repo)

    @property
    def store(self) -> SecretStore:
        return SecretStore(self.repo, self.tree, "lab")

    def own_keys(self) -> OwnKeys:
        return OwnKeys([self.ann], None)

    def environment(self) -> Environment:
        return load(self.tree, "lab")

    def state(self, host: str = "web1") -> DesiredState:
        return desired_state(self.environment(), self.tree, host=host, commit="0" * 40)

    def complaint(self, host: str = "web1") -> str:
        with pytest.raises(ComplaintsError) as caught:
            self.state(host)
        return caught.value.message

    def unsealer(self, host: str = "web1", *, admitted: bool = True) -> Unsealer:
        Identity.ensure(self.keys / host, host)
        return Unsealer(lambda: decryption_key(self.keys / host), lambda _: admitted, self.keys, self.credentials)

    @property
    def credentials(self) -> Path:
        folder = self.repo.with_name("credentials")
        folder.mkdir(exist_ok=True)
        return folder

    def engine(self, work: Path, host: str = "web1") -> Engine:
        return children.engine(work=work, timeout_s=60, unseal=self.unsealer(host))

    def values(self, host: str = "web1") -> dict[str, Any]:
        """What the deploys of ``host`` get, secrets put in: arguments or data by name of the deploy."""
        unseal = self.unsealer(host)
        return {each.name: unseal(each.arguments or each.data, self.repo) for each in self.state(host).deploys}

    def text(self, path: str, host: str = "web1") -> str:
        """The content that ``files`` writes to ``path``."""
        items = self.values(host)["files"]["items"]
        return next(item["text"] for item in items if item["path"] == path)


@pytest.fixture(scope="session")
def ann(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ann") / "id_ed25519"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ann@example.org", "-f", f"{path}"]
    subprocess.run(argv, check=True, timeout=20)
    return path


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory, ann: Path) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    made = Desk(folder / "repo", ann, folder / "keys")
    made.write("hosts.yaml", HOSTS)
    made.write("site.yaml", "[]\n")
    made.write("admins", ann.with_suffix(".pub").read_bytes())
    made.admit("web1", "web2", "db1")
    return made


@pytest.fixture
def desk(furnished: Desk, tmp_path: Path) -> Desk:
    return furnished.copy(tmp_path)


@pytest.fixture(autouse=True)
def nothing_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test masks, the next one may say."""
    monkeypatch.setattr(mask, "_values", set())
    monkeypatch.setattr(mask, "_ordered", [])
