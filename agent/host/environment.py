"""A program that builds an environment of the agent below /opt/hostwright/versions, and keeps the sources of it.

It runs where no agent is installed yet (bootstrap.sh), where the agent's Python is gone (rescue.sh) and as a child of
the cycle that tries another version. So it imports nothing but the standard library:

    python3 -I environment.py SOURCE SOURCES [later]

SOURCE holds the agent: a clone, a wheel, a lock with the agent in it, or the copy that an earlier build kept of one of
these. SOURCES is a file with the lines ``index``, ``wheelhouse``, ``proxy`` and ``ca``, which say where packages come
from; other lines are for rescue.sh. ``later`` leaves compiling (bytecode.py) to the caller. The last line on stdout is
``built NAME``, ``found NAME``, or the failure. Exit codes: 0, 3 (this machine), 4 (packages).
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import sysconfig
import urllib.request
import venv
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from http.client import HTTPException
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from urllib.parse import urljoin

OPT = Path("/opt/hostwright")
CERTIFICATES = Path("/etc/hostwright/ca.pem")
"""The copy that `hostwright setup` makes of the file named by ``--ca``."""
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""The certificates of the machine, which include a company's own. Those that uv and pip bring do not."""

NEEDED_BYTES = 256 * 1000 * 1000  # an environment takes 110 MB; while it is built, the downloads lie beside it

CODE = ("agent", "pyproject.toml", "requirements.txt")
"""The part of a clone that an environment is made of."""
KEPT = (*CODE, "README.md", "LICENSE", "bootstrap.sh")
"""The part of a clone that is kept, to build an environment again."""

UV_MAX_BYTES, UV_WAIT_S = 200 * 1000 * 1000, 20.0

PIP_SETTINGS = ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
PIP_FILES = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")
"""The variables and files that configure pip. If there is one, uv is left to pip, which obeys them."""

MACHINE, PACKAGES = 3, 4


