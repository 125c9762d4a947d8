#!/bin/sh
# Test the package with the lowest version that pyproject.toml allows of each dependency, in an
# environment of its own, without napari; options are passed to pytest.
. "$(dirname "$0")/common.sh"

make_venv
lowest=$venv/lowest
"$venv/bin/python" -m venv --upgrade-deps "$lowest"
"$venv/bin/python" scripts/lowest_versions.py > "$lowest/pins.txt"
"$lowest/bin/python" -m pip install --quiet --prefer-binary --constraint "$lowest/pins.txt" \
    . hypothesis pytest pytest-timeout pytest-xdist
"$lowest/bin/python" -m pip check

# The command line, files, geometry, and real runs on tiny data: a minute.
[ $# -gt 0 ] || set -- tests/cli tests/io tests/geometry tests/test_examples.py \
    --ignore tests/cli/test_relion_job.py
exec "$lowest/bin/python" -m pytest -n 2 --dist loadgroup -p no:cacheprovider \
    -m "not slow and not gui" --disable-warnings "$@"
