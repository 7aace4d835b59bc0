# Every target is listed by `make help` with its line. Nothing needs an activated environment.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# .venv is made when it is missing or older than what it is made from
.venv/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: Python 3.11 or later is needed as '$(PYTHON)'. Debian, Ubuntu: apt-get install python3 python3-venv; else name one: make PYTHON=python3.12 run" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "error: Python's venv is missing. Debian, Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@[ -x $(BIN)/pip ] || { echo "Making .venv (once, about 20 s) ..."; $(PYTHON) -m venv .venv; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m compileall -q contracts eventing functions observability console
	@touch $@

.venv/ready-for-tests: .venv/ready tests/requirements.txt
	@echo "Installing what the tests need ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

.PHONY: run
run: .venv/ready ## start everything on this machine (ARGS=--quiet: no line a job)
	@exec $(BIN)/python -m functions.runtime.local $(ARGS)

.PHONY: stop
stop: .venv/ready ## stop what make run started on this data folder
	@$(BIN)/python -m functions.runtime.stop

.PHONY: demo
demo: .venv/ready ## the main job on real input: digest and count every file of Python's standard library
	@$(BIN)/python -m console demo $(ARGS)

.PHONY: cli
cli: .venv/ready ## the command line: make cli ARGS="list --limit 5"
	@$(BIN)/python -m console $(ARGS)

.PHONY: test
test: .venv/ready-for-tests ## all tests but the long kills (under five minutes)
	@$(BIN)/python -m pytest -m "not kills" $(ARGS)

.PHONY: test-kills
test-kills: .venv/ready-for-tests ## 200 seeded kills of the whole system, each followed by the checker
	@$(BIN)/python -m pytest -m kills $(ARGS)

.PHONY: lint
lint: .venv/ready-for-tests ## ruff, mypy, and the contracts against the released ones
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m contracts check

.PHONY: bench
bench: .venv/ready ## measure jobs a second, latency, memory, start (some minutes; ARGS=--help)
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: clean
clean: ## remove .venv and caches; data folders stay
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