class BuildError(Exception):
    """The environment cannot be built. The message is ``what: why``; ``code`` is the exit code."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what)
        self.code = code


@dataclass(frozen=True, slots=True)
class AgentSource:
    """An agent to install. ``package``: its folder or wheel; None if the lock names it. ``digest``: over all of it."""

    name: str
    lock: bytes
    digest: str
    package: Path | None = None


def find_agent(source: Path) -> AgentSource:
    """The agent in ``source``. Raises BuildError, OSError."""
    if (source / "agent").is_dir():
        return _of_folder(source)
    wheel = next(source.glob("hostwright-*.whl"), source)
    if wheel.suffix == ".whl":
        version = wheel.name.split("-")[1]
        with zipfile.ZipFile(wheel) as packed:
            lock = packed.read(f"hostwright-{version}.dist-info/extra_metadata/requirements.txt")
        return AgentSource(version, lock, _sha256(wheel.read_bytes()), wheel)
    lock = (source / "requirements.txt" if source.is_dir() else source).read_bytes()
    named = re.search(rb"^hostwright==([0-9][0-9A-Za-z.+!]*)", lock, re.MULTILINE)
    if named is None:
        raise BuildError(
            f"{source} names no version of the agent: lock it in the config repo with `hostwright lock`", PACKAGES
        )
    digest = _sha256(lock)
    return AgentSource(f"{named[1].decode()}-{digest[:8]}", lock, digest)


def _of_folder(folder: Path) -> AgentSource:
    named = re.search(r'^__version__ = "([0-9][0-9A-Za-z.+]*)"$', (folder / "agent/__init__.py").read_text(), re.M)
    if named is None:
        raise BuildError(f"{folder}/agent/__init__.py names no version: get a fresh clone", PACKAGES)
    lock = folder / "requirements.txt"
    if not lock.is_file() or not lock.stat().st_size:
        raise BuildError(f"{lock} is missing or empty: get a fresh clone", PACKAGES)
    paths = sorted(path for name in CODE for path in (folder / name, *(folder / name).rglob("*")) if path.is_file())
    lines = [f"{_sha256(path.read_bytes())} {path.relative_to(folder)}" for path in paths if path.suffix != ".pyc"]
    return AgentSource(named[1], lock.read_bytes(), _sha256("\n".join(lines).encode()), folder)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ensure_environment(agent: AgentSource, sources: Mapping[str, str]) -> bool:
    """Build the environment of ``agent``. Return False if it is there already. Raises BuildError, OSError.

    An environment cannot be moved, so it is built in its place. Its mark is written last: without it, the build was cut
    off. An older one with other content is moved to ``<name>.old``: the caller removes it, or puts it back.
    """
    environment = OPT / "versions" / agent.name
    mark, old = environment / ".complete", environment.with_name(f"{agent.name}.old")
    if mark.is_file() and mark.read_text().strip() == agent.digest and _starts(environment):
        print(f"agent {agent.name} is already in {environment}", file=sys.stderr)
        return False
    print(f"installing agent {agent.name} in {environment}", file=sys.stderr)
    for folder in filter(os.path.isdir, ("/opt", "/usr", "/var")):
        if shutil.disk_usage(folder).free < NEEDED_BYTES:
            needed = f"it needs {NEEDED_BYTES // 10**6} MB, free some and run this again"
            raise BuildError(f"the disk of {folder} is almost full: {needed}", MACHINE)
    if mark.is_file():
        shutil.rmtree(old, ignore_errors=True)
        environment.rename(old)
    try:
        shutil.rmtree(environment, ignore_errors=True)
        _build(agent, environment, sources)
        mark.write_text(f"{agent.digest}\n")
    except BaseException:
        _take_back(environment)
        raise
    return True


def _take_back(environment: Path) -> None:
    """Remove the new environment, and put back the one that it replaced, if any."""
    old = environment.with_name(f"{environment.name}.old")
    shutil.rmtree(environment, ignore_errors=True)
    if old.is_dir():
        old.rename(environment)


def _starts(environment: Path) -> bool:
    with suppress(OSError):
        return not subprocess.run([f"{environment}/bin/hostwright", "--version"], capture_output=True).returncode  # noqa: PLW1510
    return False


def _build(agent: AgentSource, environment: Path, sources: Mapping[str, str]) -> None:
    # The cache is on the file system of the environment, so that uv links files instead of copying them.
    work, python = environment / ".cache", f"{environment}/bin/python"
    environ = _environ(sources) | {"UV_CACHE_DIR": f"{work}", "UV_NO_PROGRESS": "1"}
    venv.EnvBuilder(symlinks=True).create(environment)
    work.mkdir(mode=0o700)  # uv makes locks there that all may write to
    lock, uv_lock = work / "requirements.txt", work / "uv.txt"
    engine = rb"(?m)^gordon-to-regorus==(?:.*\\\n)*.*\n"  # the interpreter of policies; its wheels need glibc 2.34
    runs = re.match(r"glibc2\.(3[4-9]|[4-9]\d|\d{3})", "".join(platform.libc_ver()))
    lock.write_bytes(agent.lock if runs else re.sub(engine, b"", agent.lock))
    uv_lock.write_bytes(b"".join(re.findall(rb"^uv==(?:.*\\\n)*.*\n", agent.lock, re.MULTILINE)))
    where = ["--no-index", "--find-links", sources["wheelhouse"]] if sources.get("wheelhouse") else []
    locked = [*where, "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r"]
    install = ["pip", "install", "--python", python, "--no-config"]
    if wheel := _fetch_uv(uv_lock.read_text(), sources, environ, work):
        _call([f"{work}/uv", *install, "--no-deps", "--no-index", f"{wheel}"], environ, "uv does not run", MACHINE)
    else:
        # An environment without pip is made in a twentieth of a second, one with pip takes two and a half.
        pip = [python, "-I", f"{_pip()}", "install", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
        _call([*pip, "--no-compile", *locked, f"{uv_lock}"], environ, "uv cannot be installed", PACKAGES)
    uv = [f"{environment}/bin/uv", *install]
    _call([*uv, *locked, f"{lock}"], environ, "the agent's dependencies cannot be installed", PACKAGES)
    if agent.package is not None:
        package = [*where, "--no-deps", "--no-build-isolation", f"{agent.package}"]
        _call([*uv, *package], environ, "the agent cannot be installed", MACHINE)
    _call([python, "-I", "-c", "import agent.cli.main, agent.daemon"], environ, "the agent does not start", MACHINE)
    shutil.rmtree(work)
    for folder, _, names in os.walk(environment):
        for path in (folder, *(f"{folder}/{name}" for name in names)):
            mode = os.lstat(path).st_mode
            if mode & 0o022 and not stat.S_ISLNK(mode):  # uv makes its lock writable to all
                Path(path).chmod(mode & 0o7755)
    os.sync()


def _call(argv: Sequence[str], environ: Mapping[str, str], what: str, code: int) -> None:
    done = subprocess.run(argv, check=False, env=environ, text=True, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    said = re.sub(r"(\w://)[^/\s]*@", r"\1***@", done.stdout)
    print(f"$ {' '.join(argv)}\n{said}", flush=True)
    if done.returncode:
        last = said.rstrip().rpartition("\n")[2]
        raise BuildError(f"{what}: {last or f'exit status {done.returncode}'}", code)


def _environ(sources: Mapping[str, str]) -> dict[str, str]:
    """The environment of pip and uv, with the index, the proxy and the certificates that ``sources`` names."""
    environ = dict(os.environ)
    if sources.get("index"):  # not an argument: it may hold a password
        environ |= dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), sources["index"])
    if sources.get("proxy"):
        environ |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), sources["proxy"])
    named = [path for path in (sources.get("ca"), f"{CERTIFICATES}") if path and Path(path).is_file()]
    trusted = {"SSL_CERT_FILE": named[0], "PIP_CERT": named[0]} if named else {}
    bundle = next((path for path in BUNDLES if Path(path).is_file()), None)
    return (dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT"), bundle) if bundle else {}) | environ | trusted


def _fetch_uv(lock: str, sources: Mapping[str, str], environ: Mapping[str, str], folder: Path) -> Path | None:
    """Put the wheel of uv and its program into ``folder``. Return the wheel; None if uv has to be left to pip."""
    try:
        for url in _links_to_uv(lock.split(maxsplit=1)[0].replace("==", "-"), sources, environ):
            content = _read(url, environ)
            wheel, program = folder / url.rpartition("/")[2], folder / "uv"
            if f"sha256:{_sha256(content)}" in lock:
                wheel.write_bytes(content)
                with zipfile.ZipFile(wheel) as packed:
                    (inside,) = (name for name in packed.namelist() if name.endswith("/scripts/uv"))
                    program.write_bytes(packed.read(inside))
                program.chmod(0o755)
                if subprocess.run([program, "--version"], check=False, capture_output=True).returncode == 0:
                    return wheel
    except (OSError, ValueError, LookupError, HTTPException, zipfile.BadZipFile, BuildError) as error:
        print(f"uv is left to pip: {error}")
    return None


def _links_to_uv(name: str, sources: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    """The URLs of wheels of uv for this machine, those for its C library first. ``name``: ``uv-<version>``. Empty
    where uv is left to pip. Raises as ``_default_index`` and ``_read``."""
    if sources.get("wheelhouse"):
        found = [path.as_uri() for path in Path(sources["wheelhouse"]).iterdir()]
    elif any(map(environ.get, PIP_SETTINGS)) or any(Path(path).expanduser().exists() for path in PIP_FILES):
        return []
    else:
        index = sources.get("index") or environ.get("PIP_INDEX_URL") or _default_index()
        page = f"{index.rstrip('/')}/uv/"
        hrefs = re.findall(r"""href=["']([^"'#]+)""", _read(page, environ).decode())
        found = [urljoin(page, unescape(href)) for href in hrefs]
    wheel = re.compile(rf"/{re.escape(name)}-[^/]*linux[^/]*_{platform.machine()}[^/]*\.whl$")
    libc = "musllinux" if "musl" in str(sysconfig.get_config_var("HOST_GNU_TYPE")) else "manylinux"
    return sorted(filter(wheel.search, found), key=lambda url: libc not in url)


def _default_index() -> str:
    """The index that pip asks when nobody names one. Raises BuildError, OSError, LookupError, ValueError."""
    with zipfile.ZipFile(_pip().parent) as packed:
        (named,) = re.findall(rb'\nPyPI = PackageIndex\(\s*"([^"]+)"', packed.read("pip/_internal/models/index.py"))
    return f"{named.decode()}simple"


def _read(url: str, environ: Mapping[str, str]) -> bytes:
    """The content at ``url``, by the proxy and the certificates in ``environ``. Raises OSError, HTTPException."""
    proxies = {scheme: environ[name] for scheme in ("http", "https") if environ.get(name := f"{scheme}_proxy")}
    trusted = ssl.create_default_context(cafile=environ.get("PIP_CERT") or environ.get("SSL_CERT_FILE"))
    handlers = (urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=trusted))
    with urllib.request.build_opener(*handlers).open(url, timeout=UV_WAIT_S) as answer:
        return bytes(answer.read(UV_MAX_BYTES))


