# `make demo` and `make test` do everything on a machine that has git, Python 3.11 with pip, make and a way to the
# package registries. What is missing beside that (uv, Node, Go) goes to .tools/; nothing outside the tree is changed
# but the caches of those tools and ~/.cache/paperjobs, which holds the control plane (its first build takes minutes).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach name,python3.11 python3 python,$(shell command -v $(name))))
UV := $(firstword $(shell command -v uv) .tools/uv/bin/uv)
BIN := .venv/bin
PYTEST := $(BIN)/pytest $(PYTEST_ARGS)

# Certificates: the machine's own, also behind a proxy that signs with its own authority.
export UV_SYSTEM_CERTS ?= 1
# An interpreter comes with the machine; uv would fetch one from elsewhere than a registry.
export UV_PYTHON_DOWNLOADS ?= never
# Without compiled files every start of a runner costs seconds.
unexport PYTHONDONTWRITEBYTECODE
# Another project's environment must not take the place of this one's.
unexport VIRTUAL_ENV

.PHONY: help setup demo test test-unit test-integration test-cluster test-promises test-e2e model fuzz eval bench chaos control-plane check format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.synced ## Install everything Python needs into .venv

demo: setup ## Run the sample papers through all of it on this machine, without a cluster
	$(BIN)/paperjobs demo

test: setup control-plane ## Run every test: unit, integration, cluster (a real control plane), the demo
	$(PYTEST)

test-unit: setup ## Run the tests that need nothing but Python
	$(PYTEST) tests/unit

test-integration: setup ## Run the tests against real Valkey, PostgreSQL, Node and the stand-ins
	$(PYTEST) tests/integration

test-cluster: setup control-plane ## Run the tests on a real Kubernetes control plane
	$(PYTEST) tests/cluster

test-promises: setup control-plane ## Run the tests that each replay a failure of others on real parts
	$(PYTEST) tests/promises

test-e2e: setup ## Run the demo as a test
	$(PYTEST) tests/e2e

model: setup ## Drive the engine through many more random schedules of faults (SCHEDULES=50000)
	PAPERJOBS_SCHEDULES=$(or $(SCHEDULES),20000) $(PYTEST) tests/model

fuzz: setup ## Feed the runner many more broken and hostile inputs (CASES=20 times as many, SEED=anything)
	PAPERJOBS_FUZZ_CASES=$(or $(CASES),10) PAPERJOBS_FUZZ_SEED=$(or $(SEED),$$RANDOM) $(PYTEST) tests/fuzz -s --timeout=0

eval: setup ## Measure how right the pipelines are: precision and recall per field (EVAL_ARGS="--verbose --json FILE --real")
	PYTHONPATH=tests $(BIN)/python -m eval $(EVAL_ARGS)

bench: setup control-plane ## Measure speed and cost, each figure beside a baseline (BENCH_ARGS="idle --json FILE")
	PYTHONPATH=tests $(BIN)/python -m bench $(BENCH_ARGS)

chaos: setup control-plane ## Kill the operator hundreds of times, and worse, and judge (CHAOS_ARGS="--seed N --kills 300")
	PYTHONPATH=tests $(BIN)/python -m chaos $(CHAOS_ARGS)

control-plane: setup ## Build etcd, kube-apiserver, kube-controller-manager, kubectl and helm, once
	@PYTHONPATH=tests $(BIN)/python -m support.controlplane_build

check: setup ## Check style, types and import directions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Repair style where a tool can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove what these targets made in the tree
	rm -rf .venv .tools tests/webapp/node_modules tests/webapp/dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/.synced: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --all-extras --compile-bytecode
	@touch $@

# pip installs beside the environment it runs in (--target), so neither a venv module nor root's rights are needed.
.tools/uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "Python is missing: install Python 3.11 with pip, or name it: make PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools/uv uv
