# penumbra: `make run` and `make test` set everything up by themselves in .venv; nothing else is needed than Python 3.11, pip, gcc and git.
COHORT  ?=
PROFILE ?= quick
PYTHON  ?= $(shell command -v python3.11 || command -v python3)

export PYTHONWARNINGS ?= ignore
# Targets are relative: make splits a path at its blanks, and a checkout may be in "my clinic". Paths in recipes are quoted.
penumbra := .venv/bin/penumbra
ready := .venv/.ready
# a file's tests go to one worker, long groups first; see tests/conftest.py
pytest := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --durations=15
fast := -m "not slow and not matrix" --ignore tests/end_to_end

.PHONY: run test test-fast coverage test-numeric test-stops test-losses lint fuzz bench bench-compare bench-peers bench-radiomics bench-network bench-last-bit bench-statistics bench-lasso bench-store bench-redrawn bench-served bench-sql bench-console bench-machines stress-store stress-compaction test-release stack backup restore parity lock docs release clean setup help
.DEFAULT_GOAL := help

help:                      ## this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  +##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

setup: $(ready)            ## install the pinned requirements into .venv (the other targets do it by themselves)

$(ready): requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" infra/setup

run: $(ready)              ## the main job; COHORT=folder (default: the simulated three-center cohort), PROFILE=quick|paper|best
ifeq ($(COHORT),)
	$(penumbra) simulate data/simulated
	$(penumbra) run --cohort data/simulated --profile $(PROFILE)
else
	$(penumbra) run --cohort "$(COHORT)" --profile $(PROFILE)
endif

test: lint                 ## lint and every test
	$(pytest)

fuzz: $(ready)             ## 2000 folders of a patient, each with one thing wrong: the right mask, a flag or a refusal
	OMP_NUM_THREADS=1 .venv/bin/python -W ignore -m tests.imaging.fuzz 2000

test-fast: $(ready)        ## the tests that need no run, server or training: two to three minutes
	$(pytest) $(fast)

coverage: $(ready)         ## the same, and what they run of each package
	$(pytest) $(fast) --cov --cov-report=
	@.venv/bin/python -m tests.covered

test-numeric: $(ready)     ## the tests that depend on the processor, with 1 and 2 threads and held to SSE4.2, AVX2 and the processor's own instructions
	.venv/bin/python -m tests.numeric $(RUNS)

test-stops: $(ready)       ## every command stopped by every signal at three times, over an hour
	.venv/bin/python -m pytest tests/end_to_end/test_stops.py -m matrix

test-losses: $(ready)      ## each stage loses PostgreSQL, object storage, files, memory, the clock, its path or its rights, and resumes; two hours; KINDS="postgres files" STAGES="fuse report"
	.venv/bin/python -W ignore -m tests.losses build/losses $(KINDS) $(if $(STAGES),--stages $(STAGES))

lint: $(ready)             ## ruff, mypy, import-linter, the word list of tests/english.py, and the docstrings of what users import
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m tests.english
	.venv/bin/python -m tests.docstrings

bench: bench-radiomics bench-network bench-statistics bench-store   ## paired timings; each ends with one JSON line of figures, kept in .bench/history.jsonl with machine, versions and commit
bench-compare: $(ready)    ## what became slower by more than noise between the two commits measured last, or BEFORE=commit AFTER=commit
	.venv/bin/python -m penumbra.bench.history compare $(BEFORE) $(AFTER)
bench-radiomics: $(ready)
	OMP_NUM_THREADS=1 .venv/bin/python -m penumbra.bench.history run penumbra.bench.radiomics
bench-peers: .bench/peers   ## other engines of radiomics on the same tumors, in turns in one run, and their values
	OMP_NUM_THREADS=1 .venv/bin/python -m penumbra.bench.history run penumbra.bench.peers --peers .bench/peers
bench-network: .bench/torch
	.venv/bin/python -m penumbra.bench.history run penumbra.bench.network --torch .bench/torch
bench-statistics: $(ready)
	OMP_NUM_THREADS=1 .venv/bin/python -m penumbra.bench.history run penumbra.bench.statistics
bench-lasso: $(ready)      ## the Lasso-Cox path beside scikit-survival's on 20 shapes, in processor time
	OMP_NUM_THREADS=1 .venv/bin/python -m penumbra.bench.history run penumbra.bench.lasso
bench-store: $(ready)      # the feature store; HUGE=1000000 adds a store of so many patients with one ROI: 11 GB, ten minutes
	.venv/bin/python -m penumbra.bench.history run penumbra.bench.store $(if $(HUGE),--huge $(HUGE))
