# make         set up .venv and run the whole pipeline on the embedded default
# make env     set up .venv alone
# make test    set up .venv, lint, and run the tests
# make lint    ruff's check and format
# make test-scale  the long tests: kills of several processes, two hosts, remotes on servers that it installs, sweeps
# make export  write the trained model to models/export/ for transformers and ONNX
# make table   the experiments, the best by validation loss first
# make compare  whether two revisions differ: make compare A=main B=rank-64
# make spread   mean and spread of the metrics of several: make spread REVS="seed-1 seed-2 seed-3"
# make demo    the trained model as a page for the browser, http://127.0.0.1:7860; GRADIO_SERVER_PORT=8000 make demo
# make push    put onto the team's remote what a colleague would otherwise run again (docs/storage.md)
# make plots   draw metrics/ as a page that needs no network, dvc_plots/index.html
# make soak    kill runs at random moments and mutate inputs, by the hundred (an hour)
# make settings  what rank, learning rate and method buy: a training each (70 minutes in bf16, 2 to 3 hours in fp32), benchmarks/settings.csv
# make learning-curve  would more labels help? make learning-curve SIZES="100 200 500" DRAWS=3 SET="model=mpnet"
# make bench   the next seven; MACHINE=epyc-2-cores make bench keeps their tables in benchmarks/results/epyc-2-cores/
# make speed   texts a second in training and scoring beside Trainer and pipeline (45 minutes)
# make profile  where the time of a training step goes, by torch's profiler (2 minutes)
# make reruns  seconds of a dvc repro that runs nothing and of one of infer, beside DVC and the model alone (3 minutes)
# make busy    what a busy program beside it costs training and scoring (6 minutes)
# make growth  time and memory for a text of 1, 4 and 16 times as many (15 minutes)
# make cold    the whole pipeline beside an earlier commit's (90 minutes); make cold THAN=v1.0
# make time-to-accuracy  how long until 89% of held-out texts are right, beside Trainer (3 hours)
# make deletion  whether the words that --explain finds matter (15 minutes)
# make windows   what several windows give for long texts (5 minutes)
# make planted  whether data/doubtful_labels.csv finds labels that were turned round (2 minutes)
# make scale   what memory the stages need for 10,000 to 5,000,000 texts (hours, 20 GB of disk); make scale ROWS=100000
# make audit   ask whether a package of the lock has a known vulnerability
# make lock    write requirements.txt and versions.yaml anew after a change of pyproject.toml
# make help    show these lines

PYTHON ?= python3
ROWS ?= 10000 100000 1000000 5000000
DRAWS ?= 3
THAN ?= 4108176
TORCH ?= $(shell sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
ENV := .venv/.ready
# macOS' make 3.81 looks commands up with the PATH below only if it starts a shell, and so only if this is not its own.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run env test test-scale lint export demo table compare spread push plots soak settings learning-curve bench speed profile reruns busy growth cold time-to-accuracy windows deletion planted scale audit lock
.DELETE_ON_ERROR:
.NOTPARALLEL:

run: $(ENV)
	@test -s .dvc/tmp/rwlock || rm -f .dvc/tmp/rwlock  # DVC killed while it wrote this file would not start again
	dvc repro
	@echo "Results: metrics/report.md, metrics/evaluate.json. Look: dvc metrics show; dvc plots show"

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

env: $(ENV)

# torch first: its build is the platform's, so it is not in the lock. Everything else comes at a pinned hash.
# --no-deps: the lock is complete, and one wheel asks for a package that the pipeline does not need.
$(ENV): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	pip install --quiet $(TORCH)
	pip install --quiet --no-deps --require-hashes -r requirements.txt
	@touch $@

# A worker more than there are cores: a third of the time a test waits for other processes.
test: $(ENV) lint
	pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1))

test-scale: $(ENV)
	uv pip install --quiet --group test-scale --constraints requirements.txt
	pytest -n auto -m scale

lint: $(ENV)
	ruff check
	ruff format --check

export: $(ENV)
	dvc repro
	python -m apps.export

demo: $(ENV)
	uv pip install --quiet --group demo --constraints requirements.txt
	dvc repro
	python -m apps.demo

# What differs, without the test metrics: settings are chosen by validation. The test split is for the one that is chosen.
table: $(ENV)
	@dvc exp show --only-changed --sort-by validation_loss $(SHOW) \
		--drop 'Created|State|Executor|(bias|labels|above_threshold)[.].*|.*/(?!training.json:validation)|(?!validation_|dataset|model|method)[a-z0-9_]+$$'

compare: $(ENV)
	@python -m apps.revisions compare '$(A)' '$(B)'

spread: $(ENV)
	@python -m apps.revisions spread $(REVS)

# `dvc push --run-cache` pushes the list of finished runs and, of their files, only what dvc.lock names now: not the metrics,
# which are in Git (cache: false), and not another experiment's model. Without these a colleague would train again.
push: $(ENV)
	dvc push
	python -c "import sys; from dvc.repo import Repo; repo = Repo(); runs = repo.stage_cache; \
		sys.exit(any(repo.cloud.push(files).failed for files in runs.get_used_objs(runs.push(None)).values()))"

# The drawing libraries lie beside the page; without them it takes them from the network.
plots: dvc_plots/vega.js
	dvc plots show

dvc_plots/vega.js: | $(ENV)
	@mkdir -p $(@D)
	python -c "import vl_convert; print(vl_convert.javascript_bundle(vl_version='5.21'))" > $@

soak: $(ENV)
	PYTHONPATH=. python tests/soak.py

settings: $(ENV)
	python -m benchmarks.settings

learning-curve: $(ENV)
	@python -m benchmarks.learning_curve measure --sizes "$(SIZES)" --draws "$(DRAWS)" --set "$(SET)"

bench: speed profile reruns busy growth cold time-to-accuracy

speed: $(ENV)
	dvc repro
	python -m benchmarks.speed

profile: $(ENV)
	dvc repro
	python -m benchmarks.profile

reruns: $(ENV)
	python -m benchmarks.reruns

busy: $(ENV)
	dvc repro train
	python -m benchmarks.busy

growth: $(ENV)
	dvc repro
	python -m benchmarks.growth

cold: $(ENV)
	python -m benchmarks.cold --than $(THAN)

time-to-accuracy: $(ENV)
	dvc repro
	python -m benchmarks.time_to_accuracy

windows: $(ENV)
	dvc repro
	python -m benchmarks.windows

deletion: $(ENV)
	dvc repro
	python -m benchmarks.deletion

planted: $(ENV)
	python -m benchmarks.planted_errors

scale: $(ENV)
	python -m benchmarks.scale $(ROWS)

audit: $(ENV)
	pip-audit --require-hashes --disable-pip -r requirements.txt

lock: $(ENV)
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet pyproject.toml --group dev --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-emit-package torch -o requirements.txt
	python -m classifier.runner.versions
