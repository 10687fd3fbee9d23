# Every target that needs the environment sets it up first; set-up skips what is done.
# Pass options by ARGS, for example: make test ARGS='-k stack -x'

PACKAGES = schemas engine projections snapshots reports adapters consumers web backtape migrations

.PHONY: setup browser demo test differential mutation web bench bench-engine bench-read bench-web lint up down doctor clean

setup:
	@deploy/bootstrap.sh

demo: setup
	@.venv/bin/backtape demo $(ARGS)

browser:
	@deploy/bootstrap.sh browser

test: setup browser
	@.venv/bin/python -m pytest $(ARGS)

# The same rules in the engines whose presets we have, fill by fill; writes the table in docs/conformance.md.
differential: setup
	@.venv/bin/python -m tests.differential $(ARGS)

# Small mistakes in the kernels on purpose, one by one: is there a test that finds each? Goes on where it was stopped. For hours.
mutation: setup
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutation]'
	@NUMBA_DISABLE_JIT=1 .venv/bin/python -m tests.mutation $(ARGS)

# The dashboard, made anew from its sources: needs Node 20 or newer and npm. What it makes is committed.
web:
	@cd web/app && npm ci --no-audit --no-fund --omit-lockfile-registry-resolved && npm run types && npm run check && npm test && npm run build

bench: setup
	@.venv/bin/python -m benchmarks $(ARGS)

# The engine beside other engines, which are installed into .backtape/peers (benchmarks/peers.txt).
bench-engine: setup
	@.venv/bin/python -m benchmarks.against $(ARGS)

bench-web: setup
	@.venv/bin/python -m benchmarks.web $(ARGS)

bench-read: setup
	@.venv/bin/python -m benchmarks.reading $(ARGS)

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/mypy $(PACKAGES)
	@.venv/bin/lint-imports

up: setup
	@.venv/bin/backtape up $(ARGS)

down:
	@.venv/bin/backtape down

doctor: setup
	@.venv/bin/backtape doctor

# Ends the servers first: their data goes with the folder.
clean:
	@if [ -x .venv/bin/python ] && [ -d .backtape ]; then .venv/bin/python -m backtape.stack clean .backtape || true; fi
	rm -rf .venv .backtape build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf web/app/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
