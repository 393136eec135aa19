"""The same person's dotfiles in the three layouts that people keep them in."""

from __future__ import annotations

File = str | bytes | tuple[str, str]

ICON = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe"
SERVICE = "[Unit]\nDescription=backup\n\n[Service]\nExecStart=%h/bin/backup\n"
SSH = "Host *\n    ServerAliveInterval 30\n"
BACKUP = '#!/bin/sh\nexec tar -C "$HOME" -cf - .\n'
LUA = "vim.opt.number = true\n"
KEYMAP = "vim.keymap.set('n', 'ö', '[')\n"

PLAIN: dict[str, File] = {
    ".bashrc": "alias ll='ls -l'\n",
    ".vimrc": "set nocompatible\n",
    ".gitconfig.j2": "[user]\n    name = {{ owner }}\n",
    ".hushlogin": "",
    ".netrc": "machine example.org password x\n",
    ".ssh/config": SSH,
    ".config/nvim/init.lua": LUA,
    ".config/nvim/lua/tasten größe.lua": KEYMAP,
    ".config/systemd/user/backup.service": SERVICE,
    ".local/share/icons/me.png": ICON,
    ".tmux.conf": "set -g mouse on\n",
    "bin/backup": ("executable", BACKUP),
    "bin/nightly": ("link", "backup"),
    "Documents/Vorlagen/A 4.txt": "a4\n",
}

STOW: dict[str, File] = {
    "shell/dot-bashrc": "alias ll='ls -l'\n",
    "shell/dot-hushlogin": "",
    "shell/dot-netrc": "machine example.org password x\n",
    "shell/README.md": "of the package\n",
    "shell/dot-tmux.conf": "set -g mouse on\n",
    "vim/dot-vimrc": "set nocompatible\n",
    "vim/dot-config/nvim/init.lua": LUA,
    "vim/dot-config/nvim/init.lua~": "left by an editor\n",
    "vim/dot-config/nvim/lua/tasten größe.lua": KEYMAP,
    "git/dot-gitconfig.j2": "[user]\n    name = {{ owner }}\n",
    "git/.gitignore": "*.swp\n",
    "ssh/dot-ssh/config": SSH,
    "desktop/dot-config/systemd/user/backup.service": SERVICE,
    "desktop/dot-local/share/icons/me.png": ICON,
    "desktop/bin/backup": ("executable", BACKUP),
    "desktop/bin/nightly": ("link", "backup"),
    "desktop/Documents/Vorlagen/A 4.txt": "a4\n",
}

CHEZMOI: dict[str, File] = {
    "README.md": "of the repository\n",
    ".gitignore": "*.swp\n",
    ".chezmoiroot": "home\n",
    "home/.chezmoiignore": "# on no machine\n*.md\n.config/wide/**\n",
    "home/.chezmoi.toml.tmpl": "[data]\n",
    "home/README.md": "ignored\n",
    "home/dot_bashrc": "alias ll='ls -l'\n",
    "home/dot_vimrc": "set nocompatible\n",
    "home/dot_gitconfig.j2": "[user]\n    name = {{ owner }}\n",
    "home/empty_dot_hushlogin": "",
    "home/private_dot_netrc": "machine example.org password x\n",
    "home/private_dot_ssh/private_config": SSH,
    "home/dot_config/nvim/init.lua": LUA,
    "home/dot_config/nvim/lua/tasten größe.lua": KEYMAP,
    "home/dot_config/systemd/user/backup.service": SERVICE,
    "home/dot_config/wide/x": "ignored\n",
    "home/dot_local/share/icons/me.png": ICON,
    "home/dot_tmux.conf": "set -g mouse on\n",
    "home/bin/executable_backup": BACKUP,
    "home/bin/symlink_nightly": "backup\n",
    "home/Documents/Vorlagen/A 4.txt": "a4\n",
}

HOME: dict[str, tuple[str, int, object]] = {
    ".bashrc": ("file", 0o644, b"alias ll='ls -l'\n"),
    ".config": ("directory", 0o755, None),
    ".config/nvim": ("directory", 0o755, None),
    ".config/nvim/init.lua": ("file", 0o644, LUA.encode()),
    ".config/nvim/lua": ("directory", 0o755, None),
    ".config/nvim/lua/tasten größe.lua": ("file", 0o644, KEYMAP.encode()),
    ".config/systemd": ("directory", 0o755, None),
    ".config/systemd/user": ("directory", 0o755, None),
    ".config/systemd/user/backup.service": ("file", 0o644, SERVICE.encode()),
    ".gitconfig": ("file", 0o644, b"[user]\n    name = Ann\n"),
    ".hushlogin": ("file", 0o644, b""),
    ".local": ("directory", 0o755, None),
    ".local/share": ("directory", 0o755, None),
    ".local/share/icons": ("directory", 0o755, None),
    ".local/share/icons/me.png": ("file", 0o644, ICON),
    ".netrc": ("file", 0o600, b"machine example.org password x\n"),
    ".ssh": ("directory", 0o700, None),
    ".ssh/config": ("file", 0o600, SSH.encode()),
    ".tmux.conf": ("file", 0o644, b"set -g mouse on\n"),
    ".vimrc": ("file", 0o644, b"set nocompatible\n"),
    "Documents": ("directory", 0o755, None),
    "Documents/Vorlagen": ("directory", 0o755, None),
    "Documents/Vorlagen/A 4.txt": ("file", 0o644, b"a4\n"),
    "bin": ("directory", 0o755, None),
    "bin/backup": ("file", 0o755, BACKUP.encode()),
    "bin/nightly": ("link", 0, "backup"),
}
"""What each of them gives, copied."""
