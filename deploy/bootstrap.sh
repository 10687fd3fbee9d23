#!/bin/sh
# All set-up on one machine: prerequisites, the virtual environment, the jars. Run it as often as you like: what is done is skipped.
# Prerequisites come first. What is missing is installed by apt when we are root on Debian or Ubuntu; otherwise the command is printed
# and nothing else happens. With the argument "browser": only what the tests of the dashboard need besides.
set -eu
cd "$(dirname "$0")/.."

OLDEST_JAVA=17
STATE=.backtape

say() { printf '%s\n' "$*" >&2; }

# A Python counts when it is new enough and can make virtual environments. 3.11 first: it is what the pins were tested with.
find_python() {
    for name in ${PYTHON:-} python3.11 python3 python3.12 python3.13 python3.14 python; do
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# The package that brings what find_python missed. A new enough Python without ensurepip only lacks Debian's venv package.
python_packages() {
    for name in ${PYTHON:-} python3.11 python3 python3.12 python3.13 python3.14; do
        if version=$("$name" -c 'import sys; assert sys.version_info >= (3, 11); print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then
            echo "python$version-venv"
            return
        fi
    done
    case "$(. /etc/os-release 2>/dev/null; echo "${VERSION_ID:-}")" in
        20.* | 22.* | 11) echo "python3.11 python3.11-venv" ;;
        *) echo "python3 python3-venv" ;;
    esac
}

java_package() {
    for package in openjdk-17-jre-headless openjdk-21-jre-headless openjdk-25-jre-headless; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    echo openjdk-17-jre-headless
}

has_java() {
    version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ -n "$version" ] && [ "$version" -ge "$OLDEST_JAVA" ]
}

has_maven() { command -v mvn >/dev/null 2>&1; }

# The command line tool alone proves nothing: the engine is asked.
has_docker() { [ -n "$(docker version --format '{{.Server.Version}}' 2>/dev/null || true)" ]; }

find_missing() {
    missing=
    find_python >/dev/null || missing="$missing python"
    if ! has_java || ! has_maven; then
        if ! has_docker; then
            has_java || missing="$missing java"
            has_maven || missing="$missing maven"
        fi
    fi
}

packages() {
    for part in $missing; do
        case $part in
            python) python_packages ;;
            java) java_package ;;
            maven) echo maven ;;
        esac
    done | tr '\n' ' ' | sed 's/ *$//'
}

print_command() {
    say "Missing:$missing (needed: Python 3.11 or newer with venv; Java $OLDEST_JAVA or newer and Maven, or a Docker engine)."
    say "Install it with:"
    if command -v apt-get >/dev/null 2>&1; then
        say "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $(packages)"
    elif command -v dnf >/dev/null 2>&1; then
        say "    sudo dnf install -y python3.11 java-17-openjdk-headless maven"
    elif command -v brew >/dev/null 2>&1; then
        say "    brew install python@3.11 openjdk@17 maven"
    else
        say "    your system's package manager, by these names:$missing"
    fi
    say "and run this again."
}

check_prerequisites() {
    find_missing
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        print_command
        exit 1
    fi
    apt-get update
    chosen=$(packages)
    say "setup: installing $chosen"
    # shellcheck disable=SC2086 -- one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $chosen
    hash -r
    find_missing
    if [ -n "$missing" ]; then
        print_command
        exit 1
    fi
}

# The stamp names everything the environment follows from, the checkout's place too: its scripts contain it.
environment_stamp() {
    cat pyproject.toml constraints.txt deploy/bootstrap.sh | cksum
    pwd
}

install_environment() {
    stamp=$(environment_stamp)
    if [ -x .venv/bin/python ] && [ "$(cat .venv/backtape-stamp 2>/dev/null || true)" = "$stamp" ]; then
        return 0
    fi
    python=$(find_python)
    # One that does not run (its Python was removed, the checkout was moved) is made anew.
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "setup: a virtual environment with $python"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    say "setup: Python packages (about 1 GB installed)"
    .venv/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[stack,web,dev]' >&2
    # Only their data files are wanted, so without what their code would need.
    .venv/bin/python -m pip install --disable-pip-version-check -c constraints.txt --no-deps bokeh-sampledata gym-anytrading >&2
    printf '%s\n' "$stamp" > .venv/backtape-stamp
}

fetch_jars() {
    if has_java && has_maven; then
        .venv/bin/python -m backtape.stack jars "$STATE"
    fi
}

# numba compiles at the first call and keeps the result beside the source: pay for it here, not in the first backtest.
warm_up() {
    [ -f engine/warm.py ] || return 0
    stamp=$(cat engine/*.py engine/kernels/*.py | cksum)
    [ "$(cat .venv/backtape-warm 2>/dev/null || true)" != "$stamp" ] || return 0
    say "setup: compiling the engine's loops"
    .venv/bin/python -m engine.warm >&2
    printf '%s\n' "$stamp" > .venv/backtape-warm
}

# The tests of the dashboard need a browser; nothing else does. Where there is none they skip and say so, so this never fails.
install_browser() {
    if command -v chromium >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        return 0
    fi
    # Ubuntu's package of this name is a stub for snap.
    [ "$(. /etc/os-release 2>/dev/null; echo "${ID:-}")" = debian ] || return 0
    say "setup: installing chromium, for the tests of the dashboard"
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } >&2; then
        say "setup: chromium could not be installed; the tests of the dashboard will skip"
    fi
}

if [ "${1:-}" = browser ]; then
    install_browser
    exit 0
fi
check_prerequisites
install_environment
fetch_jars
warm_up
