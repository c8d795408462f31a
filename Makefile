# `make help` lists the targets. Everything is installed into .venv of the checkout; the machine
# needs make, and python3 >= 3.11 with venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PUBLISHED := .venv-published
PUBLISHED_LOCK := tests/cluster/images/quick-start/requirements.txt
CLUSTER_STATE := $(or $(OPSTRAND_CLUSTER_STATE),$(if $(filter 0,$(shell id -u)),/var/lib,$(HOME)/.local/state)/opstrand-cluster)
# The name of a stamp file is a checksum of the lock and of the checkout's path, which installed
# commands have in their first line: only a changed lock or a moved checkout installs again.
stamp = .installed-$(shell { pwd; cat $(1) 2>/dev/null; } | cksum | cut -d' ' -f1)
DEV_STAMP = .venv/$(call stamp,requirements-dev.txt pyproject.toml)
PUBLISHED_STAMP = $(PUBLISHED)/$(call stamp,$(PUBLISHED_LOCK))
PYTEST := $(BIN)/pytest -q
# The quick profile draws a quarter of the examples of property tests; `make test` and CI draw all.
FAST := $(if $(filter true,$(CI)),,PYTEST_ADDOPTS=--hypothesis-profile=quick)
# Without bytecode, each process of the tests compiles the whole package again, and pytest compiles
# every test file.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

# Make an environment unless a usable one exists. An incomplete one (Debian without python3-venv)
# has no pip; one that was moved with the checkout names its old path.
make_venv = $(1)/bin/pip --version 2>/dev/null | grep -qF '$(CURDIR)/$(1)/' || { \
  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); 3.11 or newer is needed: make PYTHON=python3.13 ..." >&2; exit 1; }; \
  $(PYTHON) -m venv --clear $(1); }

$(DEV_STAMP):
	@echo "installing into .venv (locked by hashes)"
	@$(call make_venv,.venv)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f .venv/.installed-* && touch $@

$(PUBLISHED_STAMP):
	@echo "installing the published polyaxon package into $(PUBLISHED) (locked by hashes)"
	@$(call make_venv,$(PUBLISHED))
	@$(PUBLISHED)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $(PUBLISHED_LOCK)
	@rm -f $(PUBLISHED)/.installed-* && touch $@

.PHONY: install published
install: $(DEV_STAMP) ## everything but the cluster, into .venv
published: $(PUBLISHED_STAMP) ## the published polyaxon package, into its own environment

.PHONY: demo
demo: install ## the echo program, without a cluster
	@echo '$$ opstrand run --local -f tests/samples/echo.yaml -P message="test 1" -l' >&2
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/opstrand run --local -f tests/samples/echo.yaml -P message="test 1" -l

.PHONY: demo-ui
demo-ui: install ## the pages in a browser, on runs of every sort, without a cluster
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/demo_ui.py

.PHONY: recording
recording: install ## docs/first-run.svg: the README's first commands in a terminal
	@$(BIN)/python tools/recording.py

.PHONY: check format
check: install ## format, lint, types, layers, generated files, refused words
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache 2>&1 | tail -n 12
	@$(BIN)/python -m opstrand.spec.crd.write --check
	@$(BIN)/python -m tests.support.refused_words
	@test ! -e operator/__init__.py || { echo "operator/__init__.py shadows the standard library: remove it"; exit 1; }
format: install ## let ruff fix and format the code
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

# TypeScript, which no user and no other check needs, has a lock of its own.
PAGE_TOOLS := .work/pages-tools-$(shell cat tools/pages/package-lock.json 2>/dev/null | cksum | cut -d' ' -f1)
$(PAGE_TOOLS):
	@mkdir -p $@ && cp tools/pages/package.json tools/pages/package-lock.json $@ \
	  && (cd $@ && npm ci --silent --no-audit --no-fund) || { rm -rf $@; exit 1; }
.PHONY: check-pages vendor
check-pages: install $(PAGE_TOOLS) ## types of the pages' modules, and their libraries against the npm registry (needs npm)
	@$(PAGE_TOOLS)/node_modules/.bin/tsc --project tools/pages/tsconfig.json
	@$(BIN)/python tools/vendor.py --check
