# Use:
# make            set up .venv and run the whole pipeline with the settings of params.yaml
# make env        set up .venv only
# make new        look at a file or folder of your own, and add it as a data set: make new FILE=reviews.csv
# make demo       serve a page to try the model: http://127.0.0.1:7860, or another port: GRADIO_SERVER_PORT=8000 make demo
# make serve      serve the model over HTTP: http://127.0.0.1:8000, or with options: make serve OPTIONS="--port 9000"
# make export     write the trained model to models/export/ for other programs: FORMATS=transformers,bf16,onnx,int8
# make seal       sign models/export/, dvc.lock and the list of locked packages: make seal KEY=private.pem
# make verify     check that these files are the signed ones: make verify KEY=public.pem
# make plots      draw metrics/ as a page that needs no network, dvc_plots/index.html
# make push       push to the team's remote everything that a colleague would otherwise compute again
# make help       show these lines
#
# Experiment:
# make table      show the experiments, the best by validation loss first
# make compare    test whether two revisions differ: make compare A=main B=rank-64
# make spread     show mean and spread of the metrics of several revisions: make spread REVS="seed-1 seed-2 seed-3"
# make learning-curve  would more labels help? make learning-curve SIZES="100 200 500" DRAWS=3 SET="model=mpnet"
#
# Develop:
# make test       set up .venv, lint, and run the tests (7 to 11 minutes on two cores)
# make lint       run ruff's checks and its formatter's check
# make test-scale  run the long tests: killed process groups, two hosts, remotes on real servers, sweeps, the demo page
# make soak       kill runs at random moments and mutate inputs, hundreds of times (an hour)
# make pages      write current numbers and tables into README.md and docs/
# make docs       build the documentation as a site in site/
# make audit      look for known vulnerabilities in the locked packages
# make lock       write requirements.txt and versions.yaml again after a change of pyproject.toml
#
# Measure (MACHINE=NAME keeps the results in benchmarks/results/NAME/, except those of settings):
# make bench      run the next seven benchmarks
# make speed      compare texts a second in training and scoring with Trainer and pipeline (45 minutes)
# make profile    measure where the time of a training step goes, by torch's profiler (2 minutes)
# make reruns     time a dvc repro that runs nothing, and one of infer, beside DVC and model loading alone (3 minutes)
# make busy       measure how much a busy program on the same machine slows training and scoring (6 minutes)
# make growth     measure time and memory for a number of texts, for 4 and for 16 times as many (15 minutes)
# make cold       time the whole pipeline beside an earlier commit's (90 minutes): make cold THAN=4108176
# make time-to-accuracy  measure the time until 89% of held-out texts are right, beside Trainer (3 hours)
# make settings   train with other ranks, learning rates and methods; write benchmarks/settings.csv (2 to 3 hours)
# make few-labels  compare settings of a training with 50 to 6,000 labels (1 to 2 hours): make few-labels SEARCH=mpnet
# make deletion   measure the confidence that a label loses without the words that speak most for it (15 minutes)
# make windows    measure what several windows gain on long texts (5 minutes)
# make tasks      measure several labels, numbers, ratings and pairs of texts, each by a whole run (20 minutes)
# make ordinal-loss  compare the loss of ordinal ratings with plain cross-entropy (10 minutes)
# make forms      measure size, speed and answers of the exported forms beside pipeline() (20 minutes)
# make serving    load the server with 1, 8 and 64 clients, beside pipeline, and with faulty requests (10 minutes)
# make sets       count how often prediction sets miss their target, and compare two kinds of them (15 minutes)
# make planted    test whether data/doubtful_labels.csv finds flipped labels (2 minutes)
# make other-texts  test whether infer --file notices texts that differ from the training's (10 minutes)
# make scale      measure the memory of the stages for 10,000 to 5,000,000 texts (hours, 20 GB): make scale ROWS=100000

