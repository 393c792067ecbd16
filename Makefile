# Everything that a fresh Debian 12 machine with Swift 6.3 needs to build, run and prove Portcullis.
#   make run    install what is missing, build, serve examples/quickstart.yaml
#   make test   install what is missing, build, run every test
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BUILD_PACKAGES := g++ make git pkg-config libcurl4-openssl-dev libhiredis-dev libjansson-dev libsimdjson-dev libre2-dev libjemalloc-dev liblz4-dev zlib1g-dev redis-server
RUN_PACKAGES := $(BUILD_PACKAGES) curl
TEST_PACKAGES := $(RUN_PACKAGES) procps redis-sentinel redis-tools prometheus prometheus-alertmanager openssl nghttp2-proxy
LINT_PACKAGES := git make lua5.1 python3 shellcheck
BENCH_PACKAGES := $(RUN_PACKAGES) redis-tools prometheus-alertmanager wrk python3
ALERTA_PACKAGES := $(BENCH_PACKAGES) python3-venv postgresql
INSTRUCTIONS_PACKAGES := $(RUN_PACKAGES) python3 valgrind
CONFIG ?= examples/quickstart.yaml
MINUTES ?= 60
SEED ?=
ROUNDS ?= 3
SECONDS ?= 5
FULL ?=
BASE ?=
LOAD = --rounds $(ROUNDS) --seconds $(SECONDS)
PORTCULLIS := .build/release/portcullis

.PHONY: help run build test soak demo readme bench bench-scaling bench-alerta bench-compare bench-kubernetes bench-sizing bench-hostile bench-document bench-micro bench-causes \
	instructions instructions-write lint format install-build install-run install-test install-lint install-bench \
	install-alerta install-instructions

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

run: install-run build ## build the release and serve examples/quickstart.yaml
	@scripts/what-to-post.sh
	@exec $(PORTCULLIS) serve --config $(CONFIG)

build: install-build ## build .build/release/portcullis
	swift build -c release --product portcullis --static-swift-stdlib
	@! grep --quiet --text PORTCULLIS_FAILPOINT $(PORTCULLIS) || { echo "$(PORTCULLIS) has fail points: see docs/decisions/0028" >&2; exit 1; }

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

bench: install-bench build ## every target of docs/performance.md, in ROUNDS (3) of SECONDS (5); FULL=1 for the long ones
	@Benchmarks/bench.py $(PORTCULLIS) $(LOAD) $(if $(FULL),--full)

bench-micro: install-build ## what the parts of a request's road cost, one by one
	swift build -c release --product portcullis-micro --static-swift-stdlib
	@.build/release/portcullis-micro <Benchmarks/alert.json

bench-causes: install-bench build ## what Redis's thread does, and the longest fsync beside a p99
	@Benchmarks/causes.py $(PORTCULLIS)

bench-scaling: install-bench build ## more hosts, connections, alerts a request, fingerprints
	@Benchmarks/scaling.py $(PORTCULLIS) $(LOAD)

bench-alerta: install-alerta build ## beside Alerta with PostgreSQL
	@Benchmarks/alerta.py $(PORTCULLIS) $(LOAD)

bench-compare: install-bench build ## this tree and BASE, a commit, under the same load in turns
	@Benchmarks/compare.sh "$(BASE)" $(PORTCULLIS) $(LOAD)

bench-kubernetes: install-bench build ## objects/s of the kubernetes sink, and a relist's time and memory
	swift build -c release --product test-api-server
	@Benchmarks/kubernetes.sh $(PORTCULLIS) .build/release/test-api-server

bench-sizing: install-bench build ## memory of Redis and of the host, for docs/operations.md
	@Benchmarks/sizing.sh $(PORTCULLIS)

bench-hostile: install-bench build ## peak memory for hostile bodies; fails over 12 times the body, 32 MiB and persist.replay
	@Benchmarks/hostile.py $(PORTCULLIS)

bench-document: ## put the newest results into docs/performance.md
	@Benchmarks/refresh.py

instructions: install-instructions build ## instructions per alert; fails at 5 % more than Benchmarks/instructions.txt
	@Benchmarks/instructions.py $(PORTCULLIS)

instructions-write: install-instructions build ## write Benchmarks/instructions.txt
	@Benchmarks/instructions.py $(PORTCULLIS) --write

lint: install-lint ## formatting and syntax, no build
	swift format lint --strict --recursive Sources Tests examples Package.swift
	@git ls-files 'Sources/*.lua' | xargs --no-run-if-empty --max-args=1 luac5.1 -p
	@git ls-files '*.sh' .ci/run | xargs shellcheck
	@git ls-files '*.py' | xargs python3 -B -c 'import ast, sys; [ast.parse(open(path).read(), path) for path in sys.argv[1:]]'

format: ## format the Swift sources in place
	swift format --in-place --recursive Sources Tests examples Package.swift

install-build: ; @scripts/install.sh $(BUILD_PACKAGES)
install-run: ; @scripts/install.sh $(RUN_PACKAGES)
install-lint: ; @scripts/install.sh $(LINT_PACKAGES)
install-test: ; @scripts/install.sh $(TEST_PACKAGES) && scripts/install-kubectl.sh
install-bench: ; @scripts/install.sh $(BENCH_PACKAGES)
install-alerta: ; @scripts/install.sh $(ALERTA_PACKAGES)
install-instructions: ; @scripts/install.sh $(INSTRUCTIONS_PACKAGES)
