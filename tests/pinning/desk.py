"""An administrator's desk: a config repo, a shelf of downloads and wheels, and `hostwright lock` without its words."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

from agent.errors import together
from agent.host.repositories import Repositories
from agent.inventory.load import load
from agent.inventory.lock import Lock
from agent.pinning.renew import Renewal
from agent.system.git_command import Access
from tests.inventory.samples import NAME, Repo


class Desk:
    def __init__(self, folder: Path) -> None:
        self.repo = Repo(folder / "config")
        self.repo.write_all({"hosts.yaml": "all: {hosts: {web1: }}\n", "site.yaml": "[]\n"})
        self.shelf = folder / "shelf"
        self.wheels = folder / "wheels"
        self.work = folder / "work"
        self.cache = folder / "cache"
        self.seen: list[str] = []
        """What was looked up, in order."""
        for made in (self.shelf, self.wheels, self.work):
            made.mkdir()

    def lock(self, old: Lock | None = None, names: Collection[str] = ()) -> Lock:
        self.seen.clear()
        environment = load(self.repo.tree, NAME, locked=False)
        renewal = Renewal(
            environment.tools,
            environment.addresses(),
            repositories=Repositories(self.cache, Access(None, None, timeout_s=30)),
            work=self.work,
            progress_of=self._progress_of,
            agent=environment.agent(),
        )
        new = renewal.only(old or Lock(), names) if names else renewal.everything(old or Lock())
        if renewal.failures:
            raise together(renewal.failures)
        return new

    def archive(self, name: str, files: Mapping[str, str]) -> str:
        """A ``.tar.gz`` on the shelf; its URL."""
        with tarfile.open(self.shelf / name, "w:gz") as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(text), 0o755
                archive.addfile(member, io.BytesIO(text.encode()))
        return self.url(name)

    def url(self, name: str) -> str:
        return f"file://{self.shelf / name}"

    def wheel(self, name: str, version: str, *, needs: Collection[str] = (), scripts: Collection[str] = ()) -> None:
        """A distribution for every machine, where uv finds it."""
        dist = f"{name}-{version}"
        files = {
            f"{name}.py": "def main(): pass\n",
            f"{dist}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {need}\n" for need in needs),
            f"{dist}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{dist}.dist-info/entry_points.txt": "[console_scripts]\n"
            + "".join(f"{script} = {name}:main\n" for script in scripts),
        }
        record = "".join(f"{path},,\n" for path in (*files, f"{dist}.dist-info/RECORD"))
        with zipfile.ZipFile(self.wheels / f"{dist}-py3-none-any.whl", "w") as wheel:
            for path, text in {**files, f"{dist}.dist-info/RECORD": record}.items():
                wheel.writestr(path, text)

    def _progress_of(self, what: str):
        self.seen.append(what)
        return lambda _received, _total: None
