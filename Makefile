# Every target is listed by `make help` with its line. Nothing needs an activated environment.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
PROFILE ?= embedded
PROFILE_MODULE = $(if $(filter servers,$(PROFILE)),processes,$(if $(filter embedded,$(PROFILE)),local,$(error PROFILE=$(PROFILE) is not known; use embedded or servers)))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
run: .venv/ready ## start everything on this machine (ARGS=--quiet: no line a job; PROFILE=servers: as processes over servers)
	@exec $(BIN)/python -m functions.runtime.$(PROFILE_MODULE) $(ARGS)

.PHONY: stop
stop: .venv/ready ## stop what make run started on this data folder
	@$(BIN)/python -m functions.runtime.stop

.PHONY: servers
servers: .venv/ready ## start PostgreSQL, Redis, MongoDB and RabbitMQ here, from PATH or Docker (ARGS=redis: that one)
	@$(BIN)/python -m functions.runtime.servers start $(ARGS)

.PHONY: servers-stop
servers-stop: .venv/ready ## stop them; their data stays
	@$(BIN)/python -m functions.runtime.servers stop $(ARGS)

.PHONY: migrate
migrate: .venv/ready ## bring the layout of OBSERVATORY_POSTGRES_URL up to date
	@$(BIN)/python -m functions.runtime.migrate

.PHONY: demo
demo: .venv/ready ## the main job on real input: digest and count every file of Python's standard library
	@$(BIN)/python -m console demo $(ARGS)

.PHONY: console
console: .venv/ready ## the terminal console: everything live, on one screen (ARGS=--theme light)
	@exec $(BIN)/python -m console $(ARGS)

.PHONY: demo-life
demo-life: .venv/ready ## a gentle mixed load until Ctrl-C, so that every screen has something in it
	@$(BIN)/python -m console demo-life $(ARGS)

.PHONY: cli
cli: .venv/ready ## the command line: make cli ARGS="list --limit 5"
	@$(BIN)/python -m console $(ARGS)

.PHONY: test
test: .venv/ready-for-tests ## all tests but the long ones below (under five minutes)
	@$(BIN)/python -m pytest -m "not kills and not openapi" -n 3 --dist loadfile $(ARGS)

.PHONY: test-kills
test-kills: .venv/ready-for-tests ## 200 seeded kills of the whole system, each followed by the checker
	@$(BIN)/python -m pytest -m kills $(ARGS)

.PHONY: test-openapi
test-openapi: .venv/ready-for-tests ## 20,000 requests made up from the OpenAPI document, each answer held against it
	@$(BIN)/python -m pytest -m openapi $(ARGS)

.PHONY: test-servers
test-servers: .venv/ready-for-tests .venv-celery/ready ## the suites of every port on PostgreSQL, Redis, MongoDB and RabbitMQ; starts them, and needs all of them
	@OBSERVATORY_TEST_SERVERS=required $(BIN)/python -m pytest -m servers $(ARGS)

.PHONY: test-all
test-all: .venv/ready-for-tests ## everything that exists, going on after a failure; ends with one table (PARTS="lint test": these parts)
	@$(BIN)/python -m tests.everything $(PARTS)

.PHONY: lint
lint: .venv/ready-for-tests ## ruff, mypy, and the contracts against the released ones
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m contracts check

# Celery, the peer over servers, lives in an environment of its own: nothing else here may come to need it
.venv-celery/ready: tests/bench/celery_peer/requirements.txt
	@echo "Installing Celery into .venv-celery, for the benchmark alone (once) ..."
	@[ -x .venv-celery/bin/pip ] || $(PYTHON) -m venv .venv-celery
	@.venv-celery/bin/pip install --quiet --disable-pip-version-check -r tests/bench/celery_peer/requirements.txt
	@touch $@

.PHONY: bench
bench: .venv/ready $(if $(filter servers,$(PROFILE)),.venv-celery/ready) ## measure jobs a second, latency, memory, start (some minutes; ARGS=--help; PROFILE=servers: beside Celery)
	@$(BIN)/python -m tests.bench$(if $(filter servers,$(PROFILE)),.over_servers) $(ARGS)

.PHONY: bench-console
bench-console: .venv/ready-for-tests ## measure the terminal console: frame, first frame, at rest, keys under load (a minute)
	@$(BIN)/python -m tests.bench.console $(ARGS)

.venv/ready-for-cluster: .venv/ready knative/requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -r knative/requirements.txt
	@touch $@

.PHONY: up
up: .venv/ready-for-cluster ## one click: a kind cluster with Knative, everything deployed, access points open
	@$(BIN)/python -m knative.e2e up $(ARGS)

.PHONY: cluster
cluster: .venv/ready-for-cluster ## the cluster alone (CLUSTER=existing: the current kubectl context)
	@$(BIN)/python -m knative.e2e cluster $(ARGS)

.PHONY: deploy
deploy: .venv/ready-for-cluster ## images and manifests into the cluster (TASKS=path/to/package: with tasks of your own, until TASKS=none)
	@$(BIN)/python -m knative.e2e deploy $(ARGS)

.PHONY: ports
ports: .venv/ready-for-cluster ## open every access point and show the table
	@$(BIN)/python -m knative.e2e ports $(ARGS)

.PHONY: gate
gate: .venv/ready-for-cluster ## check the cluster; harms nothing
	@$(BIN)/python -m knative.e2e gate $(ARGS)

.PHONY: e2e
e2e: .venv/ready-for-cluster ## up, gate, and the checks that break things (KEEP=0: remove the cluster afterwards)
	@$(BIN)/python -m knative.e2e e2e $(ARGS)

.PHONY: demo-scale
demo-scale: .venv/ready-for-cluster ## watch pods, queue depth and throughput while a burst arrives and drains
	@$(BIN)/python -m knative.e2e demo-scale $(ARGS)

.PHONY: credentials
credentials: .venv/ready-for-cluster ## login and address of every access point
	@$(BIN)/python -m knative.e2e credentials $(ARGS)

.PHONY: down
down: .venv/ready-for-cluster ## remove the cluster
	@$(BIN)/python -m knative.e2e down $(ARGS)

.PHONY: captures
captures: .venv/ready-for-tests ## draw the console's main screens anew, into console/captures (two minutes)
	@$(BIN)/python -m tests.console.captures

.PHONY: clean
clean: ## remove .venv and caches; data folders stay
	@rm -rf .venv .venv-celery .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
