#!/usr/bin/env bash
# Functions that the scripts beside this folder share. Sourced, not run: it sets nothing but functions.

# Says something to the person at the terminal; standard output is left to results.
note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# Ends the script: what is wrong and what to do.
die() {
    note "error: $*"
    exit 1
}

# require_number NAME VALUE MIN MAX: a setting must be a whole number within the bounds.
require_number() {
    local name=$1 value=$2 min=$3 max=$4
    [[ $value =~ ^(0|[1-9][0-9]{0,8})$ ]] && ((value >= min && value <= max)) ||
        die "$name is '$value'; it must be a whole number from $min to $max"
}

# listens_on HOST PORT: whether somebody accepts connections there. Bounded, because a full backlog does not answer.
listens_on() {
    timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
}

# is_alive PID: whether a process with that id runs (one that ended and was not waited for does not count).
is_alive() {
    local state
    [[ $1 =~ ^[0-9]+$ && -r /proc/$1/stat ]] || return 1
    # The name in parentheses may hold anything, so the state is what follows the last parenthesis.
    state=$(<"/proc/$1/stat") 2>/dev/null || return 1
    state=${state##*) }
    [[ ${state%% *} != Z ]]
}

# size_of FILE: bytes; 0 if there is no such file.
size_of() { stat -c %s -- "$1" 2>/dev/null || printf '0\n'; }

# last_lines FILE COUNT FROM: shows the end of a log, indented, on standard error; nothing of its first FROM bytes.
last_lines() {
    local lines
    lines=$(tail -c "+$(($3 + 1))" -- "$1" 2>/dev/null | tail -n "$2" | sed 's/^/    /')
    if [[ -n $lines ]]; then
        note "the last lines of $1:"
        printf '%s\n' "$lines" >&2
    else
        note "nothing was written to $1"
    fi
}

# can_search USER DIR: whether that user can reach what is in DIR (search permission on it and on every folder above).
can_search() { runuser -u "$1" -- test -x "$2/." 2>/dev/null; }

# postgres_user: the account that runs PostgreSQL. It refuses to run as root.
postgres_user() {
    if ((EUID != 0)); then
        id -un
    elif id postgres >/dev/null 2>&1; then
        printf 'postgres\n'
    else
        printf 'nobody\n'
    fi
}

# find_postgres_bin: the folder of PostgreSQL's programs, the newest version that has a server; fails if there is none.
find_postgres_bin() {
    local dir newest=
    while IFS= read -r dir; do
        [[ -x $dir/initdb && -x $dir/postgres && -x $dir/pg_ctl ]] && newest=$dir
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V)
    if [[ -z $newest ]] && command -v initdb >/dev/null 2>&1 && command -v pg_ctl >/dev/null 2>&1; then
        newest=$(dirname -- "$(readlink -f -- "$(command -v initdb)")")
    fi
    [[ -n $newest ]] && printf '%s\n' "$newest"
}
