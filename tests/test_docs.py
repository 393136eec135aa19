"""The documentation says what the program does: tables, names, examples, links and transcripts are held here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent.cli.main import cli
from agent.cli.table import load_command
from agent.deploys.kind import NAMES
from agent.deploys.spec import kinds
from agent.deploys.written import descriptions
from agent.domain.event import EventKind
from agent.domain.host_phase import HostPhase
from agent.domain.ownership import Standing
from agent.domain.pins import RepositoryPin
from agent.domain.plan import HoldKind
from agent.domain.removal import Fate
from agent.domain.status import ReportVerdict
from agent.errors import EXIT_PRECEDENCE, Exit
from agent.host.settings import Settings, parse
from agent.inventory import fleet, tools
from agent.inventory.environment import Environment
from agent.inventory.fleet import Fleet
from agent.inventory.load import load
from agent.inventory.lock import lock_text
from agent.problems import ProblemKind
from agent.steps.plan_removals import ALLOW, TRAILER
from agent.steps.resolve import desired_state
from agent.system import age
from agent.system.folder import FolderTree
from tests.deploys.packages.vendor import Key
from tests.docs.tables import MODELS, PAGES, TABLES, refreshed
from tests.inventory.samples import checked

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
CONFIGURATION = DOCS / "configuration.md"
OPERATIONS = DOCS / "operations.md"
READ = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

TIMEOUT_S = 60

OF_THE_EXAMPLES = {
    "files/logo.png": "no picture",
    "files/conf.d/10-app.conf": "a = 1\n",
    "files/cleanup.service": "[Service]\nExecStart=/bin/true\n",
    "dotfiles/common/.bashrc": "# empty\n",
    "dotfiles/desktop/.inputrc": "# empty\n",
    "dotfiles/desktop/bin/lock-screen": "#!/bin/sh\n",
    "dotfiles/tmux/dot-tmux.conf": "# empty\n",
    "dotfiles/zsh/dot_zshrc": "# empty\n",
    "dotfiles/zsh/run_once_install.sh": "#!/bin/sh\n",
}
"""Files that the examples of docs/configuration.md name and do not show."""

SECRETS_OF_THE_EXAMPLES = ("web/db", "web/token")
"""Secrets that the examples of docs/secrets.md name."""

OF_OTHER_REPOSITORIES = {"web/greeting.py": "import pyinfra\n", "vim/.vimrc": "set number\n"}
"""Files of the other repositories that the examples of docs/configuration.md name."""


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands behind the fence, and its lines. ``line`` is where it begins in its page."""

    page: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    text = page.read_text()
    found = re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return tuple(Block(page.name, text[: each.start()].count("\n") + 1, each[1], each[2]) for each in found)


def marked(page: Path, info: str) -> list[Block]:
    return [block for block in blocks(page) if block.info == info]


def names_in_code(page: Path) -> set[str]:
    """What stands in backticks."""
    return set(
        re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE))
    )


# --- Tables and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_tables_are_what_the_code_says(page: Path) -> None:
    assert page.read_text() == refreshed(page.read_text()), "write them anew: python -m tests.docs"


def test_every_table_stands_in_the_docs() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    assert [name for name in TABLES if f"<!-- table: {name} -->" not in pages] == []


@pytest.mark.parametrize("name", sorted(name for name, command in cli.commands.items() if not command.hidden))
def test_every_command_and_option_has_help_and_stands_in_the_docs(name: str) -> None:
    text = OPERATIONS.read_text()
    assert load_command(name).help
    assert f"`hostwright {name}`" in text
    for parameter in load_command(name).params:
        assert not parameter.opts[0].startswith("-") or (getattr(parameter, "help", "") and parameter.opts[0] in text)


def test_every_exit_code_stands_in_the_docs() -> None:
    rows = re.findall(r"^\| (\d+) \| (\S.*?) \|", OPERATIONS.read_text(), re.MULTILINE)
    assert [int(code) for code, _ in rows] == sorted(Exit)
    assert f"of {' '.join(str(int(code)) for code in EXIT_PRECEDENCE)} " in OPERATIONS.read_text()