PYTHON ?= python3
ROWS ?= 10000 100000 1000000 5000000
DRAWS ?= 3
THAN ?= 4108176
FORMATS ?= transformers,bf16,onnx,int8
TORCH ?= $(shell sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
ENV := .venv/.ready
# macOS has make 3.81, which uses the PATH below only for commands that it runs through a shell. It runs all commands
# through the shell if SHELL is not its default.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run env new test test-scale lint export seal verify demo serve table compare spread push plots pages docs soak settings learning-curve few-labels bench speed profile reruns busy growth cold time-to-accuracy windows deletion tasks ordinal-loss serving forms sets planted other-texts scale audit lock
.DELETE_ON_ERROR:
.NOTPARALLEL:

run: $(ENV)
	@test -s .dvc/tmp/rwlock || rm -f .dvc/tmp/rwlock  # DVC refuses to start if it was killed while it wrote this file
	dvc repro
	@echo "Results: metrics/report.md, metrics/evaluate.json. Look: dvc metrics show; dvc plots show"

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

env: $(ENV)

new: $(ENV)
	@python -m apps.new $(if $(FILE),'$(FILE)') $(OPTIONS)

# torch is installed first: its build depends on the platform, so the lock leaves it out. All other packages are pinned
# by hash. --no-deps: the lock is complete, and one wheel depends on a package that the pipeline does not need.
$(ENV): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	pip install --quiet $(TORCH)
	pip install --quiet --no-deps --require-hashes -r requirements.txt
	@touch $@

# One worker more than there are cores, because a test spends a third of its time waiting for other processes.
test: $(ENV) lint
	pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1))

test-scale: $(ENV)
	uv pip install --quiet --group test-scale --constraints requirements.txt
	pytest -n auto -m scale

lint: $(ENV)
	ruff check
	ruff format --check

export: $(ENV)
	dvc exp run --set-param 'export.formats=[$(FORMATS)]'

# The first command needs the network if the group is not installed yet. The second one never does.
seal: $(ENV)
	@uv pip install --quiet --group seal --constraints requirements.txt
	@python -m apps.seal sign '$(KEY)'

verify: $(ENV)
	@uv pip install --quiet --group seal --constraints requirements.txt
	@python -m apps.seal verify '$(KEY)'

demo: $(ENV)
	uv pip install --quiet --group demo --constraints requirements.txt
	dvc repro
	python -m apps.demo

serve: $(ENV)
	dvc repro
	python -m apps.serve $(OPTIONS)

table: $(ENV)
	@python -m apps.table $(SHOW)

compare: $(ENV)
	@python -m apps.revisions compare '$(A)' '$(B)'

spread: $(ENV)
	@python -m apps.revisions spread $(REVS)

push: $(ENV)
	python -m apps.push

# The page loads the drawing libraries from the file beside it or, if there is none, from the network.
plots: dvc_plots/vega.js
	dvc plots show

dvc_plots/vega.js: | $(ENV)
	@mkdir -p $(@D)
	python -c "import vl_convert; print(vl_convert.javascript_bundle(vl_version='5.21'))" > $@

pages: $(ENV)
	python -m docs.tools.reference
	python -m docs.tools.pages

docs: $(ENV)
	uv pip install --quiet --group docs --constraints requirements.txt
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict

soak: $(ENV)
	PYTHONPATH=. python tests/soak.py

settings: $(ENV)
	python -m benchmarks.settings

learning-curve: $(ENV)
	@python -m benchmarks.learning_curve measure --sizes "$(SIZES)" --draws "$(DRAWS)" --set "$(SET)"

few-labels: $(ENV)
	python -m benchmarks.few_labels $(SEARCH)

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

tasks: $(ENV)
	python -m benchmarks.tasks

ordinal-loss: $(ENV)
	python -m benchmarks.ordinal_loss

forms: export
	python -m benchmarks.forms

serving: $(ENV)
	uv pip install --quiet --group serving --constraints requirements.txt
	dvc repro
	python -m benchmarks.serving
	python -m benchmarks.serving_faults

sets: $(ENV)
	dvc repro
	python -m benchmarks.sets
	python -m benchmarks.set_scores

planted: $(ENV)
	python -m benchmarks.planted_errors

other-texts: $(ENV)
	dvc repro
	python -m benchmarks.other_texts

scale: $(ENV)
	python -m benchmarks.scale $(ROWS)

audit: $(ENV)
	pip-audit --require-hashes --disable-pip -r requirements.txt

lock: $(ENV)
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet pyproject.toml --group dev --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-emit-package torch -o requirements.txt
	python -m classifier.runner.versions
