# Card Ledger. `make` lists what there is. Needed: python3 (3.11 or newer) and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help setup demo run test lint types lock campaign soak clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "%-16s %s\n", $$1, $$2 }'

setup: $(READY) ## make .venv with everything pinned by hash, and install cardledger in it

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python has no venv module; on Debian the package python3-venv brings it."; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

demo: $(READY) ## tell the story of a card against a real server, in a sandbox of its own (PORT=8123 for another port)
	@exec $(BIN)/cardledger demo $(if $(PORT),--port $(PORT))

run: $(READY) ## serve the sandbox at http://127.0.0.1:8000
	@exec $(BIN)/cardledger serve --sandbox

test: $(READY) ## run the tests (TESTS="tests/test_x.py -k word" for some of them)
	@command -v hledger >/dev/null || echo "hledger is not installed: the tests that let it add the journal up again are left out."
	@$(BIN)/python -m pytest $(TESTS)

lint: $(READY) ## check style and layers
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

types: $(READY) ## check types
	@$(BIN)/mypy

lock: ## renew both lock files from pyproject.toml (fetches uv; look at the difference before you commit it)
	$(PYTHON) -m venv .lock-venv
	.lock-venv/bin/python -m pip install --quiet uv==$(UV_VERSION)
	UV_CUSTOM_COMPILE_COMMAND='make lock' .lock-venv/bin/uv pip compile $(LOCK) --upgrade --output-file requirements-dev.lock --extra dev pyproject.toml
	UV_CUSTOM_COMPILE_COMMAND='make lock' .lock-venv/bin/uv pip compile $(LOCK) --output-file requirements.lock --constraint requirements-dev.lock pyproject.toml
	rm -rf .lock-venv

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--no-emit-find-links

campaign: $(READY) ## run the long campaigns: many kills, many random stories
	@$(BIN)/python -m pytest -m campaign

soak: $(READY) ## fifteen minutes of steady load: flat memory, no error, no drift (MINUTES=60 for an hour)
	@exec $(BIN)/cardledger bench --soak $(or $(MINUTES),15)

clean: ## remove what setup and tools made; data in .cardledger stays
	rm -rf $(VENV) .lock-venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find ledger api tests -name __pycache__ -prune -exec rm -rf {} +
