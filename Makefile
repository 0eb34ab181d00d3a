# make setup   the virtual environment .venv, from the lock
# make demo    the full pipeline on synthetic angiograms, from nothing to a leaderboard
# make test    the fast tests, in random order
# make test-all    all tests but those that need a GPU or a browser
# make test-page   the leaderboard's page in a headless Chromium, installed if missing
# make lint    ruff
# make lock    requirements.txt from pyproject.toml

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Bytecode of the tests and of what they import is kept, so that later runs start sooner.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-all test-page browser lint lock clean

setup: $(READY)

# pip installs uv, which installs the rest. The lock has torch's wheel with CUDA, which runs on CPUs
# too. Compiled here once, the packages start in seconds where PYTHONDONTWRITEBYTECODE is set.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV): about 3 GB to download, 6.7 GB on disk"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

demo: $(READY)
	PYTHON=$(CURDIR)/$(BIN)/python tools/demo.sh

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not page"

test-all: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not gpu and not page"

test-page: $(READY) browser
	$(BIN)/python -m pytest -m page tests/leaderboard/page

# Debian's Chromium as root, else Playwright's own build.
browser: $(READY)
	command -v chromium || \
	    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } || \
	    $(BIN)/playwright install chromium

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lock: $(READY)
	printf 'torch==2.11.0\ntorchvision==0.26.0\n' > $(VENV)/pins.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --extra slurm \
	    --no-header --no-annotate --constraint $(VENV)/pins.txt pyproject.toml -o requirements.txt

clean:
	rm -rf $(VENV) work_dirs .pytest_cache .ruff_cache