@pytest.mark.parametrize("phase", HostPhase)
def test_every_phase_stands_in_the_docs(phase: HostPhase) -> None:
    assert re.search(rf"^\| `{phase.value}` \| \S", OPERATIONS.read_text(), re.MULTILINE)


def test_every_verdict_on_a_report_stands_in_the_docs() -> None:
    text = OPERATIONS.read_text()
    assert [verdict.value for verdict in ReportVerdict if verdict.value.removesuffix("d") not in text] == []


def test_every_kind_of_problem_stands_in_the_docs() -> None:
    assert _first_column("\n## Problems\n") == {kind.value for kind in ProblemKind}


def test_every_kind_of_hold_stands_in_the_docs() -> None:
    assert _first_column("\n### What a host waits for\n") == {kind.value for kind in HoldKind}


def test_every_kind_of_event_stands_in_the_docs() -> None:
    assert _first_column("\n### What events say\n") == {kind.value for kind in EventKind}


def _first_column(heading: str) -> set[str]:
    """The slugs in the first column of the table below ``heading`` in docs/operations.md."""
    section = OPERATIONS.read_text().partition(heading)[2].partition("\n#")[0]
    return set(re.findall(r"`([a-z-]+)`", "".join(line.split("|")[1] for line in section.splitlines() if "|" in line)))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_field_of_a_deploy_says_what_it_means(model: type[BaseModel]) -> None:
    assert descriptions(model).keys() == model.model_fields.keys()


@pytest.mark.parametrize("kind", kinds())
def test_every_built_in_has_a_section_with_an_example(kind: str) -> None:
    section = CONFIGURATION.read_text().partition(f"\n### {kind}\n")[2].partition("\n### ")[0]
    assert "```yaml site" in section
    assert f"<!-- table: {kind} -->" in section


def test_every_key_of_fleet_yaml_stands_in_the_docs() -> None:
    parts = [part for part in vars(fleet).values() if isinstance(part, type) and issubclass(part, BaseModel)]
    keys = {field.alias or name for part in parts for name, field in part.model_fields.items()}
    shown = names_in_code(CONFIGURATION)
    inner = {key.partition(".")[2] for key in shown if "." in key}
    text = CONFIGURATION.read_text()
    assert sorted(key for key in keys - shown - inner if f"{key}:" not in text) == []


def test_every_kind_of_resource_that_can_be_taken_away_stands_in_the_docs() -> None:
    assert [kind for kind in NAMES if f"{kind}:" not in names_in_code(CONFIGURATION)] == []


def test_every_fate_of_what_left_git_and_what_holds_it_stand_in_the_docs() -> None:
    section = OPERATIONS.read_text().partition("\n## Taking something away")[2].partition("\n## ")[0]
    table = re.findall(r"^\| .* \| \*\*([a-z ]+)\*\*", section, re.MULTILINE)
    assert len(table) == len(set(Fate) - {Fate.RESTORE, Fate.LEAVE}), "nothing is restored because it left Git"
    words = {standing.value for standing in Standing if standing is not Standing.OWNED}
    assert words < set(table)
    assert HoldKind.PRUNE_HELD in section
    assert f"`{TRAILER}: {ALLOW}`" in section


def test_every_setting_of_a_host_stands_in_the_docs() -> None:
    section = CONFIGURATION.read_text().partition("\n## agent.yaml")[2]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(Settings.__dataclass_fields__)


def test_every_option_of_bootstrap_stands_in_the_docs() -> None:
    told = subprocess.run(["sh", f"{ROOT}/bootstrap.sh", "--help"], capture_output=True, text=True, check=True)
    options = set(re.findall(r"^  (?:.*, )?(--[a-z-]+)", told.stdout, re.MULTILINE)) | {"--version", "--help"}
    rows = "\n".join(re.findall(r"^\| `--.*$", OPERATIONS.read_text(), re.MULTILINE))
    assert len(options) > 10
    assert sorted(option for option in options if f"`{option}" not in rows) == []


# --- Examples ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An OpenPGP public key: a text of which nobody learns anything in the docs."""
    key = Key(tmp_path_factory.mktemp("gnupg"), "shop")
    try:
        return key.public
    finally:
        key.close()


