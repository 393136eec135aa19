# Interactive bash. What belongs to one machine only goes to ~/.bashrc.local, which nothing here overwrites.

# scp, rsync and `ssh host command` must not see any of this.
case $- in
    *i*) ;;
    *) return ;;
esac

# --- History: long, shared by windows, without duplicates; a leading space keeps a line (a password) out of it
HISTCONTROL=ignoreboth:erasedups
HISTSIZE=20000
HISTFILESIZE=50000
HISTTIMEFORMAT='%F %T  '
HISTIGNORE='ls:ll:cd:pwd:exit:clear:history'
shopt -s histappend cmdhist
case ";${PROMPT_COMMAND:-};" in
    *';history -a;'*) ;;
    *) PROMPT_COMMAND="history -a${PROMPT_COMMAND:+;$PROMPT_COMMAND}" ;;
esac

# --- Behaviour
shopt -s checkwinsize globstar no_empty_cmd_completion
# ^S searches forward in the history instead of freezing the terminal.
[ ! -t 0 ] || stty -ixon 2>/dev/null

# --- Prompt: who and where; root is red, a host over ssh is named in yellow; the last exit code when it is not 0
__prompt_status() {
    local code=$?
    [ "$code" -eq 0 ] || printf '[%d] ' "$code"
    return "$code"
}
__prompt_branch() {
    local head
    head=$(git symbolic-ref --quiet --short HEAD 2>/dev/null || git rev-parse --short HEAD 2>/dev/null) || return 0
    printf ' (%s)' "$head"
}
__prompt() {
    local red='' green='' yellow='' blue='' plain='' user host
    if [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
        red='\[\e[1;31m\]' green='\[\e[32m\]' yellow='\[\e[33m\]' blue='\[\e[34m\]' plain='\[\e[0m\]'
    fi
    user=$green host=$green
    [ "$EUID" -ne 0 ] || user=$red
    [ -z "${SSH_CONNECTION:-}" ] || host=$yellow
    PS1="$red"'$(__prompt_status)'"$user"'\u'"$plain@$host"'\h'"$plain:$blue"'\w'"$plain"'$(__prompt_branch)'" \\$ "
}
__prompt
unset -f __prompt

# --- Short names; a dangerous command asks before it destroys
if ls --color=auto / >/dev/null 2>&1; then
    alias ls='ls --color=auto'
    alias grep='grep --color=auto'
    alias diff='diff --color=auto'
fi
alias ll='ls -lh'
alias la='ls -lhA'
alias cp='cp -i'
alias mv='mv -i'
alias rm='rm -I'
alias ..='cd ..'
alias ...='cd ../..'
alias df='df -hT -x tmpfs -x devtmpfs'
alias g=git

# Makes a folder and enters it.
mkcd() { mkdir -p -- "$1" && cd -- "$1" || return; }

# What listens here, and which program it is.
ports() { ss -tulpn "$@"; }

# Errors of this boot, newest last.
oops() { journalctl --boot --priority=err --no-pager "$@"; }

# --- Completion
if ! shopt -oq posix; then
    for __file in /usr/share/bash-completion/bash_completion /etc/bash_completion; do
        if [ -r "$__file" ]; then
            . "$__file"
            break
        fi
    done
    unset __file
fi

if [ -r "$HOME/.bashrc.local" ]; then
    . "$HOME/.bashrc.local"
fi
