# Thin: every target calls one program that can be called without make too. `make` alone lists the targets.
CLUSTER ?= demo
DEMO ?=
PYTEST ?=
# a selection of the tests can't cover everything
COVERAGE = $(if $(PYTEST),,--cov)
# one cluster after the other: two at once are too much for two cores
KAAS_TEST_DOWN ?= 1

TEST_BIN = build/venv/bin
# PyYAML and jsonschema: from the test environment, or whatever Python has them
PYTHON = $(if $(wildcard $(TEST_BIN)/python),$(TEST_BIN)/python,python3)
LINT_BIN = build/lint-venv/bin
SHELL_FILES = $(shell git ls-files -co --exclude-standard | while read -r f; do \
	[ -f "$$f" ] && head -c 40 "$$f" | grep -aqE '^\#!/bin/(ba)?sh' && echo "$$f"; done)

.DEFAULT_GOAL := help
.PHONY: help lab demo lab-down status test test-all check lint artifacts validate conformance reference mutation bench clean env

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "make %-10s %s\n", $$1, $$2}'
	@echo 'CLUSTER=NAME chooses the cluster file pillar/clusters/NAME.sls (default: demo); PYTEST="..." adds arguments to pytest'

lab: ## bring up the lab: a Kubernetes cluster on this host, from whatever is there
	lab/lab --cluster $(CLUSTER) up

demo: ## tell what the running lab's cluster is for, step by step (DEMO="--yes", DEMO="blue-green", DEMO="--list")
	@lab/lab --cluster $(CLUSTER) demo $(DEMO)

lab-down: ## remove the lab's machines; with the last cluster also the engine and what it changed on the host
	lab/lab --cluster $(CLUSTER) down

status: ## show machines, nodes and how to use them
	lab/lab --cluster $(CLUSTER) status

artifacts: ## build the programs and images that the cluster installs
	lab/lab prerequisites
	artifacts/build

test: env ## everything: linters, then unit, render, live and lab tests (brings the lab up)
	@status=0; $(MAKE) --no-print-directory lint || status=1; \
	artifacts/build || exit 1; \
	echo 'left to make test-all: the conformance tests of Kubernetes (tests/lab/test_95_conformance.py is skipped unless they are built)'; \
	KAAS_TEST_DOWN=$(KAAS_TEST_DOWN) $(TEST_BIN)/pytest tests/unit tests/render tests/live tests/lab $(COVERAGE) $(PYTEST) || status=1; \
	exit $$status

test-all: env ## test, with the conformance tests that it leaves out: first a selection, at the end all (two hours)
	artifacts/build --with conformance
	$(MAKE) --no-print-directory test
	$(MAKE) --no-print-directory lab conformance

check: env lint ## linters, unit and render tests, the Vagrantfile: what needs no machines
	CLUSTER=$(CLUSTER) VAGRANT_HOME=$(CURDIR)/build/vagrant-home VAGRANT_DOTFILE_PATH=$(CURDIR)/build/vagrant-check \
	  VAGRANT_CHECKPOINT_DISABLE=1 vagrant validate --ignore-provider
	$(TEST_BIN)/pytest -q tests/unit tests/render $(COVERAGE) $(PYTEST)

lint: ## linters alone (all of them run, whatever the first one finds)
	@lab/lab venv lint > /dev/null
	@status=0; export PATH=$(CURDIR)/$(LINT_BIN):$$PATH; \
	check() { echo "$$1"; shift; "$$@" || status=1; }; \
	check ruff ruff check --quiet --output-format concise .; \
	check mypy mypy --no-error-summary; \
	check yamllint yamllint --strict .; \
	check salt-lint salt-lint $$(git ls-files -co --exclude-standard 'salt/*.sls'); \
	check shellcheck shellcheck $(SHELL_FILES); \
	exit $$status

validate: ## say what is wrong with the cluster file pillar/clusters/CLUSTER.sls (pillar/validate: with all of them)
	$(PYTHON) pillar/validate $(CLUSTER)

conformance: env ## the release's own conformance tests on the lab's cluster (an hour; docs/conformance.md)
	artifacts/build --with conformance
	$(TEST_BIN)/python tests/conformance.py run --cluster $(CLUSTER)

reference: ## write what is generated from tables: cluster.schema.json, docs/reference/pillar.md, the controls in docs/hardening.md
	$(PYTHON) pillar/reference
	$(PYTHON) tests/cis.py
	$(PYTHON) tests/conformance.py page

mutation: ## put small faults into checks, schema, PKI and topology: do the unit tests notice? (half an hour; docs/testing.md)
	lab/lab venv mutation
	build/mutation-venv/bin/python -W ignore tests/mutation.py

bench: env ## measure bring-up against kubeadm, the no-op highstate and memory
	bench/bench all

env:
	lab/lab prerequisites
	@lab/lab venv test > /dev/null
	@lab/lab venv lint > /dev/null

clean: ## remove all clusters and everything built (not the folder that KAAS_CACHE_DIR names)
	for file in pillar/clusters/*.sls; do lab/lab --cluster $$(basename $$file .sls) down || exit 1; done
	rm -rf build
