# `make help` lists the targets. `make demo` and `make test` need git, make, gcc, python3 (with venv
# and headers) and curl; they set up everything else by themselves, in .venv and build/.

PYTHON ?= python3
ARGS ?=
TIME ?= 30
CLANG ?= clang
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# Another interpreter gets its own environment: .venv-3.12 for PYTHON=python3.12.
ifeq ($(origin PYTHON),file)
VENV ?= .venv
else
VENV := .venv-$(shell $(PYTHON) -c 'import sys, sysconfig as s; print("%d.%d" % sys.version_info[:2] + ("t" if s.get_config_var("Py_GIL_DISABLED") else ""))')
endif
ifeq ($(VENV),.venv-)
$(error PYTHON=$(PYTHON) does not run)
endif
PY := $(VENV)/bin/python

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

C_LAYERS := base wire tcp ip link stack api
C_SOURCES := $(wildcard $(C_LAYERS:%=csrc/%/*.c))
C_HEADERS := $(wildcard $(C_LAYERS:%=csrc/%/*.h) csrc/include/*.h)
C_PYTHON := src/usertcp/_posted.c
C_INPUTS := $(C_SOURCES) $(C_HEADERS) $(wildcard csrc/*/*.def) $(C_PYTHON)

# -- set-up ---------------------------------------------------------------------------------------

# Without the compiled modules, which $(VENV)/.ext makes: tools install even where the engine does not compile.
INSTALL = UT_NO_EXT=1 $(PY) -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable

# Set-up talks on stderr only: the standard output belongs to the target.
$(VENV)/.made:
	@echo "making $(VENV) with $(PYTHON)" >&2
	@$(PYTHON) -m venv $(VENV) >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24' 'setuptools>=77' 'cffi>=2.0' >&2
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml
	@echo "installing usertcp into $(VENV)" >&2
	@$(INSTALL) . >&2
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	@echo "installing usertcp[frameworks,plot,test,trio] into $(VENV)" >&2
	@$(INSTALL) '.[frameworks,plot,test,trio]' >&2
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.made pyproject.toml
	@echo "installing usertcp[bench] into $(VENV)" >&2
	@$(INSTALL) '.[bench]' >&2
	@touch $@ $(VENV)/.run

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo "installing usertcp[dev] into $(VENV)" >&2
	@$(INSTALL) '.[dev]' >&2
	@touch $@ $(VENV)/.run $(VENV)/.test $(VENV)/.bench

# The modules in src/usertcp; only what changed is compiled. The stamp carries the time at which the
# build began: what is edited meanwhile is newer.
BUILD_EXT = $(PY) setup.py --quiet build_ext --inplace
$(VENV)/.ext: $(C_INPUTS) csrc/_build.py setup.py | $(VENV)/.run
	@touch $@.begun
	@$(BUILD_EXT) >&2
	@mv $@.begun $@
$(VENV)/.ext-test: $(C_INPUTS) csrc/_build.py setup.py | $(VENV)/.test
	@touch $@.begun
	@UT_WHITEBOX=1 $(BUILD_EXT) >&2
	@$(PY) tools/core_stub.py
	@cp -p $@.begun $(VENV)/.ext
	@mv $@.begun $@

.PHONY: build ext
build: $(VENV)/.test $(VENV)/.ext-test ## make .venv with the test tools and build the engine in place
ext: $(VENV)/.ext-test ## rebuild the compiled modules after a change in csrc/ (seconds)

# -- for everyone ---------------------------------------------------------------------------------

.PHONY: help demo test sim goodput snapshot model paths bench docs
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.run $(VENV)/.ext ## real TCP in a private network, checked (ARGS=--json for a machine)
	@$(PY) -m usertcp demo $(ARGS)

test: build ## the whole suite (ARGS="-k name" and the like)
	@$(PY) -m pytest -n $(JOBS) --dist worksteal -q $(ARGS)

sim: build ## worlds of faults from seeds (SEEDS=1000 FIRST=0 FAILURES=5), or one (SEED=7 WITHOUT='a memory')
	@$(PY) tools/simulate.py $(if $(SEED),--seed '$(SEED)' --without '$(WITHOUT)', \
	  --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),0) --failures $(or $(FAILURES),5) --jobs $(JOBS)) $(ARGS)

