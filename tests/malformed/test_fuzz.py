"""Whatever stands in a file that people or strangers write: complaints, and never a traceback or a hang.

100,000 cases run with ``--long``, in pieces; a few hundred of them always. A case is known by its subject and number.
"""

from __future__ import annotations

import dataclasses
import json
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent.cli.commands.status import row
from agent.domain.pins import SecretPin
from agent.domain.request import REQUEST_NAMESPACE, Request, request_path
from agent.domain.request import encode as encode_request
from agent.domain.status import NAMESPACE, RawDocument, encode, report_path
from agent.domain.tree import EditedTree
from agent.errors import HostwrightError, InventoryError
from agent.fleet.reader import judge
from agent.fleet.render import readme
from agent.fleet.requests import judge_request
from agent.host.identity import Identity, PublicIdentity, decryption_key
from agent.inventory.complaint import Complaints
from agent.inventory.lint.check_alone import complain_of_people, hints
from agent.inventory.load import read
from agent.inventory.lock import lock_text, read_lock, stale
from agent.inventory.secrets import plain_yaml
from agent.inventory.source import open_source
from agent.inventory.tools import read_tools
from agent.system import age, allowed_signers, sops, sshsig, yaml
from agent.system.document import plain
from agent.system.folder import FolderTree
from agent.system.yaml_words import YamlProblem
from tests.fleet import hostile
from tests.fleet.samples import NOW, report
from tests.malformed.mutation import mutated
from tests.malformed.story import FOLDER, GoodRepository, Story

SAMPLES = {file.path: file.text.encode() for file in Story.read(FOLDER / "samples.txt").files}
NAME = "prod"
AT = f"inventories/{NAME}"
HANG_S = 20
"""CPU seconds of one case; most take some milliseconds."""

Case = Callable[[random.Random], None]


class Hang(BaseException):
    """Not an Exception, so that nothing takes it for an answer."""


@contextmanager
def no_hang() -> Iterator[None]:
    def ended(*_: object) -> None:
        raise Hang

    former = signal.signal(signal.SIGPROF, ended)
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)


