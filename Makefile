# help | setup | up | demo | check | test | bench | faults | model: this is the whole interface.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ARGS ?=
N ?= 20
SEED ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# playwright looks for a runtime folder, and warns where there is none
export XDG_RUNTIME_DIR ?= /tmp

.DEFAULT_GOAL := help
.PHONY: help setup up demo check test bench faults model lint types contracts templates unit browser

help:  ## this list
	@grep -E '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*  ## /  make \1\t/' | expand -t 16

setup: $(READY)  ## everything askfirst needs, in .venv; a second run does nothing

$(READY): pyproject.toml package.json package-lock.json hatch_build.py .ci/setup
	@PYTHON="$(PYTHON)" sh .ci/setup

up: $(READY)  ## run it: database, queue, web, workers, clock, inbox; data in var/askfirst
	@$(BIN)/askfirst up $(ARGS)

demo: $(READY)  ## a Diwali campaign over a real purchase history; ARGS=--exit ends when it is done
	@$(BIN)/askfirst demo $(ARGS)

check: $(READY)  ## the quick checks: style, types, import contracts, templates, unit tests
	@$(MAKE) --no-print-directory -j2 -O lint types contracts templates unit

# The quick checks go beside the rest, one after the other: tests wait as often as they work.
test: $(READY) browser  ## everything: check, and integration, web, faults and the browser beside it
	@$(MAKE) --no-print-directory -O lint types contracts templates unit & check=$$!; \
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder --ignore=tests/unit $(ARGS) tests; tests=$$?; \
	wait $$check || { echo "make check failed: see above" >&2; exit 1; }; exit $$tests

bench: $(READY)  ## measure: ARGS="NAME --n N"; prints one JSON line a result
	@$(BIN)/python -P -m workers.cli bench $(ARGS)

faults: $(READY)  ## N=200 rounds of kills, lies and broken engines; SEED=7 plays them again; ends with one JSON line
	@$(BIN)/python -m tests.faults.rounds --n $(N) $(if $(SEED),--seed $(SEED)) $(ARGS)

model: $(READY)  ## explore the send protocol further than the tests do; ARGS=20 takes 20 s for each case
	@$(BIN)/python -m tests.model.runs $(ARGS)

lint:
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check .

types:
	@$(BIN)/mypy

contracts:
	@$(BIN)/lint-imports --no-timings 2>/dev/null || $(BIN)/lint-imports

templates:
	@$(BIN)/djlint templates --lint --quiet

unit:
	@$(BIN)/pytest -q tests/unit

browser: $(READY)
	@sh .ci/browser
