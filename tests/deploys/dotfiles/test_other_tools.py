"""A set that plainly has another layout than was said is refused by name: it would give a wrong home."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.deploys.dotfiles.spec import DotfilesSpec
from agent.domain.fault import Mistake
from tests.deploys.commit import Commit

PLAIN = {".bashrc": "", ".config/app/conf": "", "bin/tool": "", "README.md": "", "Documents/.keep": ""}

OTHERS = {
    "yadm": ((".bashrc", ".bashrc##os.Linux"), "all/.bashrc##os.Linux", "yadm"),
    "dotbot": (("install.conf.yaml", "bashrc"), "all/install.conf.yaml", "dotbot"),
    "rcm": (("bashrc", "rcrc"), "all/rcrc", "rcm"),
    "tags of rcm": (("bashrc", "tag-work/gitconfig"), "all/tag-work/gitconfig", "rcm"),
    "topics": (("git/gitconfig.symlink", "zsh/zshrc.symlink"), "all/git/gitconfig.symlink", "topic folders"),
    "homesick": (("home/.bashrc", "README.md"), "all/home/.bashrc", "homesick"),
    "chezmoi": (("dot_bashrc", "private_dot_ssh/config"), "all/dot_bashrc", "layout: chezmoi"),
    "chezmoi, with attributes alone": (("private_dot_ssh/config",), "all/private_dot_ssh/config", "layout: chezmoi"),
    "chezmoi, without a dot": (("bin/executable_tool",), "all/bin/executable_tool", "layout: chezmoi"),
    "packages": (("vim/.vimrc", "zsh/.zshrc", "README.md"), "all/", "sets: [vim, zsh]"),
    "bombadil": (("bombadil.toml", "vim/rc"), "all/bombadil.toml", "bombadil"),
    "home-manager": (("home.nix", "flake.nix"), "all/home.nix", "home-manager"),
    "a bare repository": (("HEAD", "config", "refs/heads/main"), "all/refs/heads/main", "a bare repository of Git"),
    "names without a dot": (("install.sh", "vimrc"), "all/vimrc", "names without a dot"),
    "names of stow in packages": (("zsh/dot-zshrc",), "all/zsh/dot-zshrc", "dot_prefix: true"),
    "names of stow": (("dot-bashrc",), "all/dot-bashrc", "dot_prefix: true"),
    "settings of stow": ((".stowrc", "vim/.vimrc"), "all/.stowrc", "layout: stow"),
}


def complaint(tmp_path: Path, files: dict[str, str], **ways: object) -> str:
    commit = Commit(tmp_path / "commit", {f"dotfiles/{path}": text for path, text in files.items()})
    spec = DotfilesSpec.model_validate({"user": "ann", "sets": ["all"], **ways})
    try:
        spec.concrete(commit)
    except Mistake as mistake:
        return f"{mistake}"
    return ""


@pytest.mark.parametrize("other", OTHERS)
def test_another_layout_is_refused_and_named(tmp_path: Path, other: str) -> None:
    paths, shown, told = OTHERS[other]
    found = complaint(tmp_path, {f"all/{path}": "x" for path in paths})
    assert (shown in found, told in found) == (True, True), found


def test_files_as_they_lie_in_a_home_are_no_other_layout(tmp_path: Path) -> None:
    assert complaint(tmp_path, {f"all/{path}": text for path, text in PLAIN.items()}) == ""


@pytest.mark.parametrize(
    "path",
    [
        ".local/bin/symlink_all.sh",
        ".vim/plugin/dot_repeat.vim",
        ".config/zsh/private_aliases",
        ".config/app/executable_paths.toml",
        "bin/symlink_dotfiles",
        "bin/private_notes",
        "my_dot_files/README",
        ".config/systemd/user/data.symlink",
        ".config/app/install.conf.yaml",
        ".config/app/home/.keep",
        ".config/app/tag-work/x",
        ".config/home-manager/home.nix",
        ".vim/vimrc",
        ".git-template/refs/heads/x",
        "bin/dot-sync",
        "src/dot-product/main.c",
    ],
)
def test_a_name_that_only_resembles_another_layout_is_a_name(tmp_path: Path, path: str) -> None:
    assert complaint(tmp_path, {"all/.bashrc": "", f"all/{path}": ""}) == ""


def test_what_shows_another_layout_can_be_ignored(tmp_path: Path) -> None:
    files = {"all/.bashrc": "", "all/.bashrc##os.Linux": ""}
    assert complaint(tmp_path, files, ignore=["*##*"]) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("--target=/etc\n", "says that /etc is the target"),
        ("--dir=.\n-t /opt/x\n", "says that /opt/x is the target"),
        ("--dotfiles\n", "say `dot_prefix: true`"),
        ("--target=~\n--no-folding\n", ""),
        ("--target=$HOME/\n", ""),
    ],
)
def test_options_of_stow_that_are_not_followed_are_told(tmp_path: Path, text: str, told: str) -> None:
    found = complaint(tmp_path, {".stowrc": text, "all/.vimrc": ""}, layout="stow")
    assert (told in found, bool(found)) == (True, bool(told)), found