class Subjects:
    """One method a subject: takes a chance, and fails where anything but a complaint comes out."""

    def __init__(self, folder: Path) -> None:
        GoodRepository(folder / "repo")
        self.tree = FolderTree(folder / "repo")
        self.good = {path: self.tree.read(path) for path in self.tree.paths()}
        self.others = (*self.good.values(), *SAMPLES.values())
        self.identity = Identity.ensure(folder / "identity", "web1")
        self.request = request(folder / "identity", self.identity)
        self.keys = age.x25519([SAMPLES["age.key"].decode().strip()])
        self.age = age.encrypt(b"value", [age.recipient_of(SAMPLES["age.key"].decode().strip())])

    def inventory(self, chance: random.Random) -> None:
        """A file of the repository, or another one of the same name: all that `check` reads of it, for every host."""
        path = chance.choice((*self.good, f"{AT}/hosts.ini", f"{AT}/group_vars/db.sops.yaml"))
        begins = {f"{AT}/hosts.ini": SAMPLES["hosts.ini"], f"{AT}/group_vars/db.sops.yaml": SAMPLES["sops.yaml"]}
        files: dict[str, bytes | None] = {path: mutated({**self.good, **begins}[path], chance, self.others)}
        if path.endswith("hosts.ini"):
            files[f"{AT}/hosts.yaml"] = None
        tree = EditedTree(self.tree, files)
        environment, complaints = read(tree, NAME)
        for _ in environment.each(complaints):
            pass
        complain_of_people(open_source(tree, NAME), environment.inventory.hosts, complaints)
        told = [*complaints.sorted, *environment.audit(), *hints(tree)]
        assert all(complaint.position.file and complaint.remedy for complaint in told)
        assert all("Traceback" not in str(complaint) for complaint in told)

    def yaml(self, chance: random.Random) -> None:
        text = mutated(
            chance.choice([self.good[path] for path in self.good if path.endswith(".yaml")]), chance, self.others
        )
        problems: tuple[YamlProblem, ...] = ()
        try:
            node = yaml.load(text, "a.yaml", core=chance.random() < 0.2)
            plain(node) if node is not None else None
        except yaml.YamlError as error:
            problems = error.problems
        assert all(found.problem and found.remedy for found in problems)

    def lock(self, chance: random.Random) -> None:
        path = chance.choice((f"{AT}/lock.yaml", f"{AT}/lock.yaml", f"{AT}/tools.yaml"))
        tree = EditedTree(self.tree, {path: mutated(self.good[path], chance, self.others)})
        source, complaints = open_source(tree, NAME), Complaints()
        lock, tools = read_lock(source, complaints), read_tools(source, complaints)
        list(stale(lock, tools, frozenset(), None))
        if not complaints:
            lock_text(lock)
            lock.pins(tools)
        assert all(pin.sha256 for pin in lock.secrets.values() if isinstance(pin, SecretPin))

    def secrets(self, chance: random.Random) -> None:
        form = chance.choice(("age", "armour", "sops.yaml", "sops.json", "sops.env", "line"))
        if form == "line":
            return self._lines(chance)
        begins = {"armour": self.age, "age": age.unarmoured(self.age)}.get(form) or SAMPLES[form]
        content = mutated(begins, chance, self.others)
        if form.startswith("sops"):
            with suppress(sops.SopsError, age.AgeError, InventoryError):
                file = sops.read(content, form, lambda content: plain_yaml(content, form))
                file.opened(file.data_key(lambda wrapped: age.decrypt(wrapped, self.keys)))
            return None
        age.unarmoured(content)
        try:
            opened = age.decrypt(content, self.keys)
        except age.AgeError:
            return None
        assert opened == b"value"
        return None

    def _lines(self, chance: random.Random) -> None:
        """Lines of people and hosts."""
        path = chance.choice([f"{AT}/admins", f"{AT}/identities/web1.pub", f"{AT}/trusted_signers"])
        content = mutated(self.good[path], chance, self.others)
        list(allowed_signers.mistakes(content))
        allowed_signers.parse(content)
        for parse in (lambda: PublicIdentity.parse(content, path), lambda: age.keys_of(content)):
            with suppress(HostwrightError, age.AgeError):
                parse()
        for line in content.decode(errors="replace").splitlines():
            with suppress(age.AgeError):
                age.recipient(line)

    def reports(self, chance: random.Random) -> None:
        """What whoever may push puts on the status branch, in bytes or value by value, signed or not."""
        told = hostile.report(chance.randrange(300)) if chance.random() < 0.3 else report()
        document = encode(dataclasses.replace(told, host="web1"))
        document = self._altered(document, chance)
        signature = sshsig.sign(self.identity.private_key, document, NAMESPACE) if chance.random() < 0.8 else b"x"
        line = {"web1": self.identity.public_line}
        path = report_path("web1") if chance.random() < 0.9 else chance.choice(("hosts/x", "hosts/00/\x1b.json"))
        status = judge(RawDocument(path, document, signature), line, {})
        assert all(cell.isprintable() for cell in row(status, NOW))
        assert readme([status], inventory="prod", as_of=NOW).decode().count("\n| ") == 2

    def requests(self, chance: random.Random) -> None:
        document = self._altered(encode_request(self.request), chance)
        signature = sshsig.sign(self.identity.private_key, document, REQUEST_NAMESPACE)
        if chance.random() < 0.3:
            signature = mutated(signature, chance, self.others)
        judged = judge_request(RawDocument(request_path("web1"), document, signature), {})
        assert judged.request is not None or judged.why.isprintable()

    def _altered(self, document: bytes, chance: random.Random) -> bytes:
        if chance.random() < 0.5:
            return mutated(document, chance, self.others)
        told = place = json.loads(document)
        while True:
            key = chance.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
            if not (isinstance(place[key], dict | list) and place[key]):
                place[key] = chance.choice(ODD)
                return json.dumps(told).encode()
            place = place[key]


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**40,
    2**70,
    1.5,
    1e308,
    "",
    "a\n",
    "\x1b[2J",
    "x" * 5000,
    [],
    [[]],
    {},
    ["a"] * 300,
)


def request(folder: Path, identity: Identity) -> Request:
    ssh = " ".join(identity.public_line.split()[:2])
    public = age.recipient_of(decryption_key(folder))
    fingerprint = PublicIdentity.parse(f"{ssh} web1\n{public}\n".encode(), "").fingerprint
    return Request(
        host="web1", inventory=NAME, agent_version="0.1.0", at=NOW, ssh=ssh, age=public, fingerprint=fingerprint
    )


CASES: Mapping[str, int] = {
    "inventory": 20_000,
    "yaml": 25_000,
    "lock": 20_000,
    "secrets": 20_000,
    "reports": 10_000,
    "requests": 5_000,
}
PIECE = 2_500
ALWAYS = 60


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    return Subjects(tmp_path_factory.mktemp("fuzz"))


def run(subjects: Subjects, subject: str, numbers: range) -> None:
    case: Case = getattr(subjects, subject)
    for number in numbers:
        try:
            with no_hang():
                case(random.Random(f"{subject} {number}"))
        except BaseException as error:
            error.add_note(f"case {number} of {subject}")
            raise


@pytest.mark.parametrize("subject", CASES)
def test_nothing_but_complaints_comes_of_the_first_cases(subjects: Subjects, subject: str) -> None:
    run(subjects, subject, range(ALWAYS))


@pytest.mark.long
@pytest.mark.parametrize(
    ("subject", "first"), [(subject, first) for subject, count in CASES.items() for first in range(0, count, PIECE)]
)
def test_nothing_but_complaints_comes_of_a_hundred_thousand_cases(subjects: Subjects, subject: str, first: int) -> None:
    run(subjects, subject, range(first, first + PIECE))


def test_the_cases_are_a_hundred_thousand() -> None:
    assert sum(CASES.values()) == 100_000
    assert all(count % PIECE == 0 for count in CASES.values())