model: build ## the small model of RFC 9293 3.10, deeper than in the suite: minutes (DEPTH=3)
	@MODEL_DEPTH=$(or $(DEPTH),3) $(PY) -m pytest -n $(JOBS) --dist worksteal -q -rP tests/tcp/model/test_small_model.py $(ARGS)

paths: $(VENV)/.bench $(VENV)/.ext ## kernel and usertcp over the same impaired path: 20 minutes (ARGS="--json FILE")
	@$(PY) benchmarks/paths.py $(ARGS)

goodput: build ## the table of docs/design/goodput-table.md anew, ten seeds of 300 s: minutes
	@$(PY) tests/sim/snapshots/goodput.py --jobs $(JOBS) $(ARGS)

snapshot: build ## the table of docs/design/congestion-table.md anew (CHECK=1: compare only)
	@$(PY) tests/sim/snapshots/congestion.py --jobs $(JOBS) $(if $(CHECK),--check) $(ARGS)

bench: $(VENV)/.bench $(VENV)/.ext ## against the kernel's TCP (ARGS="--quick --json FILE")
	@$(PY) benchmarks/against_kernel.py $(ARGS)

docs: $(VENV)/.dev $(VENV)/.ext ## the documentation as a site in build/site
	@$(PY) tools/requirements.py
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict --site-dir build/site

# -- for developers -------------------------------------------------------------------------------

.PHONY: check lint lint-c lint-python lint-format types format san tsan fuzz fuzz-build instructions wheel wheels
.PHONY: differential foreign packetdrill packetdrill-adapter test-all-pythons clean
check: ## everything CI runs
	@tools/check $(ARGS)

C_WARN := -std=gnu11 -D_GNU_SOURCE -Icsrc -pthread -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wvla -Wundef -Werror

lint: lint-python lint-c lint-format ## style and warnings, Python and C
lint-python: $(VENV)/.dev
	@$(PY) -m ruff check --quiet .
