# Everything that a fresh Debian 12 machine with Swift 6.3 needs to build, run and prove Portcullis.
#   make run    install what is missing, build, serve examples/quickstart.yaml
#   make test   install what is missing, build, run every test
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BUILD_PACKAGES := g++ make git pkg-config libcurl4-openssl-dev libhiredis-dev libjansson-dev libsimdjson-dev libre2-dev zlib1g-dev redis-server
RUN_PACKAGES := $(BUILD_PACKAGES) curl
TEST_PACKAGES := $(RUN_PACKAGES) procps redis-sentinel redis-tools prometheus prometheus-alertmanager openssl nghttp2-proxy
LINT_PACKAGES := git make lua5.1 shellcheck
BENCH_PACKAGES := $(RUN_PACKAGES) redis-tools prometheus-alertmanager wrk
CONFIG ?= examples/quickstart.yaml
MINUTES ?= 60
SEED ?=
PORTCULLIS := .build/release/portcullis

.PHONY: help run build test soak demo readme bench lint format install-build install-run install-test install-lint install-bench

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: install-run build ## build the release and serve examples/quickstart.yaml
	@scripts/what-to-post.sh
	@exec $(PORTCULLIS) serve --config $(CONFIG)

build: install-build ## build .build/release/portcullis
	swift build -c release --product portcullis

test: install-test ## build once, run every test
	swift build --build-tests
	@scripts/test.sh

soak: install-test ## run random cells of the fault matrix for MINUTES (60), from SEED
	swift build --build-tests
	@scripts/soak.sh $(MINUTES) $(SEED)

demo: install-run build ## the story of the README, by itself
	@scripts/demo.sh $(PORTCULLIS)

readme: install-run build ## put the demo's output into README.md
	@scripts/refresh-readme.sh $(PORTCULLIS)

bench: install-bench build ## requests/s beside redis-benchmark and Alertmanager, a 503's time, memory, objects/s, a relist's memory
	@Benchmarks/load.sh $(PORTCULLIS)
	@Benchmarks/outage.sh $(PORTCULLIS)
	@Benchmarks/sizing.sh $(PORTCULLIS)
	swift build -c release --product test-api-server
	@Benchmarks/kubernetes.sh $(PORTCULLIS) .build/release/test-api-server

lint: install-lint ## formatting and syntax, no build
	swift format lint --strict --recursive Sources Tests examples Package.swift
	@git ls-files 'Sources/*.lua' | xargs --no-run-if-empty --max-args=1 luac5.1 -p
	@git ls-files '*.sh' .ci/run | xargs shellcheck

format: ## format the Swift sources in place
	swift format --in-place --recursive Sources Tests examples Package.swift

install-build: ; @scripts/install.sh $(BUILD_PACKAGES)
install-run: ; @scripts/install.sh $(RUN_PACKAGES)
install-lint: ; @scripts/install.sh $(LINT_PACKAGES)
install-test: ; @scripts/install.sh $(TEST_PACKAGES) && scripts/install-kubectl.sh
install-bench: ; @scripts/install.sh $(BENCH_PACKAGES)