vendor: install ## fetch the libraries of the pages that vendor/lock.json names
	@$(BIN)/python tools/vendor.py

.PHONY: crds golden lock
crds: install ## write crds/ and the names of fields from the models
	@$(BIN)/python -m opstrand.spec.crd.write
golden: install ## write the golden Pods; the diff is the review
	@OPSTRAND_GOLDEN=write $(PYTEST) tests/golden
lock: install ## resolve requirements.txt and requirements-dev.txt to the newest versions
	@for set in requirements requirements-dev; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --upgrade $$set.in -o $$set.txt; done

.PHONY: test test-fast test-local test-integration test-e2e test-pages
test-fast: install ## unit and golden: half a minute
	@$(FAST) $(BIN)/python tests/run.py unit
test-local: install published ## the command line, runs without a cluster, the published client, how work grows
	@$(PYTEST) tests/cli tests/local tests/conformance_client tests/growth
test-integration: install published ## a real API server and etcd, the real operator
	@$(PYTEST) tests/integration
test-e2e: install published ## real containers: needs `make cluster`
	@$(PYTEST) tests/e2e
test-pages: install browser ## the pages in Chromium, over the real API
	@$(PYTEST) tests/pages
test: check install published ## every tier that this machine can run; prints what it leaves out
	@# Where Chromium cannot be installed, the tier of the pages says so itself.
	@$(BIN)/python -m tests.cluster browser 2>/dev/null || true
	@$(BIN)/python tests/run.py

.PHONY: browser programs cluster cluster-down images install-cluster demo-cluster
browser: install ## install Chromium for the tests of the pages (Debian, root)
	@$(BIN)/python -m tests.cluster browser
programs: install ## build Kubernetes and etcd for the tests, once (some ten minutes on two cores)
	@$(BIN)/python -m tests.cluster programs
cluster: install ## start kind where Docker answers, else a Kubernetes on this machine (Linux, root)
	@$(BIN)/python -m tests.cluster up
cluster-down: install ## remove that cluster
	@$(BIN)/python -m tests.cluster down
images: install ## build the images that changed
	@$(BIN)/python -m tests.cluster images
install-cluster: images ## apply manifests/ to the cluster and wait for both Deployments
	@KUBECONFIG=$${KUBECONFIG:-$(CLUSTER_STATE)/kubeconfig} $(BIN)/python -m tests.support.install
demo-cluster: cluster install-cluster ## start a cluster, install opstrand, run the echo program
	@KUBECONFIG=$${KUBECONFIG:-$(CLUSTER_STATE)/kubeconfig} $(BIN)/opstrand run -f tests/samples/echo.yaml -P message="test 1" -l

.PHONY: bench
bench: install published ## our operator beside bare loops and plain Jobs; BENCH="--part throughput" is only that part
	@$(BIN)/python -m tests.bench $(BENCH)

COVERAGE := .work/coverage-$(shell cat tests/coverage/requirements.txt 2>/dev/null | cksum | cut -d' ' -f1)
$(COVERAGE):
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r tests/coverage/requirements.txt -t $@
.PHONY: coverage
coverage: install $(COVERAGE) ## branch coverage of the core by the tests of `make test-fast`
	@# Tests that bound CPU time are left out: counting branches takes CPU time too.
	@PYTHONPATH=$(COVERAGE) $(BIN)/python -m coverage run -m pytest -q tests/unit tests/golden -k "not within_a_second"
	@PYTHONPATH=$(COVERAGE) $(BIN)/python -m coverage report --fail-under=$(COVERED)
# The least percentage of lines and branches of opstrand.core.
COVERED := 95

IMAGE ?= localhost/opstrand
OUTPUT ?= dist
.PHONY: release
release: install ## VERSION=X.Y.Z: a dry run into dist/; with PUBLISH=1 IMAGE=REGISTRY/opstrand everything is pushed
	@$(if $(VERSION),,$(error say which: make release VERSION=X.Y.Z))$(BIN)/python tools/release.py $(VERSION) --image $(IMAGE) --output $(OUTPUT) $(if $(PUBLISH),--publish)

.PHONY: clean
clean: ## remove what make created in the checkout
	@rm -rf .venv $(PUBLISHED) .work dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache
