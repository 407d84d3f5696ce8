# Every target that CI calls is here; .ci/run only calls them. `make` alone checks everything.
VENV ?= .venv
PYTHON ?= $(VENV)/bin/python
BIN = $(dir $(PYTHON))
CARGO_TARGET_DIR ?= $(CURDIR)/rust/target
CARGO = CARGO_TARGET_DIR=$(CARGO_TARGET_DIR) cargo
MANIFEST = --manifest-path rust/Cargo.toml --locked
KERNEL = src/aurora_ingest/_kernel.abi3.so
KERNEL_SOURCES = rust/Cargo.toml rust/Cargo.lock $(shell find rust/src -name '*.rs')
DEMO_ARCHIVE = tests/data/standalone-accel
ifeq ($(PYTHON),$(VENV)/bin/python)
SETUP = $(VENV)/.installed
endif

.DEFAULT_GOAL = check
.PHONY: check setup kernel postgres chromium format format-check lint types cargo-test pytest test generate generator-check docs docs-check demo bench clean flink-programs flink-up flink-down test-flink go-programs

check: format-check lint types generator-check docs-check test  ## everything that CI checks

# --- Setting up -------------------------------------------------------------------------------------------------------
setup: $(SETUP) $(KERNEL)  ## virtual environment with all dependencies and the kernel

$(VENV)/.installed: pyproject.toml setup.py
	@command -v cargo >/dev/null || { echo "cargo is missing: the kernel is written in Rust; install a Rust toolchain (rustup.rs)" >&2; exit 1; }
	test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $(KERNEL) $@

kernel: $(KERNEL)  ## build the Rust kernel into src/aurora_ingest

$(KERNEL): $(KERNEL_SOURCES) | $(SETUP)
	PYO3_NO_PYTHON=1 $(CARGO) build $(MANIFEST) --release --lib --features python
	install -m 755 $(CARGO_TARGET_DIR)/release/lib_kernel.so $@.new
	mv $@.new $@

postgres:  ## PostgreSQL's server programs, for the tests that need them
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; \
	  else echo "PostgreSQL's server programs (initdb) are missing; install the package postgresql" >&2; exit 1; fi; }

chromium:  ## Debian's Chromium, for the tests of the page
	@test -x /usr/bin/chromium || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	  else echo "Chromium is missing at /usr/bin/chromium; install the package chromium" >&2; exit 1; fi; }

flink-programs:  ## Java and Maven, for the local Flink cluster
	@{ command -v java && command -v javac && command -v mvn; } >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jdk-headless maven >/dev/null; \
	  else echo "Java or Maven is missing; install the packages openjdk-17-jdk-headless and maven" >&2; exit 1; fi; }

go-programs:  ## Google's emulator and Beam's runner Prism, which tests would build otherwise
	python3 tests/go_programs.py

# --- Checking ---------------------------------------------------------------------------------------------------------
format: $(SETUP)  ## write every source in its one form
	$(BIN)ruff format
	$(BIN)ruff check --fix
	cargo fmt --manifest-path rust/Cargo.toml

format-check: $(SETUP)
	$(BIN)ruff format --check
	cargo fmt --manifest-path rust/Cargo.toml --check

lint: $(SETUP)  ## style, import directions, clippy
	$(BIN)ruff check
	PYTHONPATH=src $(BIN)lint-imports
	$(CARGO) clippy $(MANIFEST) --features python --all-targets -- -D warnings

types: setup  ## mypy, and the kernel against its stub
	MYPYPATH=src $(BIN)mypy -p aurora_ingest
	PYTHONPATH=src $(PYTHON) -m mypy.stubtest aurora_ingest._kernel

generator-check: $(SETUP)  ## the generated XDR code is what the generator writes
	$(PYTHON) rust/xdrgen/generate.py --check

generate: $(SETUP)  ## write the generated XDR code
	$(PYTHON) rust/xdrgen/generate.py

docs: setup  ## write the generated pages: command line and tables
	PYTHONPATH=src $(PYTHON) docs/generate.py

docs-check: setup  ## the generated pages are up to date, and links lead somewhere
	PYTHONPATH=src $(PYTHON) docs/generate.py --check

cargo-test:
	$(CARGO) test $(MANIFEST) --quiet

pytest: setup postgres chromium flink-programs
	$(PYTHON) -m pytest

test-flink: setup postgres flink-programs  ## only what runs on Flink
	$(PYTHON) -m pytest tests/flink

test: setup postgres chromium flink-programs cargo-test pytest  ## set up and pass every test

# --- Trying -----------------------------------------------------------------------------------------------------------
demo: setup  ## set up, and make tables from the small archive in tests/data
	rm -rf demo && mkdir demo
	PYTHONPATH=src $(PYTHON) -m aurora_ingest db migrate --db-url sqlite:///demo/aurora.db
	PYTHONPATH=src $(PYTHON) -m aurora_ingest build-state --network standalone --checkpoint-frequency 8 \
	  --history-archive-url file://$(CURDIR)/$(DEMO_ARCHIVE) --checkpoint 95 --db-url sqlite:///demo/aurora.db --work-dir demo/work

flink-up: setup flink-programs  ## start a local Flink cluster
	PYTHONPATH=src $(PYTHON) -m aurora_ingest flink up

flink-down: setup  ## end it
	PYTHONPATH=src $(PYTHON) -m aurora_ingest flink down

bench: setup postgres  ## measure, peers beside ours; see docs/performance.md
	PYTHONPATH=src $(PYTHON) benchmarks/run.py

clean:  ## remove what was built
	rm -rf build dist demo rust/target $(KERNEL) src/*.egg-info $(VENV)
