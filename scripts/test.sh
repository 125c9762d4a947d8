#!/bin/sh
# Set up .venv and check everything; options are passed to pytest.
. "$(dirname "$0")/common.sh"

# A virtual display, OpenGL in software, and the libraries that Qt loads at run time; a compiler, so
# that the CUDA kernels can be tested without a GPU.
need_packages g++ xvfb xauth libegl1 libgl1 libgl1-mesa-dri libopengl0 libdbus-1-3 libfontconfig1 \
    libglib2.0-0 libgssapi-krb5-2 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 \
    libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 \
    libxcb-xinerama0 libxcb-xkb1
make_venv
"$venv/bin/python" -m pip install --quiet --editable . --group dev

"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/npe2" validate napari-ini3d

# The fastest way to measure coverage: sys.monitoring where Python has it.
if "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
    export COVERAGE_CORE=sysmon
fi
status=0
xvfb-run --auto-servernum --server-args="-screen 0 1600x1200x24" \
    "$venv/bin/python" -m pytest -n 2 --dist loadgroup --cov --cov-report= "$@" || status=$?
"$venv/bin/python" scripts/coverage_summary.py
exit $status
