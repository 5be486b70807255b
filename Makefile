# Everything a developer runs. `make` alone lists it.
#
# Needs Python 3.11 or newer and nothing else: uv is installed into .tools, the development environment is .venv, and the
# demo's, which is smaller, .venv-demo. Stamp files in them make a second run start at once.
#
# Locking: hash-pinned requirement files instead of a uv.lock, because a uv.lock writes the address of the index it was
# made from into the tree; a requirement file with hashes installs the same files from any index or mirror.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV      = .tools/bin/uv
RUN     = .venv/bin/
COMPILE = --universal --python-version 3.11 --generate-hashes --no-header --quiet
PEERS   = benchmarks/peers/requirements
# Tests with servers and load, which run by themselves: a flight of the demo finds no slow phase on a machine that is slow all over.
SERVED  = tests/e2e tests/stress
# What describes the distribution: when it changes, the editable install is made again.
PROJECT = pyproject.toml src/radiosonde/_version.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-backends test-browser test-perses fuzz oracle soak test-matrix check fmt docs bench lock clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

demo: .venv-demo/.ready ## fly the demo: a real model on real flights, three incidents, three findings (DEMO=--healthy: none)
	@exec .venv-demo/bin/radiosonde demo $(DEMO)

test: .venv/.ready ## run the test suite but for the slow ones (T=tests/unit: a part of it, with them)
ifdef T
	@exec $(RUN)python -m pytest $(T)
else
	$(RUN)python -m pytest -n 2 --dist loadfile -m "not slow" tests $(SERVED:%=--ignore=%)
	@exec $(RUN)python -m pytest -m "not slow" $(SERVED)
endif

test-slow: .venv/.ready ## run the slow tests: servers, task queues, the demo, every documentation page
	@exec $(RUN)python -m pytest -m slow tests

test-backends: .venv-backends/.ready ## read one service by Prometheus, ClickHouse, DuckDB, diagnose and watch, and compare what they say
	@exec .venv-backends/bin/python -m pytest $(or $(T),tests/backends)

test-browser: .venv-browser/.ready ## drive the desk in Chromium: interactions, security policy, accessibility (needs chromium and chromedriver)
	@exec .venv-browser/bin/python -m pytest $(or $(T),tests/browser)

test-perses: .venv/.ready .perses/page.js ## draw the Perses dashboards with Perses's own components (needs npm, and 400 MB)
	@exec $(RUN)python -m pytest tests/perses

fuzz: .venv/.ready ## 20 000 hostile inputs, outputs and names in two processes (FUZZ_CASES=N, FUZZ_SEED=N: others)
	FUZZ_CASES=$(or $(FUZZ_CASES),20000) FUZZ_SHARDS=2 $(RUN)python -m pytest -q -n 2 tests/stress/test_hostile_inputs.py

oracle: .venv/.ready ## 5 000 drawn tables and feeds of labels and 250 kills, held against pandas and scikit-learn (ORACLE_EXAMPLES=N: others)
	ORACLE_EXAMPLES=$(or $(ORACLE_EXAMPLES),5000) $(RUN)python -m pytest -q -n 2 tests/property/test_table_oracle.py tests/property/test_killed_oracle.py

soak: .venv/.ready ## serve under a steady load for ten minutes: memory, descriptors and counts (SOAK_S=N: as many seconds)
	SOAK_S=$(or $(SOAK_S),600) $(RUN)python -m pytest -q -s tests/stress/test_soak.py

test-matrix: $(UV) ## oldest and newest version of every observed library (M="scikit-learn xgboost": these)
	@exec $(PYTHON) tests/matrix/run.py $(M)

check: .venv/.ready ## format, lint, import contracts, types, documentation; changes no source
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)lint-imports --no-logo --no-cache
	for generator in tools/generate_*.py; do $(RUN)python $$generator --check || exit 1; done
	$(RUN)mypy
	$(RUN)mypy tests/typing
	$(RUN)pyright
	@# Not --quiet: it hides warnings from --strict.
	@mkdir -p build
	NO_MKDOCS_2_WARNING=1 $(RUN)mkdocs build --strict > build/mkdocs.log 2>&1 || { cat build/mkdocs.log; exit 1; }

fmt: .venv/.ready ## format and fix what can be fixed
	$(RUN)ruff check --fix .
	$(RUN)ruff format .

docs: .venv/.ready ## build the documentation into build/site (DOCS=serve: serve it on 127.0.0.1:8000 and rebuild on change)
	NO_MKDOCS_2_WARNING=1 $(RUN)mkdocs $(or $(DOCS),build --strict)

bench: .venv/.ready ## measure overhead beside its budgets (B="--help" lists the parts)
	@exec $(RUN)python -m benchmarks $(B)

lock: $(UV) ## remake the locked requirements from pyproject.toml
	$(UV) pip compile --upgrade $(COMPILE) --extra demo -o requirements/demo.txt pyproject.toml
	$(UV) pip compile --upgrade $(COMPILE) --all-extras --group dev -c requirements/demo.txt -o requirements/dev.txt pyproject.toml
	$(UV) pip compile --upgrade $(COMPILE) --all-extras --group dev --group backends -c requirements/dev.txt -o requirements/backends.txt pyproject.toml
	$(UV) pip compile --upgrade $(COMPILE) --all-extras --group dev --group browser -c requirements/dev.txt -o requirements/browser.txt pyproject.toml
	$(UV) pip compile --upgrade $(COMPILE) -c requirements/dev.txt -o $(PEERS)/radiosonde_all.txt pyproject.toml
	for needs in $(PEERS)/*.in; do $(UV) pip compile --upgrade $(COMPILE) -o $${needs%.in}.txt $$needs || exit 1; done

clean: ## remove environments, caches and builds
	rm -rf .tools .venv .venv-backends .venv-browser .venv-demo .perses .bench-peers dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(UV):
	@test -n "$(PYTHON)" || { echo "No python3 found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Radiosonde needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) -V 2>&1`. Name another: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv

# One page of them all. Without a lock file, which would write the registry's address into the tree; direct requirements are exact.
.perses/page.js: $(wildcard tests/perses/page/*)
	mkdir -p .perses && cp tests/perses/page/* .perses/
	cd .perses && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --legacy-peer-deps
	cd .perses && node_modules/.bin/esbuild page.jsx --bundle --format=esm --outfile=page.js --jsx=automatic --log-level=error \
		--main-fields=browser,module,main --define:global=globalThis '--define:process.env.NODE_ENV="production"' \
		--loader:.woff=dataurl --loader:.woff2=dataurl --loader:.svg=dataurl

.venv/.ready: requirements/dev.txt $(PROJECT) | $(UV)
.venv-backends/.ready: requirements/backends.txt $(PROJECT) | $(UV)
.venv-browser/.ready: requirements/browser.txt $(PROJECT) | $(UV)
.venv-demo/.ready: requirements/demo.txt $(PROJECT) | $(UV)
.venv/.ready .venv-backends/.ready .venv-browser/.ready .venv-demo/.ready:
	@test -x $(@D)/bin/python || $(UV) venv --quiet --python $(PYTHON) $(@D)
	VIRTUAL_ENV=$(@D) $(UV) pip sync --quiet --require-hashes $<
	VIRTUAL_ENV=$(@D) $(UV) pip install --quiet --no-deps -e .
	@touch $@
