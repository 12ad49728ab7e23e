# Every target sets up what it needs; a second run finds it done. Debian with python3 or apt-get is enough.

VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.ready-to-run
DEV_READY := $(VENV)/.ready-to-develop
ST_VENV := .venv-st
ST_READY := $(ST_VENV)/.ready-to-test
ST_LOCK := requirements-sentence-transformers.lock
# torch for Linux names these, and computes without them on a machine that has no GPU: 1 GB less to install.
ST_WITHOUT := triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cuda-cccl nvidia-cusolver nvidia-nvtx
CHAOS := $(BIN)/python -m chaos
AT_ONCE = $(MAKE) --no-print-directory --keep-going
# Drawn once for the runs on both brokers: together they are one run of the suite.
ONE_SEED = $(or $(SEED),$$(od -A n -N 4 -t u4 /dev/urandom | tr -d ' '))
# 37 brings its broker along: it is on neither of the two, and whoever asks for one of them does not ask for it.
ON_BROKERS = $(filter-out 37,$(or $(SCENARIO),all))
ON_ITS_OWN = $(filter 37 all,$(or $(SCENARIO),$(if $(BROKER),,all)))
CHAOS_RESULTS ?= test-results/chaos
BENCH_READY := .venv-bench/.ready
COMMA := ,
SET_UP := setup/python_environment.sh
COMPILE_ANY = $(BIN)/uv pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock"
COMPILE = $(COMPILE_ANY) pyproject.toml
PYTEST := $(BIN)/python -m pytest

# More than the two cores: many tests wait for a process or a deadline (tests/conftest.py says who runs beside whom).
TEST_PROCESSES ?= 4
PYTEST_BESIDE := $(PYTEST) -n $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder
MEASURED_FAULTS := $(addprefix tests/e2e/faults/,test_broker_outage.py test_embedded_kills.py)
# Until a hanging process is replaced nothing happens for seconds: two such tests do not disturb each other.
HANGING := tests/e2e/faults/test_hanging_worker.py tests/conformance/faults/test_hanging_consumer.py
FAULTS := tests/conformance/faults tests/integration/tasks/faults tests/e2e/faults
# OTHER_RELEASE="--ignore=tests/conformance/faults/test_hanging_consumer.py tests/conformance" adds the faults: seven
# minutes more. What is left out is timed, and runs alone: TEST_SERVERS=debian-13 .venv/bin/python -m pytest …
OTHER_RELEASE ?= --ignore=tests/conformance/faults tests/conformance tests/unit/chaos/test_servers.py
HARNESS := tests/unit/chaos tests/integration/chaos tests/unit/bench
OF_EVERY_DAY := $(addprefix --ignore=,$(FAULTS) $(HARNESS)) tests/unit tests/integration tests/e2e

# Where the shell forbids it, every process would compile the whole project anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run accuracy test test-servers test-faults test-harness test-conformance test-both-releases \
	test-sentence-transformers check check-format check-lint check-types check-imports check-rules bench bench-lock compare-stock test-performance \
	test-other-faults chaos chaos-on-redis chaos-on-rabbitmq chaos-embedded chaos-soak chaos-mutations chaos-fast chaos-fast-redis chaos-fast-rabbitmq compose-test lock format

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-28s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUN_READY) ## start the whole stack on this machine and print its address; Ctrl-C stops it
	@exec $(BIN)/alexandria up

test: $(DEV_READY) test-servers ## install or find the servers, then run the tests; 11 to 13 minutes
	$(PYTEST_BESIDE) $(OF_EVERY_DAY)

test-servers: ## only install or find what the tests need beside Python packages
	@setup/test_servers.sh

test-faults: $(DEV_READY) test-servers ## kill, freeze and cut off the real processes and servers; 18 minutes
	@# What measures is alone from the start: it would wait for minutes until the others have ended their test.
	$(PYTEST) $(MEASURED_FAULTS)
	$(PYTEST_BESIDE) -n 2 $(HANGING)
	$(MAKE) --no-print-directory test-other-faults

test-other-faults:
	$(PYTEST_BESIDE) $(addprefix --ignore=,$(MEASURED_FAULTS) $(HANGING)) $(FAULTS)

test-harness: $(DEV_READY) test-servers ## the tests of the chaos suite and of the benchmark themselves; 2 minutes
	$(PYTEST_BESIDE) $(HARNESS)

test-conformance: $(DEV_READY) test-servers ## one suite over Redis, Valkey and RabbitMQ: the same guarantees; 2 minutes
	$(PYTEST_BESIDE) --ignore=tests/conformance/faults tests/conformance

accuracy: $(DEV_READY) test-servers ## how exactly citations and the like are found, on real documents: prints the numbers
	@setup/unpacked_documents.sh
	$(PYTEST) --quiet --capture=no -p no:randomly tests/accuracy

test-both-releases: $(DEV_READY) test-servers ## tests/conformance on Debian 13's servers
	@setup/debian13.sh; case $$? in \
		0) TEST_SERVERS=debian-13 $(PYTEST_BESIDE) -n 3 $(OTHER_RELEASE) ;; \
		69) [ "$$CI" != true ] ;; \
		*) exit 1 ;; \
	esac

test-sentence-transformers: $(ST_READY) ## the optional embedding engine: 5 GB, in an environment of its own
	$(ST_VENV)/bin/python -m pytest --confcutdir=tests/extra tests/extra

check: $(DEV_READY) ## format, lint, types, layers, house rules, lock files
	@$(MAKE) --no-print-directory --jobs=4 --keep-going --output-sync=target \
		check-types check-rules check-imports check-lint check-format
	@echo "check: all good"