@pytest.fixture
def repo(tmp_path: Path, signing_key: str) -> Path:
    """A config repo with all files that examples of the docs name. Its site.yaml is still empty."""
    shown = {block.info.split("file=")[1]: block.text for block in blocks(CONFIGURATION) if "file=" in block.info}
    inventory = {"inventories/docs/site.yaml": "[]\n"}
    for name in ("hosts", "tools", "lock"):
        (block,) = marked(CONFIGURATION, f"yaml {name}")
        inventory[f"inventories/docs/{name}.yaml"] = block.text
    write(tmp_path / "other", OF_OTHER_REPOSITORIES)
    write(tmp_path / "repo", {**OF_THE_EXAMPLES, **shown, **inventory, "files/shop.asc": signing_key})
    return tmp_path / "repo"


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def environment_of(repo: Path) -> Environment:
    def fetched(_pin: RepositoryPin) -> FolderTree:
        return FolderTree(repo.parent / "other")

    return load(FolderTree(repo), "docs", fetched)


def check(repo: Path) -> None:
    """What ``hostwright check`` does, with the same result, where other repositories have been fetched."""
    tree = FolderTree(repo)
    environment = environment_of(repo)
    assert checked(environment) == ()
    for host in environment.inventory.hosts:
        desired_state(environment, tree, host=host, commit="0" * 40)


@pytest.mark.parametrize("block", [block for page in READ for block in marked(page, "yaml site")], ids=str)
def test_an_example_of_a_site_is_one(repo: Path, block: Block) -> None:
    (repo / "inventories/docs/site.yaml").write_text(block.text)
    for name in SECRETS_OF_THE_EXAMPLES if "secret(" in block.text else ():
        secret = repo / "inventories/docs/secrets" / f"{name}.age"
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_bytes(age.encrypt(b"a secret", [age.recipient_of(age.generate())]))
    check(repo)


@pytest.mark.parametrize("block", [block for page in READ for block in marked(page, "yaml fleet")], ids=str)
def test_an_example_of_a_fleet_is_one(repo: Path, block: Block) -> None:
    (repo / "inventories/docs/fleet.yaml").write_text(block.text)
    check(repo)
    assert load(FolderTree(repo), "docs").fleet != Fleet()


def test_the_example_of_a_lock_is_what_would_be_written_for_those_of_tools_and_sites(repo: Path) -> None:
    sites = (block.text for block in marked(CONFIGURATION, "yaml site"))
    asked = "".join(text for text in sites if "git+" in text or "tools:" in text)
    (repo / "inventories/docs/site.yaml").write_text(asked)
    environment = environment_of(repo)
    assert list(environment.stale()) == []
    assert lock_text(environment.lock) == (repo / "inventories/docs/lock.yaml").read_text()


def test_every_key_of_tools_yaml_stands_in_the_example() -> None:
    section = CONFIGURATION.read_text().partition("\n## tools.yaml")[2].partition("\n## ")[0]
    keys = {name for part in (tools.Archive, tools.Platform, tools.Python) for name in part.model_fields}
    assert sorted(key for key in keys if not re.search(rf"\b{key}\b", section)) == []


@pytest.mark.parametrize("block", marked(CONFIGURATION, "yaml agent"), ids=str)
def test_an_example_of_settings_is_one(block: Block) -> None:
    assert parse(block.text.encode(), "agent.yaml")


@pytest.mark.parametrize(
    "pattern",
    re.findall(
        r"^\| ((?:`[^`]+`(?:,? (?:or )?)?)+) \| ",
        CONFIGURATION.read_text().partition("## Patterns")[2].partition("## Variables")[0],
        re.MULTILINE,
    ),
)
def test_an_example_of_a_pattern_matches_somebody(repo: Path, pattern: str) -> None:
    inventory = load(FolderTree(repo), "docs").inventory
    for each in re.findall(r"`([^`]+)`", pattern):
        assert inventory.match(each)
        assert inventory.unknown_names(each) == ()


def test_every_yaml_example_is_of_a_kind_that_is_checked() -> None:
    known = {f"yaml {name}" for name in ("site", "hosts", "tools", "lock", "fleet", "agent")}
    unknown = [block for page in READ for block in blocks(page) if block.info.startswith("yaml")]
    assert [str(block) for block in unknown if block.info not in known and "file=" not in block.info] == []


