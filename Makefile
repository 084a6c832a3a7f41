# Everything a person or a machine runs in this repository. Only make and Python >= 3.11 are needed.
# Another interpreter: make setup PYTHON=python3.13

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
UV     := uv==0.13.9
PYTEST := $(BIN)/python -m pytest
PYTEST_ARGS ?=
BESIDE := tests/acceptance tests/chaos
CHAOS_KILLS ?= 200

export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format format-check lint types imports lua docs bench chaos conformance lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install the locked dependencies

# The stamp is younger than what it was made from, so a second run does nothing.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Callboard needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another interpreter: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@echo "Making $(VENV) and installing the locked dependencies (about a minute the first time)"
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo "The venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## an embedded server, workers and a scheduler working on a sample
	@$(BIN)/python -m engine.cli demo

# Most of the time goes into waiting for processes that are killed, drained or restarted, so these
# tests run beside the others. What they say comes when both have ended; 5 is pytest's "none chosen".
test: $(STAMP) ## the whole test suite but the long forms
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(PYTEST) $(BESIDE) -p no:cacheprovider $(PYTEST_ARGS) > "$$log" 2>&1 & beside=$$!; \
	$(PYTEST) $(addprefix --ignore=,$(BESIDE)) $(PYTEST_ARGS); here=$$?; \
	wait $$beside; there=$$?; cat "$$log"; \
	case "$$here $$there" in "0 0" | "0 5" | "5 0") ;; *) exit 1 ;; esac

check: format-check lint types imports lua docs test ## everything that must hold before a merge

format: $(STAMP) ## write the code the way the formatter wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

format-check: $(STAMP) ## fail where the formatter would change something
	$(BIN)/ruff format --check .

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy $(wildcard engine actors pipelines)

imports: $(STAMP) ## the storeys of the house
	$(BIN)/lint-imports

# Every script is loaded into a real server, which compiles it, and its header is checked against
# its wrapper. luacheck is no Python package: where it is installed it has its say too.
lua: $(STAMP) ## the scripts compile and their headers tell the truth
	$(PYTEST) tests/architecture/test_scripts.py tests/architecture/test_keys.py $(PYTEST_ARGS)
	@if command -v luacheck >/dev/null; then luacheck --quiet engine/store/lua; \
	else echo "luacheck is not installed (Debian: apt-get install lua-check); compiled by the server only"; fi

docs: $(STAMP) ## the documentation matches the code
	$(PYTEST) tests/architecture -k docs $(PYTEST_ARGS)

bench: $(STAMP) ## the benchmarks against stock Dramatiq
	$(BIN)/python -m benchmarks

chaos: $(STAMP) ## the long chaos tests; CHAOS_KILLS=200
	CHAOS_KILLS=$(CHAOS_KILLS) $(PYTEST) tests/chaos tests/acceptance/test_faults_worker.py -m "chaos or not chaos" --timeout=3600 $(PYTEST_ARGS)

conformance: $(STAMP) ## Dramatiq's own test modules against our broker
	$(BIN)/python -m tests.contract.upstream --broker callboard

COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate $(LOCK_ARGS)

lock: ## resolve the lock files anew; LOCK_ARGS=--upgrade takes new versions
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && \
	  .venv-lock/bin/python -m pip --quiet --no-input install $(UV); }
	@$(COMPILE) --all-extras --group dev pyproject.toml -o requirements.lock
	@$(COMPILE) --constraint requirements.lock pyproject.toml -o requirements-run.lock

clean: ## remove everything the targets above made
	rm -rf $(VENV) .venv-lock build dist .callboard .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
