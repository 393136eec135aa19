"""A vendor's apt repository: packages made here, signed with a key made here, served on this machine's loopback.

Hosts that are online share this machine's network, so they reach it. Nothing but dpkg-deb and gpg takes part.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SUITE = "stable"


class Key:
    """An OpenPGP key of its own, in a keyring below ``folder``."""

    def __init__(self, folder: Path, name: str) -> None:
        self._home = folder / f"gnupg-{name}"
        self._home.mkdir(mode=0o700)
        self.gpg("--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")

    @property
    def public(self) -> str:
        return self.gpg("--armor", "--export").decode()

    @property
    def binary(self) -> bytes:
        return self.gpg("--export")

    @property
    def private(self) -> str:
        return self.gpg("--armor", "--export-secret-keys").decode()

    def clearsigned(self, text: str) -> bytes:
        return self.gpg("--clearsign", input=text.encode())

    def gpg(self, *arguments: str, input: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--quiet", "--passphrase", "", *arguments]
        return subprocess.run(command, input=input, capture_output=True, check=True, timeout=60).stdout

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=False, timeout=60)


class Vendor:
    """As a context: served until it ends. ``url`` is where, and ``other_url`` the same by another name."""

    def __init__(self, folder: Path, *, label: str = "Vendor") -> None:
        self._root = folder / "www"
        self._building = folder / "building"
        self._label = label
        self.key = Key(folder, "vendor")
        self._packages: dict[str, str] = {}
        (self._root / "pool").mkdir(parents=True)
        handler = partial(_Quiet, directory=str(self._root))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.other_url = f"http://localhost:{self._server.server_port}"

    def add(
        self,
        name: str,
        version: str,
        *,
        files: Mapping[str, str] | None = None,
        scripts: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """A package with these files (its version below ``/usr/share/doc`` by default), maintainer scripts
        (``postinst``, or ``conffiles``) and further control fields."""
        root = self._building / f"{name}_{version}"
        control = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "A Test <t@example.org>"}
        control |= {**(fields or {}), "Description": f"{name} for tests"}
        for path, text in {f"usr/share/doc/{name}/version": version, **(files or {})}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        (root / "DEBIAN").mkdir()
        stanza = "".join(f"{field}: {value}\n" for field, value in control.items())
        (root / "DEBIAN/control").write_text(stanza)
        for script, text in (scripts or {}).items():
            (root / "DEBIAN" / script).write_text(text)
            (root / "DEBIAN" / script).chmod(0o644 if script == "conffiles" else 0o755)
        file = self._root / "pool" / f"{name}_{version}_all.deb"
        build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(file)]
        subprocess.run(build, capture_output=True, check=True, timeout=60)
        data = file.read_bytes()
        where = f"Filename: pool/{file.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        self._packages[f"{name} {version}"] = stanza + where

    def versions(self, name: str) -> list[str]:
        return [key.split()[1] for key in self._packages if key.split()[0] == name]

    def withdraw(self, name: str, version: str) -> None:
        del self._packages[f"{name} {version}"]

    def publish(self, *, signed_by: Key | None = None) -> None:
        """What was added and not withdrawn, from now on."""
        suite = self._root / "dists" / SUITE
        index = "\n".join(self._packages.values()).encode()
        (suite / "main/binary-all").mkdir(parents=True, exist_ok=True)
        sums = []
        for architecture in ("all", "amd64"):
            packages = suite / f"main/binary-{architecture}/Packages"
            packages.parent.mkdir(exist_ok=True)
            packages.write_bytes(index if architecture == "all" else b"")
            content = packages.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            sums.append(f" {digest} {len(content)} {packages.relative_to(suite)}")
        fields = {
            "Origin": self._label,
            "Label": self._label,
            "Suite": SUITE,
            "Codename": SUITE,
            "Date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC"),
            "Architectures": "all amd64",
            "Components": "main",
        }
        release = "".join(f"{field}: {value}\n" for field, value in fields.items())
        release += "SHA256:\n" + "\n".join(sums) + "\n"
        (suite / "InRelease").write_bytes((signed_by or self.key).clearsigned(release))

    def repository(self, **other: Any) -> dict[str, Any]:
        """How an inventory names it."""
        return {"url": self.url, "suites": [SUITE], "components": ["main"], "key": self.key.public, **other}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.key.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass
