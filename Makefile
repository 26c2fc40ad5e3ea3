# make run   the whole thing on this machine, with simulated brokers     make test   the whole test suite
.PHONY: setup run test check bench faults e2e
PYTHON ?= python3
BIN := .venv/bin
# a migration runs alone, in one transaction under timeouts, and none runs beside a load
LINTED_OTHERWISE := prefer-robust-stmts,require-timeout-settings,require-lock-timeout,require-statement-timeout,require-concurrent-index-creation,adding-not-nullable-field

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (make PYTHON=python3.12 ...)")'
	@echo "installing into .venv (a minute or two the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# what the tests, the checks and the browser need beside what runs the program
.venv/checking: .venv/installed requirements-checking.lock
	@echo "installing what tests and checks need into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-checking.lock
	@touch $@

run: setup
	@exec $(BIN)/apex demo

test: .venv/checking
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: .venv/checking
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright --level error
	@PYTHONPATH=. $(BIN)/lint-imports
	@$(BIN)/deptry . 2>&1
	@$(BIN)/squawk --assume-in-transaction --pg-version 15.0 --exclude $(LINTED_OTHERWISE) migrations/*.sql

bench: .venv/checking
	@$(BIN)/python -m bench $(BENCH)

faults: .venv/checking
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow

e2e: .venv/checking
	@command -v chromium >/dev/null || { echo "make e2e needs Chromium: apt-get install chromium" >&2; exit 1; }
	@$(BIN)/python -m pytest -n 0 -m e2e tests/e2e