lint-format: $(VENV)/.dev
	@$(PY) -m ruff format --quiet --check . || { $(PY) -m ruff format --check . | grep -v already >&2; false; }
	@$(VENV)/bin/clang-format --dry-run -Werror $(C_SOURCES) $(C_PYTHON) $(C_HEADERS) $(wildcard tests/fuzz/*.[ch])
# Every file alone, headers too: each must include what it needs. With optimisation, since gcc finds
# uses of uninitialised variables only then.
lint-c: $(VENV)/.made
	@printf '%s\n' $(C_SOURCES) | xargs -P $(JOBS) -I{} gcc $(C_WARN) -O2 -c {} -o /dev/null
	@printf '%s\n' $(C_SOURCES) | xargs -P $(JOBS) -I{} gcc $(C_WARN) -O2 -DUT_CHECKS=1 -c {} -o /dev/null
	@gcc $(C_WARN) -O2 -isystem $$($(PY) -c 'import sysconfig; print(sysconfig.get_path("include"))') \
	  -DPy_LIMITED_API=0x030B0000 -c $(C_PYTHON) -o /dev/null
	@printf '%s\n' $(C_HEADERS) | xargs -P $(JOBS) -I{} gcc $(C_WARN) -Wno-unused-function -fsyntax-only -x c {}
	@if command -v $(CLANG) >/dev/null; then \
	  printf '%s\n' $(C_SOURCES) | xargs -P $(JOBS) -I{} $(CLANG) $(C_WARN) -fsyntax-only {}; \
	else echo "lint-c: no $(CLANG) here, gcc only" >&2; fi

# pyright looks at the package as its users' type checkers do: what is installed, by its py.typed.
types: $(VENV)/.dev ## mypy, strict, and pyright over the public names: all of them typed
	@$(PY) -m mypy
	@mkdir -p build
	@PATH="$(abspath $(VENV))/bin:$$PATH" PYRIGHT_PYTHON_IGNORE_WARNINGS=1 pyright --verifytypes usertcp \
	  --ignoreexternal >build/verifytypes.txt || { cat build/verifytypes.txt >&2; false; }
	@grep '^Type completeness' build/verifytypes.txt

format: $(VENV)/.dev ## ruff and clang-format, in place
	@$(PY) -m ruff check --quiet --fix-only .
	@$(PY) -m ruff format --quiet .
	@$(VENV)/bin/clang-format -i $(C_SOURCES) $(C_PYTHON) $(C_HEADERS) $(wildcard tests/fuzz/*.[ch])

# A second copy of the package under build/san, so that the ordinary one stays as it is.
SAN := build/san
SAN_ENV = PYTHONPATH=$(SAN)/lib PYTHONMALLOC=malloc PATH="$(CURDIR)/$(SAN)/bin:$$PATH" \
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:handle_segv=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# Programs that tests start and that do not bear the preloaded run-time library (curl hangs).
SAN_FREE := curl h2load ip iperf3 nft ping ss tcpdump tshark wrk
san: $(VENV)/.test ## the whole suite with AddressSanitizer and UndefinedBehaviorSanitizer
	@rm -rf $(SAN)/lib && mkdir -p $(SAN)/lib && cp -r src/usertcp $(SAN)/lib/
	@rm -f $(SAN)/lib/usertcp/*.so
	@mkdir -p $(SAN)/bin; for tool in $(SAN_FREE); do \
	  printf '#!/bin/sh\nunset LD_PRELOAD\nPATH=$${PATH#*:} exec %s "$$@"\n' $$tool >$(SAN)/bin/$$tool; \
	  chmod +x $(SAN)/bin/$$tool; done
	@CC=gcc UT_WHITEBOX=1 UT_SANITIZE=address,undefined $(PY) setup.py --quiet build_ext \
	  --build-lib $(SAN)/lib >&2
	@$(SAN_ENV) $(PY) -m pytest -n $(JOBS) --dist worksteal -q -p no:cacheprovider $(ARGS)

# Programs with threads of their own (tests/threads), with ThreadSanitizer.
tsan: ## the pump thread with ThreadSanitizer
	@mkdir -p build/tsan; for program in $(wildcard tests/threads/*.c); do \
	  name=build/tsan/$$(basename $$program .c); \
	  gcc -std=gnu11 -D_GNU_SOURCE -O1 -g -fsanitize=thread -Icsrc -pthread -o $$name $$program \
	    $(filter-out csrc/api/whitebox%,$(C_SOURCES)) && TSAN_OPTIONS=halt_on_error=1 timeout 120 $$name || exit 1; \
	done

# libFuzzer targets: each tests/fuzz/fuzz_NAME.c with the whole engine; corpus/NAME and NAME.dict.
FUZZ := build/fuzz
FUZZ_FLAGS := -std=gnu11 -D_GNU_SOURCE -Icsrc -Itests/fuzz -DUT_CHECKS=1 -O1 -g -pthread -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,$(FUZZ)/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJECTS := $(patsubst csrc/%.c,$(FUZZ)/csrc/%.o,$(C_SOURCES))
FUZZ_COMMON := $(patsubst %.c,$(FUZZ)/%.o,$(filter-out tests/fuzz/fuzz_%.c,$(wildcard tests/fuzz/*.c)))
$(FUZZ)/csrc/%.o: csrc/%.c
	@mkdir -p $(@D)
	@$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -c $< -o $@
# Random numbers tell the fuzzer nothing, and comparing words is most of what they would cost.
$(FUZZ)/csrc/base/siphash.o $(FUZZ)/csrc/base/rand.o: $(FUZZ)/csrc/%.o: csrc/%.c
	@mkdir -p $(@D)
	@$(CLANG) $(FUZZ_FLAGS) -O2 -MMD -c $< -o $@
$(FUZZ)/tests/fuzz/%.o: tests/fuzz/%.c
	@mkdir -p $(@D)
	@$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -c $< -o $@
$(FUZZ)/fuzz_%: $(FUZZ)/tests/fuzz/fuzz_%.o $(FUZZ_COMMON) $(FUZZ_OBJECTS)
	@$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer $^ -o $@
-include $(FUZZ_OBJECTS:.o=.d) $(wildcard $(FUZZ)/tests/fuzz/*.d)
.SECONDARY:

fuzz-build: $(FUZZ_TARGETS)
fuzz: ## every fuzz target for TIME seconds (TIME=30)
	@$(MAKE) -j$(JOBS) fuzz-build
	@$(PYTHON) tools/fuzz.py --seconds $(TIME) --jobs $(JOBS)

differential: build ## the same programs into the engine and into this machine's kernel (SEEDS=500)
	@SEEDS=$(or $(SEEDS),500) $(PY) -m pytest -n $(JOBS) --dist worksteal -q tests/differential $(ARGS)

# Our engine behind packetdrill's table of functions: tests/conformance/packetdrill/README.md.
DOOR := build/packetdrill
DOOR_SOURCES := $(wildcard tests/conformance/packetdrill/*.c)
DOOR_FLAGS := $(C_WARN) -fPIC -O1 -g -DUT_CHECKS=1 -fvisibility=hidden
packetdrill-adapter: $(DOOR)/adapter.so ## our engine as packetdrill loads it, in build/packetdrill
$(DOOR)/adapter.so: $(DOOR_SOURCES) $(wildcard tests/conformance/packetdrill/*.h) $(C_INPUTS)
	@mkdir -p $(@D)
	@gcc $(DOOR_FLAGS) -shared -o $@ $(DOOR_SOURCES) $(filter-out csrc/api/whitebox%,$(C_SOURCES)) -ldl

# PACKETDRILL is the program, SCRIPTS a folder of scripts; neither is part of the project.
packetdrill: $(DOOR)/adapter.so $(VENV)/.test ## scripts through it (PACKETDRILL=/path SCRIPTS=/path ARGS=-v)
	@$(PY) tests/conformance/packetdrill/run.py --packetdrill '$(PACKETDRILL)' --scripts '$(SCRIPTS)' $(ARGS)

# Nightly (.ci/nightly). Sources come from PyPI and GitHub, into build/foreign. Needs namespaces, nft.
foreign: $(VENV)/.run $(VENV)/.ext ## other projects' tests over our sockets, and the kernel's
	@$(PY) tools/foreign_suites.py $(ARGS)

instructions: $(VENV)/.bench $(VENV)/.ext ## callgrind counts against their budget
	@$(PY) benchmarks/instructions.py --check $(ARGS)

wheel: $(VENV)/.made ## an abi3 wheel in dist/
	@rm -rf build/lib* build/bdist*
	@$(PY) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . >&2

# Other machines' wheels: `cibuildwheel` (pyproject.toml), which needs its container images.
wheels: $(VENV)/.dev ## sdist and wheels for this machine in dist/, audited, and tried in fresh environments
	@$(PY) tools/wheels.py --keep dist

test-all-pythons: ## the suite, installed from a wheel, on every CPython >= 3.11 of this machine
	@tools/all-pythons $(ARGS)

clean: ## remove what was built (not the environments)
	@rm -rf build dist site src/*.egg-info
	@find src tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	@rm -f src/usertcp/*.so .venv*/.ext .venv*/.ext-test
