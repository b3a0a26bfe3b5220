# The two commands: `make quickstart` and `make test`. Each does all set-up that is missing; the rest are their parts.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
BUILD := build/release
DATA ?= data/questions/train.jsonl
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: quickstart test build setup tests test-sanitizers campaign bench clean

setup:
	@scripts/setup.sh

$(BUILD)/build.ninja: CMakePresets.json
	@cmake --preset release > /dev/null

build: setup $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS) sluice

quickstart: build
	@scripts/quickstart.sh "$(DATA)"

# Every test: the C++ ones by ctest, then the program's by pytest.
test: setup $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS)
	@ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)
	@python -m pytest -q -n $(JOBS) --dist loadfile tests

# The torch-free folders under address and undefined-behaviour sanitizers and under the thread sanitizer, then everything under the first two.
test-sanitizers: setup
	@for preset in tsan asan; do \
	  cmake --preset $$preset > /dev/null && ninja -C build/$$preset -j $(JOBS) && ctest --test-dir build/$$preset --output-on-failure -j $(JOBS) || exit 1; \
	done

# Every layout with every kind of model, checkpoints between layouts, kills, two hosts and SLURM; writes docs/results/.
campaign: build
	@rm -f build/campaign.jsonl
	@SLUICE_CAMPAIGN=$(CURDIR)/build/campaign.jsonl python -m pytest -q tests/parity/test_parallel.py tests/parity/test_checkpoint_matrix.py \
	  tests/parity/test_kills.py tests/parity/test_two_hosts.py tests/cli/test_launch_slurm.py tests/parity/test_lora_parallel.py
	@python scripts/campaign_table.py build/campaign.jsonl docs/results/layouts.md

bench: build
	@scripts/bench.sh

clean:
	rm -rf build