@pytest.mark.parametrize(
    "block",
    [block for page in (DOCS / "coming-from").glob("*.md") for block in blocks(page) if "file=" in block.info],
    ids=str,
)
def test_a_file_that_a_page_shows_is_that_of_its_example(block: Block) -> None:
    assert block.text == (DOCS / "coming-from" / block.info.split("file=")[1]).read_text()


# --- Transcripts ------------------------------------------------------------------------------------------------------

TRANSCRIPTS = [page for page in READ if marked(page, "console checked")]

SIGNER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJQ5wwxnBMTjOoL6HH2zFbGzbiE1Ekz3Tn5BAGmIVWtq"
SETTINGS_OF_GIT = f"""\
[user]
	name = Ann Example
	email = ann@example.org
	signingKey = key::{SIGNER}
[gpg]
	format = ssh
"""


def steps(transcript: str) -> Iterator[tuple[str, str]]:
    """Commands and what was printed behind each."""
    command, printed = "", ""
    for line in transcript.splitlines(keepends=True):
        if not line.startswith("$ "):
            printed += line
            continue
        if command:
            yield command, printed
        command, printed = line.removeprefix("$ ").rstrip("\n"), ""
    yield command, printed


@pytest.mark.parametrize("page", TRANSCRIPTS, ids=lambda page: page.name)
def test_the_transcripts_of_a_page_are_what_is_printed_when_typed_from_its_top(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a person whose Git signs, in a clone of this repository."""
    write(tmp_path, {"gitconfig": SETTINGS_OF_GIT, "bin/hostwright": ""})
    command = tmp_path / "bin" / "hostwright"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m agent "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", f"{tmp_path}/gitconfig")
    folder = tmp_path / "hostwright"
    for name in ("inventories", "dotfiles", "deploys", "docs"):  # without Git: what is not committed is no news here
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    for typed, printed in (step for block in marked(page, "console checked") for step in steps(block.text)):
        argv = ["bash", "-c", f"exec 2>&1; {typed}\npwd > {shlex.quote(f'{tmp_path}/folder')}"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.stdout == printed, typed
        folder = Path((tmp_path / "folder").read_text().rstrip("\n"))


# --- Links ------------------------------------------------------------------------------------------------------------


def _links(page: Path) -> Iterator[tuple[str, str]]:
    """Target and title of every link that leads to a file or a place in one."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target, title in re.findall(r'\]\(([^)\s]+)(?: "([^"]*)")?\)', text):
        if not re.match(r"[a-z]+:", target):
            yield target, title


def _anchors(page: Path) -> set[str]:
    """The places that forges make of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for target, _ in _links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            lost.append(target)
    assert lost == []


def test_every_claim_about_us_names_a_test_that_exists() -> None:
    claims = [(target, title) for target, title in _links(README) if title]
    assert len(claims) >= 10
    for target, title in claims:
        assert f"def {title}(" in (ROOT / target).read_text(), f"{target}: {title}"


def test_every_line_about_us_beside_the_peers_is_a_claim_with_a_test_or_says_not_yet() -> None:
    table = README.read_text().partition("| | Hostwright |")[2].partition("\n\n")[0]
    cells = [line.split(" | ")[1] for line in table.splitlines()[2:]]
    assert len(cells) >= 10
    assert [cell for cell in cells if "](tests/" not in cell and cell != "not yet"] == []


def test_the_commands_of_the_changelog_are_all_there_are() -> None:
    (names,) = re.findall(r"^- Commands `([a-z\s]+)`", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sorted(names.split()) == sorted(name for name, command in cli.commands.items() if not command.hidden)


VERBS = ["fetch", "verify", "resolve", "choose", "plan", "permit", "apply", "confirm", "probe", "prune", "report"]


def test_the_glossary_has_each_word_once_and_every_verb_of_a_cycle() -> None:
    section = (DOCS / "architecture.md").read_text().partition("## Words")[2].partition("\n## ")[0]
    words = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][1:]
    names = [word for entry in words for word in entry.split(", ")]
    assert words == sorted(words, key=str.lower)
    assert len(names) == len(set(names))
    assert set(VERBS) <= set(names)
