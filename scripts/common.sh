# Sourced by the other scripts: creates .venv in the project root and installs into it.
# Requires Python 3.11 or newer with its venv module.

set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
venv=${INI3D_VENV:-$root/.venv}

find_python() {
    for candidate in "${PYTHON:-}" python3.13 python3.14 python3.12 python3.11 python3; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "No Python 3.11 or newer was found; install one, or name it in PYTHON." >&2
    return 1
}

# System packages: installed with the rights to do so, otherwise named in an error. (Ubuntu renamed some.)
need_packages() {
    missing=
    for package in "$@"; do
        dpkg -s "$package" >/dev/null 2>&1 || dpkg -s "${package}t64" >/dev/null 2>&1 ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    sudo=
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    if command -v apt-get >/dev/null 2>&1 && { [ -z "$sudo" ] || $sudo true 2>/dev/null; }; then
        # shellcheck disable=SC2086
        $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing
    else
        echo "Install these system packages first:$missing" >&2
        return 1
    fi
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        need_packages "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    fi
    if [ ! -x "$venv/bin/python" ]; then
        echo "Installing into $venv; the first time this takes a few minutes."
        "$python" -m venv "$venv"
    fi
    "$venv/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
}
