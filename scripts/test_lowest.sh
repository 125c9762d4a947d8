#!/bin/sh
# Test the package with the lowest version that pyproject.toml allows of each dependency, in an
# environment of its own, without napari; options are passed to pytest.
. "$(dirname "$0")/common.sh"

make_venv
"$venv/bin/python" -m pip install --quiet uv
uv=$venv/bin/uv
lowest=$venv/lowest
"$uv" venv --quiet --clear --python "$venv/bin/python" "$lowest"
"$uv" pip compile --quiet --resolution lowest-direct --only-binary :all: \
    --python "$lowest/bin/python" --output-file "$lowest/pins.txt" pyproject.toml
"$uv" pip install --quiet --python "$lowest/bin/python" --requirement "$lowest/pins.txt" \
    hypothesis pytest pytest-timeout pytest-xdist pyyaml
"$uv" pip install --quiet --python "$lowest/bin/python" --no-deps .
"$uv" pip check --quiet --python "$lowest/bin/python"

# The command line, files, geometry, and real runs on tiny data: a minute.
[ $# -gt 0 ] || set -- tests/cli tests/io tests/geometry tests/test_examples.py \
    --ignore tests/cli/test_relion_job.py
exec "$lowest/bin/python" -m pytest -n 2 --dist loadgroup -p no:cacheprovider \
    -m "not slow and not gui" --disable-warnings "$@"