bench-last-bit: $(ready)   ## how much of everybody's risk hangs on one rounding of the network's start and on the number of cores; on data/, minutes
	.venv/bin/python -m penumbra.bench.last_bit
stress-store: $(ready)     ## 8 writers and 8 readers for a minute, then 100 kills, on both catalogs of the store
	STRESS_SECONDS=60 STRESS_KILLS=100 .venv/bin/python -m pytest tests/store/test_many_processes.py -m slow -v
stress-compaction: $(ready)  ## 3000 small appends, then compaction next to a reader and a writer; PostgreSQL ends what idles in a transaction for a minute
	COMPACTION_APPENDS=3000 COMPACTION_IDLE_S=60 .venv/bin/python -m pytest -s tests/store/test_compaction.py -k alongside
test-release: $(ready)     ## the contract tests with another release of MLflow or Prefect; RELEASE=prefect==3.9.1
	infra/other_release "$(RELEASE)"

bench-redrawn: $(ready)    ## after make run: are the champion's probabilities true? 200 times other deaths from the simulated truth
	.venv/bin/python -m penumbra.bench.redrawn
bench-sql: $(ready)        ## short statements over data/: serve-sql, a new process each, DuckDB's own client
	.venv/bin/python -m penumbra.bench.history run penumbra.bench.sql
bench-console: $(ready)    ## every page of the console over data/ and over 100,000 patients, and 20 people next to a retraining
	.venv/bin/python -m penumbra.bench.history run penumbra.bench.console
bench-machines: $(ready)   ## extraction by three workers with addresses and cables of their own; one is killed, one has no room, one has another program; as root
	.venv/bin/python -W ignore -m tests.machines .bench/machines
bench-served: $(ready)     ## the champion of data/ served by MLflow: 50 requests a second from 4 clients for 30 s
	.venv/bin/python -m penumbra.bench.history run penumbra.bench.served

stack: $(ready)            ## PostgreSQL, MLflow, Prefect with a worker, the watch and the SQL server on loopback; Ctrl-C stops all of it
	@infra/run free
	@.venv/bin/python -m penumbra.base.child_process "The stack was stopped by {signal}: finished work is kept; make stack starts it again." \
	  .venv/bin/honcho start -d "$(CURDIR)" -f infra/Procfile
backup: $(ready)           ## everything that penumbra keeps into TO=file.tar
	infra/backup.sh save "$(TO)"
restore: $(ready)          ## back from FROM=file.tar, into an empty state folder
	infra/backup.sh restore "$(FROM)"

# PyTorch comes with its GPU libraries, 4.5 GB: in a folder of its own, for this benchmark alone
# Each in an environment of its own: they ask for libraries that exclude each other. fastrad asks for a PyRadiomics that cannot be built, and runs without, on Python 3.12.
.bench/peers: | $(ready)
	.venv/bin/uv venv --quiet --python .venv/bin/python $@/flash-radiomics && .venv/bin/uv pip install --quiet --python $@/flash-radiomics flash-radiomics==1.0.0 SimpleITK numpy PyWavelets scipy pykwalify h5py scikit-learn
	.venv/bin/uv venv --quiet --python .venv/bin/python $@/pyradiomics-cuda && .venv/bin/uv pip install --quiet --python $@/pyradiomics-cuda pyradiomics-cuda==1.0.4
	.venv/bin/uv venv --quiet --python $(or $(PYTHON312),3.12) $@/fastrad && .venv/bin/uv pip install --quiet --python $@/fastrad --no-deps fastrad==1.2.0 \
		&& .venv/bin/uv pip install --quiet --python $@/fastrad torch==2.13.0 numpy SimpleITK scipy pydicom loguru
.bench/torch: requirements-bench.lock | $(ready)
	.venv/bin/uv pip install --quiet --require-hashes --target $@ -r requirements-bench.lock
	@touch $@

parity: $(ready)           ## compare each of the 1316 features with PyRadiomics itself and record the largest difference; its own baselines
	.venv/bin/python -m penumbra.bench.parity
	.venv/bin/python -m pytest -q -m 'matrix or not matrix' tests/radiomics/test_baselines.py

docs: $(ready)             ## the manual into build/site; it opens from the disk, search included, and needs no network
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet
	@echo "build/site/index.html ($$(du -sm build/site | cut -f1) MB)"

release: $(ready)          ## wheel, source package, manual and bill of materials into dist/, checked in an empty environment; nothing is uploaded
	@infra/release

lock:                      ## resolve requirements.in into requirements.lock
	for set in requirements requirements-bench; do \
	  .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 $$set.in -o $$set.lock; \
	done

clean:                     ## remove the environment and caches; data/ stays
	rm -rf .venv .bench build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
