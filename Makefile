# Two commands for a fresh machine: `make demo`, `make test`. Python 3.11+ is all they need.
PYTHON ?= python3
BENCH_PYTHON ?= $(PYTHON)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INSTALLED := .venv-installed
LIBRECHAT := tests/librechat
MODELS := $(LIBRECHAT)/node_modules/.package-lock.json
BROWSER := tests/browser
WALKER := $(BROWSER)/node_modules/.package-lock.json

FUZZER := .venv-fuzzer
PEERS := .venv-peers

.PHONY: demo test test-long test-librechat test-browser check bench peers chaos crashes fuzz lock format docs clean

demo: $(READY)
	$(BIN)/librechat-watcher demo

# As many at once as there are cores: most of them wait for something. Each worker has a MongoDB of its own.
test: $(READY)
	$(BIN)/pytest tests -m "not long and not librechat and not browser" -n auto --dist worksteal

# What takes too long for every change and is neither chaos nor crashes.
test-long: $(READY)
	$(BIN)/pytest tests --ignore tests/chaos --ignore tests/crashes -m "long and not librechat and not browser" -n auto --dist worksteal

# LibreChat's published models do all that its users do (needs Node): docs/ACTIONS.md tells what.
test-librechat: $(READY) $(MODELS)
	$(BIN)/pytest tests/librechat

# A real Chromium walks over the page (needs Node and Debian's chromium).
test-browser: $(READY) $(WALKER)
	$(BIN)/pytest tests/browser

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/librechat-watcher mappings test
	$(BIN)/pytest tests/test_docs.py

# What is measured is the wheel with what requirements.lock pins, as in the image: no tests' tools in memory. As
# fast an interpreter as the image's is found where Python was built with PGO: make bench BENCH_PYTHON=/usr/bin/python3
# Writes docs/PERFORMANCE.md. Other questions: make bench BENCH="--only scan --rows 1000000"; `python -m bench --help`.
bench: $(READY) $(INSTALLED)/.ready peers
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .
	$(BIN)/python -m pip --python $(INSTALLED)/bin/python install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	$(BIN)/python -m bench --python $(INSTALLED)/bin/python $(BENCH)

# Others that the bench measures beside the watcher; one that cannot be installed is left out.
peers:
	-@$(MAKE) --no-print-directory --keep-going $(foreach peer,mq-bridge debezium mongo-broadcaster,$(PEERS)/$(peer)/.ready)

$(PEERS)/%/.ready: bench/peers/%.txt $(READY)
	$(BENCH_PYTHON) -m venv --without-pip $(PEERS)/$*
	$(BIN)/python -m pip --python $(PEERS)/$*/bin/python install --quiet --disable-pip-version-check -r $<
	@touch $@

chaos: $(READY)
	$(BIN)/pytest tests/chaos -m "long or not long" -s

# Every crash point, every second crash, and thousands of schedules: most of an hour.
crashes: $(READY)
	$(BIN)/pytest tests/crashes -m "long or not long" -s

# The API, held to its own description by schemathesis: three thousand requests, about two minutes.
fuzz: $(READY) $(FUZZER)/.ready
	$(BIN)/python -m tests.fuzz.serve $$(mktemp -d) -- $(FUZZER)/bin/schemathesis \
		--config-file tests/fuzz/schemathesis.toml run {openapi} --url {url} \
		-H "Authorization: Bearer fuzzed" --checks all --max-examples $(or $(EXAMPLES),100) --workers 1

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The generated parts: docs/EVENTS.md, docs/ACTIONS.md, the tables of docs/OPERATING.md, and Kubernetes' alerts.
docs: $(READY)
	$(BIN)/python -m docs.generate

# Pin every dependency again, with hashes, from pyproject.toml (needs uv).
lock:
	uv pip compile --universal --generate-hashes --no-header --python-version 3.11 -o requirements.lock pyproject.toml
	uv pip compile --universal --generate-hashes --no-header --python-version 3.11 --extra dev -o requirements-dev.lock pyproject.toml
	uv pip compile --universal --generate-hashes --no-header --python-version 3.11 --extra traces --constraint requirements-dev.lock -o requirements-traces.lock pyproject.toml

# Everything from the lock file, then this project itself, built by the pinned build backend.
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (PYTHON=python3.x make ...)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

$(INSTALLED)/.ready: requirements.lock $(READY)
	$(BENCH_PYTHON) -m venv --without-pip $(INSTALLED)
	$(BIN)/python -m pip --python $(INSTALLED)/bin/python install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# Pinned, in an environment of its own: what it brings along is no business of the tests.
$(FUZZER)/.ready:
	$(PYTHON) -m venv $(FUZZER)
	$(FUZZER)/bin/python -m pip install --quiet --disable-pip-version-check schemathesis==4.32.5
	@touch $@

$(MODELS): $(LIBRECHAT)/package-lock.json
	@if command -v npm >/dev/null; \
	then npm ci --prefix $(LIBRECHAT) --ignore-scripts --no-audit --no-fund && touch $@; \
	else echo "no npm on PATH: the tests of LibreChat's models will be skipped"; fi

$(WALKER): $(BROWSER)/package-lock.json
	npm ci --prefix $(BROWSER) --ignore-scripts --no-audit --no-fund && touch $@

clean:
	rm -rf $(LIBRECHAT)/node_modules $(BROWSER)/node_modules $(VENV) $(INSTALLED) $(FUZZER) $(PEERS) dist build
