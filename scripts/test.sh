#!/bin/sh
# Set up .venv and check everything; options are handed on to pytest.
. "$(dirname "$0")/common.sh"

# System packages that tests of the window will need go here: need_packages xvfb ...
make_venv
"$venv/bin/python" -m pip install --quiet --editable . --group dev

"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/npe2" validate napari-ini3d
exec "$venv/bin/python" -m pytest "$@"