def _pip() -> Path:
    """The path of pip in the wheel that Python has for new environments. Raises BuildError without one."""
    folders = (sysconfig.get_config_var("WHEEL_PKG_DIR"), Path(os.__file__).parent / "ensurepip/_bundled")
    for wheel in (wheel for folder in folders if folder for wheel in Path(folder).glob("pip-*.whl")):
        return wheel / "pip"
    raise BuildError("this Python carries no pip: install your distribution's package of Python's venv", MACHINE)


def keep_source(agent: AgentSource, sources: Mapping[str, str]) -> None:
    """Keep the sources of ``agent``, so that another Python can build it again. They are root's alone: the URL of the
    index may hold a password. Raises OSError.
    """
    kept = OPT / "rescue" / agent.name
    new = kept.with_name(f"{kept.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new.mkdir(mode=0o700)
    if agent.package is None:
        (new / "requirements.txt").write_bytes(agent.lock)
        for script in (OPT / "versions" / agent.name).glob("lib/python3*/site-packages/hostwright-*/*/bootstrap.sh"):
            shutil.copy(script, new)  # version 0.1.0 expects it there
    elif agent.package.is_file():
        shutil.copy(agent.package, new)
    else:
        for path in (agent.package / name for name in KEPT):
            if path.is_dir():
                shutil.copytree(path, new / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif path.exists():
                shutil.copy(path, new)
    (new / "sources").write_text(_text(sources))
    shutil.rmtree(kept, ignore_errors=True)
    new.rename(kept)


def _text(sources: Mapping[str, str]) -> str:
    kept = {**sources, "ca": f"{CERTIFICATES}" if sources.get("ca") else ""}  # the file of --ca may be gone later
    return "".join(f"{key} {value}\n" for key, value in kept.items())


def compile_all(environment: Path) -> None:
    """Compile what the agent imports, on all processors."""
    argv = [f"{environment}/bin/python", "-I", "-m", "agent.host.bytecode", "0"]
    subprocess.run(argv, check=False, capture_output=True)
    os.sync()


def main(source: Path, sources_file: Path, *, later: bool = False) -> int:
    """Build the environment, keep its sources, and print the result. Return the exit code."""
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        lines = (line.partition(" ") for line in sources_file.read_text().splitlines())
        sources = {key: value for key, _, value in lines}
        agent = find_agent(source)
        built = ensure_environment(agent, sources)
        kept = OPT / "rescue" / agent.name / "sources"
        if source != kept.parent and (built or not kept.is_file() or kept.read_text() != _text(sources)):
            try:
                keep_source(agent, sources)
            except BaseException:
                if built:
                    _take_back(OPT / "versions" / agent.name)
                raise
        if built and not later:
            compile_all(OPT / "versions" / agent.name)
    except BuildError as error:
        print(error)
        return error.code
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        print(f"{source} cannot be installed: {error}")
        return MACHINE
    print(f"{'built' if built else 'found'} {agent.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), later="later" in sys.argv[3:]))
