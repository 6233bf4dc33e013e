# Works on a machine that has only Python 3.11+ (with venv) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Hundreds of processes of the tests would each compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-live test test-long-way test-warehouses test-schedulers soak bench lint types readme build lock clean

help: ## what each target does
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 17

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@echo 'Installing into $(VENV), once: it takes a minute or two.'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## sync a made-up organisation into linq_demo.duckdb, change it, sync again, write its report
	$(BIN)/python pipelines/linq_to_duckdb.py --demo

demo-live: $(READY) ## a minute of webhooks: events loaded and a sync run in turn, into linq_live.duckdb
	$(BIN)/python pipelines/demo_live.py

test: $(READY) ## run the whole test suite
	$(BIN)/python -m pytest -n 4 --dist loadgroup  # more than two cores, since many tests wait

test-long-way: $(READY) ## the same, each load through dlt and each command in a new interpreter
	$(BIN)/python -m pytest -n 4 --dist loadgroup --long-way

test-warehouses: $(READY) ## Snowflake, BigQuery, DuckLake, SQLite, S3, Delta and Iceberg, each kind in an environment of its own
	$(BIN)/python -m tests.destinations.environments

test-schedulers: $(READY) ## Dagster and Airflow, each in an environment of its own (.venv-dagster, .venv-airflow)
	$(PYTHON) -m venv .venv-dagster
	$(BIN)/uv pip install --quiet --python .venv-dagster/bin/python -e '.[postgres,report,dagster]' \
		hypothesis pytest pytest-timeout
	$(PYTHON) -m venv .venv-airflow
	$(BIN)/uv pip install --quiet --python .venv-airflow/bin/python -r tests/airflow.lock
	LINQ_REQUIRE_DAGSTER=1 LINQ_REQUIRE_AIRFLOW=1 LINQ_AIRFLOW_PYTHON="$(CURDIR)/.venv-airflow/bin/python" \
		.venv-dagster/bin/python -m pytest \
		tests/test_dagster.py tests/test_dagster_runs.py tests/test_airflow.py tests/test_cron_systemd.py

soak: $(READY) ## the long tests: random kills and thousands of histories
	$(BIN)/python -m pytest -m soak -s --timeout 0

bench: $(READY) ## time a sync beside a bare download of the same pages
	$(BIN)/python -m tests.benchmarks

lint: $(READY) ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict on the package and the commands
	$(BIN)/mypy
	$(BIN)/mypy pipelines

readme: $(READY) ## write the tables in README.md anew from the code
	$(BIN)/python -m tests.readme

build: $(READY) ## a wheel, a source archive, and the list of all that is installed (SBOM, CycloneDX), in dist/
	$(BIN)/python -m hatchling build
	$(BIN)/uv tool run --quiet --from 'cyclonedx-bom>=5,<8' cyclonedx-py environment $(BIN)/python --output-file dist/sbom.json

lock: $(READY) ## write requirements.lock anew from pyproject.toml, and what Airflow is tried with
	$(BIN)/uv pip compile pyproject.toml --universal --extra postgres --extra report --extra s3 --extra webhook --extra dev --no-emit-index-url \
		--no-emit-find-links --generate-hashes --no-annotate --no-header --quiet -o requirements.lock
	echo 'apache-airflow>=3.3,<3.4' | $(BIN)/uv pip compile - --universal --python-version 3.11 --no-emit-index-url \
		--no-emit-find-links --generate-hashes --no-annotate --no-header --quiet -o tests/airflow.lock

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
