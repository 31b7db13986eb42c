# The usual commands of this project. `make` alone lists them.

# Where SwiftPM builds. Another folder keeps a second build apart from the first.
SCRATCH_PATH ?= .build
# Further arguments for every `swift build`, for example --jobs 2.
SWIFT_BUILD_FLAGS ?=

SWIFT_BUILD = swift build --scratch-path $(SCRATCH_PATH) $(SWIFT_BUILD_FLAGS)
PRODUCTS = server recover clearing-sim loadgen
SWIFT_SOURCES = Package.swift Sources Tests Benchmarks

# The programs that `run` and `demo` start; with a folder of installed programs in HOLDFAST_BIN_DIR nothing is built.
PROGRAMS = $(if $(HOLDFAST_BIN_DIR),,release)
PROGRAMS_DIR := $(or $(HOLDFAST_BIN_DIR),$(SCRATCH_PATH)/release)
run demo: export HOLDFAST_BIN_DIR = $(PROGRAMS_DIR)
export SCRATCH_PATH SWIFT_BUILD_FLAGS

.DEFAULT_GOAL := help
.PHONY: help setup build release run demo test lint format clean
.PHONY: syscall-faults
.PHONY: model
.PHONY: powercut
.PHONY: crash
.PHONY: mutants
.PHONY: fuzz tsan asan

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install the system packages that are missing and check the toolchain
	@scripts/setup

build: setup ## debug build of everything but the tests
	$(SWIFT_BUILD)

release: setup ## optimized build of the programs, in .build/release
	@set -e; for product in $(PRODUCTS); do \
	    echo "swift build -c release --product $$product"; \
	    $(SWIFT_BUILD) -c release --product $$product; \
	done

# One plain command, so that make starts it without a shell in between and a signal to make reaches it.
run: setup $(PROGRAMS) ## PostgreSQL, clearing simulator and server in the foreground (STATE_DIR, PORT, ... see scripts/run)
	@scripts/run

demo: setup $(PROGRAMS) ## a guided tour: payments, a crash in the middle of them, recovery
	@scripts/demo

# How many seeds `simulate` runs, or which: SEEDS=200, SEEDS=5000..6000. The default takes about a minute.
SEEDS ?= 1200
.PHONY: simulate

simulate: setup ## the coordinator in seeded worlds where everything goes wrong that may (SEEDS=n or A..B)
	$(SWIFT_BUILD) -c release --product simulate
	$(SCRATCH_PATH)/release/simulate --seeds $(SEEDS)

test: setup ## format, scripts, unit tests, integration tests
	@scripts/test

# FAULTS, CALLS, OCCURRENCES, PAYMENTS, SEED, PHASES: see the head of the script.
syscall-faults: setup ## fail and kill every system call that a workload makes on its log
	$(SWIFT_BUILD) --product LogWorkload
	@scripts/syscall-faults

# SEEDS, HEALTHY_SEEDS, STEPS, JOBS, QUICK: see the head of the script.
mutants: setup ## break each rule of the protocol in a copy of the sources; the simulator has to find it
	@scripts/mutants

model: ## check the protocol's models with spin (QUICK=1: a share of it; see docs/internals/model)
	@scripts/model

# IMAGES, SEED, SCENARIOS, ...: see the head of the script.
powercut: setup ## cut the power of a recorded disk at any moment and look at what is left of the log
	@scripts/power-cut

fuzz: setup ## libFuzzer on everything that takes bytes from outside (TIME=60 seconds each, TARGET=name, SEED=1)
	@TIME='$(TIME)' TARGET='$(TARGET)' SEED='$(SEED)' scripts/fuzz

tsan: setup ## the concurrent parts, and the programs under load, with the thread sanitizer
	@scripts/sanitize thread

asan: setup ## likewise with the address sanitizer
	@scripts/sanitize address

# SEED, ONLY (point, point:n or point:n:action; with SOAK an iteration), SHARE (each n-th plan), JOBS, SOAK (30m) as `crash --help` has them.
crash: build ## make the programs fail at every point, or at random ones for a time: make crash SOAK=30m SEED=7
	$(SCRATCH_PATH)/debug/crash $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(SHARE),--share $(SHARE)) \
	    $(if $(JOBS),--jobs $(JOBS)) $(if $(SOAK),--soak $(SOAK))

# BENCH_FLAGS: further arguments for each, for example --quick; BENCH: which, for example BENCH='log coordinator'.
.PHONY: bench bench-long
export BENCH_FLAGS RESULTS_DIR

bench: setup release ## measure everything against its references, within 20 minutes (BENCH='log ...', BENCH_FLAGS=--quick)
	$(SWIFT_BUILD) -c release --product bench
	@scripts/bench short $(BENCH)

bench-long: setup release ## the benchmarks that take long
	$(SWIFT_BUILD) -c release --product bench
	@scripts/bench long $(BENCH)

.PHONY: bench-report
bench-report: setup ## draw the reports in Benchmarks/results/reference into docs/reference
	$(SWIFT_BUILD) -c release --product bench
	$(SCRATCH_PATH)/release/bench report

lint: ## check the format of the Swift sources
	swift format lint --strict --parallel --recursive $(SWIFT_SOURCES)

format: ## format the Swift sources in place
	swift format --in-place --parallel --recursive $(SWIFT_SOURCES)

clean: ## remove what was built; STATE_DIR is left alone
	swift package --scratch-path $(SCRATCH_PATH) clean
