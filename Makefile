# Two commands from a fresh clone do everything: `make run` and `make test`.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8080
BIN := .venv/bin
PYTEST ?= $(BIN)/python -m pytest
# The locks are complete, so pip has nothing to resolve: a release made after them cannot change what is installed.
EXACTLY := -q --disable-pip-version-check --require-hashes --no-deps

.PHONY: run demo messages test bench bench-full test-faults fuzz mutation conformance install lint lint-templates lock proto proto-check clean

run: .venv/.base
	$(BIN)/python manage.py serve --host $(HOST) --port $(PORT)

# The portal with sample configurations and 50 simulated agents; Ctrl-C ends all of it.
demo: .venv/.base
	@trap 'kill $$server $$agents 2>/dev/null; wait; exit 0' INT TERM EXIT; \
	$(BIN)/python manage.py serve --host $(HOST) --port $(PORT) & server=$$!; agents=; \
	until $(BIN)/python -c 'import urllib.request as r; r.urlopen("http://$(HOST):$(PORT)/health/ready", timeout=2)' 2>/dev/null; \
	  do kill -0 $$server || exit 1; sleep 0.5; done; \
	$(BIN)/python manage.py create_samples; \
	$(BIN)/python manage.py simulate_agents --count 50 --endpoint ws://$(HOST):$(PORT)/v1/opamp & agents=$$!; \
	wait $$server

install: .venv/.dev

# Two processes more than there are cores, since many tests wait for a server; each takes whole files, whose tests often share one,
# the longest first (tests/longest_first.py).
# ARGS="-n0 …" runs in one.
test: install
	@$(BIN)/python -m tests.interop.go_programs
	$(PYTEST) -n $$(($$(getconf _NPROCESSORS_ONLN) + 2)) --dist loadfile $(ARGS)

# Every scenario, small; with DATABASE_URL and REDIS_URL on PostgreSQL with two workers. See docs/benchmarks.md.
bench: install
	$(BIN)/python -m benchmarks.run --short

# The sizes that figures are stated for.
bench-full: install
	$(BIN)/python -m benchmarks.run --full

# Ten rounds of every fault instead of one: the better part of an hour. Needs PostgreSQL and Redis servers, and for clocks that jump
# libfaketime; what is missing is told at the end.
test-faults: install
	FAULT_ROUNDS=$${FAULT_ROUNDS:-10} $(BIN)/python -m pytest tests/faults -o faulthandler_timeout=3600 $(ARGS)

# Mutated messages against decoder and answers, and texts against every parser in processes of their own; fails on any exception that is
# not promised, on a crash, or when memory grows.
fuzz: install
	$(BIN)/python -m tests.fuzz.run --cases $(or $(CASES),50000)

# Changes decisions, one condition after the other in a copy, and tells which changes no test noticed; see docs/architecture.md.
# Each change starts a test run. MODULES="agents/reply_parts.py …" judges these alone; SAMPLE is how many changes are drawn from a
# module whose tests need a database.
MUTATION := $(CURDIR)/.venv/mutation
MODULES ?= $(shell cut -d' ' -f1 tests/mutation/modules)
SAMPLE ?= 40
mutation: install
	rm -rf $(MUTATION) && $(PYTHON) -m venv $(MUTATION) && $(MUTATION)/bin/pip install -q --disable-pip-version-check 'cosmic-ray>=8.4,<9'
	mkdir $(MUTATION)/tree && git ls-files -z | tar --null -T - -cf - | tar -xf - -C $(MUTATION)/tree && ln -s $(CURDIR)/.venv $(MUTATION)/tree/.venv
	@set -e; cd $(MUTATION)/tree; export PATH="$(MUTATION)/bin:$$PATH"; for module in $(MODULES); do \
	  tests/mutation/prepare.sh "$$module" $(SAMPLE); run=$$(echo "$$module" | tr / .); cosmic-ray baseline "$$run.toml"; \
	  cosmic-ray exec "$$run.toml" "$$run.sqlite"; cr-report --show-diff --surviving-only "$$run.sqlite"; done

# Rewrites docs/conformance.md from the tests that name rules; needs Go and Node, for third-party agents show some.
conformance: install
	$(BIN)/python -m pytest -m rule --conformance=write $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory lint-templates
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(MAKE) --no-print-directory proto-check

# djade changes no line of HTML, so it cannot break long ones: that is for whoever writes them.
lint-templates: install
	find . -name '*.html' -not -path './.venv/*' | xargs $(BIN)/djade --check
	@! find . -name '*.html' -not -path './.venv/*' | LC_ALL=C.UTF-8 xargs grep -nE '.{161}' \
	  || { echo "lines above 160 characters"; exit 1; }

proto-check: install
	PYTHON=$(BIN)/python opamp_transport/proto/generate.sh --check

proto: install
	PYTHON=$(BIN)/python opamp_transport/proto/generate.sh

# Collects new texts for translation and compiles what is translated; needs gettext.
messages: install
	$(BIN)/python manage.py makemessages -l zh_Hans --no-location --no-obsolete --no-wrap --ignore .venv --ignore tests --ignore benchmarks -e html,py
	msgfmt --check -o templates/locale/zh_Hans/LC_MESSAGES/django.mo templates/locale/zh_Hans/LC_MESSAGES/django.po

# Rewrites the exact versions from the ranges of pyproject.toml.
lock:
	rm -rf .venv/lock && $(PYTHON) -m venv .venv/lock && .venv/lock/bin/pip install -q uv
	.venv/lock/bin/uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" pyproject.toml -o requirements/base.lock
	.venv/lock/bin/uv pip compile -q --python-version 3.11 --universal --generate-hashes --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" -c requirements/base.lock --extra dev pyproject.toml \
	  -o requirements/dev.lock

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.11 …"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.base: .venv/bin/python requirements/base.lock
	@$(BIN)/pip install $(EXACTLY) -r requirements/base.lock
	@touch $@

.venv/.dev: .venv/bin/python requirements/dev.lock
	@$(BIN)/pip install $(EXACTLY) -r requirements/dev.lock
	@touch $@ .venv/.base

clean:
	rm -rf .venv
