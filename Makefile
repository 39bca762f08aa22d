# make run      install into .venv and open the application on the generated demo
# make test     install with the test extras; linters, types, import contracts, tests
# make torture  thousands of damaged files of every kind, and faults of the disk at every operation (minutes)
# make check    the linters, types and import contracts alone
# make clean    remove what was installed and built

SHELL := /bin/sh
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
DEMO ?= masktwins-demo
JOBS ?= 2
TORTURE ?= --inputs 10000 --seed 0
FAULTS ?= --every 1

# One thread per test worker: the tensors are tiny, and two workers' thread pools would fight for the cores.
TEST_ENVIRONMENT := OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen

.DEFAULT_GOAL := help
.PHONY: help run test torture check clean

help:
	@sed -n 's/^# make/make/p' Makefile

# The stamps make the second time quick: nothing is installed again until pyproject.toml changes.
.venv/.installed: pyproject.toml
	@packaging/make_environment.sh "$(PYTHON)" "."
	@touch $@

.venv/.installed-test: pyproject.toml
	@packaging/make_environment.sh "$(PYTHON)" ".[test]"
	@touch .venv/.installed $@

run: .venv/.installed
	@if [ "$$(uname)" != Linux ] || [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then \
		$(BIN)/python packaging/system_libraries.py && $(BIN)/masktwins demo $(DEMO); \
	else \
		echo "There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set): the same demo runs without a window."; \
		$(BIN)/masktwins demo $(DEMO) --headless; \
	fi

check: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: check
	@$(BIN)/python packaging/system_libraries.py --offscreen
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

torture: .venv/.installed-test
	$(BIN)/python -m tests.torture $(TORTURE)
	$(TEST_ENVIRONMENT) $(BIN)/python -m tests.torture.faults $(FAULTS)

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
