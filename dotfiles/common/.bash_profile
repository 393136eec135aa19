# Login shells read this file: the environment, once. What every interactive shell gets is in ~/.bashrc.

# Prepends a folder to PATH when it exists and is not there yet.
path_prepend() {
    case ":$PATH:" in
        *":$1:"*) ;;
        *) [ ! -d "$1" ] || PATH="$1:$PATH" ;;
    esac
}
path_prepend "$HOME/.local/bin"
path_prepend "$HOME/bin"
unset -f path_prepend
export PATH

for editor in vim vi nano; do
    if command -v "$editor" >/dev/null 2>&1; then
        export EDITOR="$editor" VISUAL="$editor"
        break
    fi
done
unset editor

export PAGER=less
# Leave when it fits on one screen, keep colours, do not clear the screen, mark the line that a search jumped to.
export LESS=-FRXW
# No history of searches: it would keep what was looked for in secret files.
export LESSHISTFILE=-

if [ -r "$HOME/.bash_profile.local" ]; then
    . "$HOME/.bash_profile.local"
fi
if [ -r "$HOME/.bashrc" ]; then
    . "$HOME/.bashrc"
fi
