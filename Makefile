# `make help` lists the targets. Each sets up what it needs; CI calls the same ones.
.DEFAULT_GOAL := help
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
RESULTS := .results
PYTEST = $(SUDO) env SKEP_RESULTS=$(abspath $(RESULTS)) .venv/bin/coverage run --data-file=$(RESULTS)/$(1).coverage -m pytest
OBJECTS := $(patsubst %.c,%.o,$(wildcard src/skep/*/*.bpf.c src/skep/*/*/*.bpf.c tests/programs/*.bpf.c tests/programs/*/*.bpf.c))
SECONDS := 600
GUESTS := test-6.12 test-6.1
# What the tests probe: the virtual machines have no compiler.
PROBED := tests/programs/probed tests/programs/runtime

BENCHES := startup memory compile ring rows ndjson mixed arrow perf loss maps percpu views steady bcc guard tools cycles strangers

.PHONY: help setup demo test test-all test-bcc test-compiled test-kernel test-pure $(GUESTS) fuzz check docs bench wheel clean
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: .venv/.run $(OBJECTS) ## packages, virtual environment, extension, built kernel files

demo: setup ## trace the opens of a real command
	$(SUDO) .venv/bin/skep run opensnoop -- ls /

test: .venv/.test $(OBJECTS) $(PROBED) ## every test: here, and on the kernels under QEMU
	rm -rf $(RESULTS) && mkdir $(RESULTS)
	$(MAKE) --jobs=3 --output-sync=target test-kernel $(GUESTS) test-pure
	.venv/bin/python tests/floors.py $(RESULTS)
	.venv/bin/python tests/hooks.py --check $(RESULTS)
	.venv/bin/python -m tests.tools --check $(RESULTS)
	.venv/bin/python tests/covered.py $(RESULTS)

# Parts of `test`, which has set up what they need. Each keeps one CPU busy, but test-kernel, which often waits: so they
# run side by side, on two CPUs. Guests see this folder, and cannot write to it: what they run is compiled before.
test-compiled:
	$(call PYTEST,compiled) tests/kernel -m compiles

test-kernel: test-compiled
	$(call PYTEST,kernel) tests/kernel tests/packaging -m "not compiles"

test-pure:
	$(call PYTEST,unit) tests/unit
	.venv/bin/python tests/fuzz/fuzz --seconds 75 --seed 1

$(GUESTS): test-%: test-compiled
	$(SUDO) tests/vm/run --kernel $* --timeout 1800 --collect $(RESULTS) -- \
		.venv/bin/python -m pytest tests/kernel tests/vm

test-bcc: .venv/.test ## Debian's bpfcc-tools, all of them as they are, here and on 6.12: docs/bcc.md
	$(SUDO) .venv/bin/python tests/bcc/all

test-all: export SKEP_ALL = 1
test-all: test ## every test on every floor, however long it takes

fuzz: .venv/.test $(OBJECTS) ## every reader of outside bytes, with inputs made to break it: SECONDS=600
	.venv/bin/python tests/fuzz/fuzz --seconds $(SECONDS)

check: .venv/.test $(OBJECTS) ## style, types, spelling, import directions, licences; pre-commit runs the same
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/codespell
	.venv/bin/mypy
	.venv/bin/python -m pytest tests/unit/test_checks.py tests/unit/test_rooms.py

docs: .venv/.docs $(OBJECTS) ## build/site/: the documentation; a warning or a dead link is an error
	rm -rf build/docs build/site && mkdir -p build && cp -r docs build/docs
	.venv/bin/python scripts/pages build/docs/reference
	.venv/bin/sphinx-build -q -W --keep-going build/docs build/site

bench: .venv/.bench $(OBJECTS) ## benchmarks beside the peers, then the tables of both READMEs: BENCHES="ring rows"
	for name in $(BENCHES); do $(SUDO) .venv/bin/python bench/run $$name || exit; done
	.venv/bin/python bench/report.py

wheel: .venv/.wheel ## dist/: a wheel that brings all it needs, and the source distribution
	rm -rf dist
	.venv/bin/python scripts/wheel dist

clean: ## removes all that was built
	rm -rf .venv build dist $(RESULTS) src/*.egg-info src/skep/_native/_libbpf*.so src/skep/_native/_libbpf.c $(OBJECTS) $(PROBED)

$(PROBED): %: %.c tests/programs/sdt.h
	$(CC) -O1 $(CFLAGS) -o $@ $<
# Stacks are walked by its frame pointers.
tests/programs/runtime: CFLAGS := -fno-omit-frame-pointer

%.bpf.o: %.bpf.c src/skep/spec/include/skep.h src/skep/tools/behaviour/behaviour.h src/skep/guard/live/threads.h | .venv/.run
	.venv/bin/skep build $<

.venv/.run .venv/.docs .venv/.wheel .venv/.test .venv/.bench: .venv/.%: pyproject.toml setup.py scripts/setup $(wildcard src/skep/_native/*.[ch] src/skep/_native/build.py)
	scripts/setup $*
	touch .venv/.run $@
