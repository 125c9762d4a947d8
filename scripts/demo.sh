#!/bin/sh
# Set up .venv and run the demo; options are passed to `ini3d demo`.
. "$(dirname "$0")/common.sh"

make_venv
"$venv/bin/python" -m pip install --quiet --editable .
exec "$venv/bin/ini3d" demo "$@"
