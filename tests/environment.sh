# shellcheck shell=sh
# Read by run-e2e and run-lab, which have set `tests`: which program is tested (EXEAT), where the vectors are (EXEAT_TEST_DATA), what runs Python
# (PYTHON). `make check` says all of it.

EXEAT=${EXEAT:-exeat}
EXEAT_TEST_DATA=${EXEAT_TEST_DATA:-$tests}
PYTHONDONTWRITEBYTECODE=1 # the sources may be read-only, and are to stay clean
export EXEAT EXEAT_TEST_DATA PYTHONDONTWRITEBYTECODE

if [ -z "${PYTHON=python3}" ]; then
    echo "SKIPPED: configure found no python3"
    exit 77 # automake: skipped
fi