check-format: $(DEV_READY)
	@$(BIN)/ruff format --check --quiet .

check-lint: $(DEV_READY)
	@$(BIN)/ruff check --quiet .

check-types: $(DEV_READY)
	@# Exit status 2: its workers could not start in time, which happens on a busy machine.
	@$(BIN)/mypy --num-workers 2 || { [ $$? -eq 2 ] && $(BIN)/mypy; }

check-imports: $(DEV_READY)
	@$(BIN)/lint-imports --no-logo >$(VENV)/.lint-imports 2>&1 || { cat $(VENV)/.lint-imports; exit 1; }

check-rules: $(DEV_READY)
	@$(PYTEST) --quiet -p no:randomly tests/unit/test_house_rules.py tests/unit/test_lock_files.py

bench: $(BENCH_READY) test-servers ## side by side with other libraries, and under load: 45 minutes; ROWS=B1,B4 measures some rows
	$(BIN)/python -m bench $(subst $(COMMA), ,$(ROWS))

compare-stock: $(DEV_READY) test-servers ## what stock kombu breaks on Redis, beside what we do
	$(BIN)/python -m bench.stock

test-performance: $(DEV_READY) test-servers ## the performance tests, with their numbers
	$(PYTEST) -m performance --capture=no tests

chaos: $(DEV_READY) test-servers ## break a real stack and check that nothing is lost, an hour; SCENARIO=13 BROKER=redis SEED=7
	@status=0; seed=$(ONE_SEED); \
		$(if $(ON_BROKERS),$(AT_ONCE) --jobs=2 SEED=$$seed $(addprefix chaos-on-,$(or $(BROKER),redis rabbitmq)) || status=$$?;) \
		$(if $(ON_ITS_OWN),$(AT_ONCE) SEED=$$seed chaos-embedded || status=$$?;) \
		$(if $(ON_BROKERS),$(CHAOS) report || status=$$?;) exit $$status

chaos-on-redis chaos-on-rabbitmq: chaos-on-%:
	@$(CHAOS) run --broker $* $(addprefix --scenario ,$(filter-out 37,$(SCENARIO))) $(addprefix --seed ,$(SEED))

chaos-embedded: # scenario 37, which brings its broker along; alone, since it measures how soon all is ready again
	EMBEDDED_SEED=$(SEED) $(PYTEST) --quiet tests/e2e/faults/test_embedded_kills.py

chaos-soak: ## faults at random, a quarter of an hour on one broker and then on the other
	@$(MAKE) --no-print-directory chaos SCENARIO=34

chaos-fast: $(DEV_READY) test-servers ## the shorter chaos scenarios in a quarter of an hour, both brokers beside each other
	@$(AT_ONCE) --jobs=2 SEED=$(ONE_SEED) chaos-fast-redis chaos-fast-rabbitmq

chaos-mutations: $(DEV_READY) test-servers ## take pieces out of the product and see the chaos suite fail
	$(PYTEST) tests/mutations

chaos-fast-redis chaos-fast-rabbitmq: chaos-fast-%:
	@$(CHAOS) run --fast --broker $* $(addprefix --seed ,$(SEED)) --results $(CHAOS_RESULTS)

compose-test: $(DEV_READY) test-servers ## bring up each compose file on a private Docker engine and use it; needs root
	@# The tests of a file are the steps of one story, in their order.
	setup/private_docker.sh $(PYTEST) -p no:randomly --exitfirst --durations=8 tests/compose

format: $(DEV_READY) ## rewrite the files as check-format wants them
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lock: $(DEV_READY) ## bring the lock files in step with pyproject.toml; UPGRADE=--upgrade takes newer versions
	$(COMPILE) $(UPGRADE) -o requirements.lock
	$(COMPILE) $(UPGRADE) --group dev --constraint requirements.lock -o requirements-dev.lock
	@sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml | $(COMPILE_ANY) $(UPGRADE) - -o requirements-build.lock
	$(COMPILE) $(UPGRADE) --extra sentence-transformers --group sentence-transformers-tests \
		--constraint requirements-dev.lock $(addprefix --no-emit-package ,$(ST_WITHOUT)) -o $(ST_LOCK)

bench-lock: lock ## bring the lock files of bench/environments in step with their .in files
	cd bench/environments && for name in *.in; do \
		python=3.11; [ $$name != celery-redis-plus.in ] || python=3.13; \
		../../$(BIN)/uv pip compile --quiet --universal --python-version $$python --generate-hashes $(UPGRADE) \
			--custom-compile-command "make bench-lock" $$name -o $${name%.in}.lock; \
	done

$(RUN_READY): requirements.lock pyproject.toml $(SET_UP)
	@$(SET_UP) $(VENV) requirements.lock
	@touch $@

# The larger lock holds all of the smaller one, at the same versions (tests/unit/test_lock_files.py).
$(DEV_READY): requirements-dev.lock requirements.lock pyproject.toml $(SET_UP)
	@$(SET_UP) $(VENV) requirements-dev.lock
	@touch $@ $(RUN_READY)

$(BENCH_READY): $(wildcard bench/environments/*.lock) setup/bench_environments.sh | $(DEV_READY)
	@setup/bench_environments.sh
	@touch $@

# 5 GB: uv unpacks them in a third of the time that pip takes.
$(ST_READY): $(ST_LOCK) | $(DEV_READY)
	@echo "setup: $(ST_VENV) gets what $(ST_LOCK) names"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(ST_VENV)
	@$(BIN)/uv pip install --quiet --python $(ST_VENV) --no-deps --require-hashes --requirement $(ST_LOCK)
	@touch $@
