# Every target that CI calls is here; .ci/run only calls them.
PYTHON ?= /work/venv/bin/python
CARGO_TARGET_DIR ?= $(CURDIR)/rust/target
KERNEL = src/aurora_ingest/_kernel.abi3.so

.PHONY: kernel
kernel:  ## build the Rust kernel into src/aurora_ingest
	PYO3_PYTHON=$(PYTHON) CARGO_TARGET_DIR=$(CARGO_TARGET_DIR) cargo build --manifest-path rust/Cargo.toml --release --locked --lib --features python
	install -m 755 $(CARGO_TARGET_DIR)/release/lib_kernel.so $(KERNEL).new
	mv $(KERNEL).new $(KERNEL)
