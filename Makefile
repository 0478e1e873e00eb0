# Two commands on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
# Both set up .venv themselves, and need no network the second time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
S3 := .venv-s3/bin/moto_server
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo train-smoke test test-slow chaos lint format lock clean

demo: $(VENV)/.runtime
	$(BIN)/python -m eval.labels.demo_clips $(DEMO)/clips --cache $(DEMO)/cache
	$(BIN)/python -m curation run --input $(DEMO)/clips --output $(DEMO)/run
	$(BIN)/python -m curation report $(DEMO)/run

# Trains tiny models through both stages on the demo's clips, on the CPU: stop, resume, reload, sample.
train-smoke: $(VENV)/.runtime
	$(BIN)/python -m eval.labels.demo_clips $(DEMO)/clips --cache $(DEMO)/cache
	$(BIN)/python -m curation run --input $(DEMO)/clips --output $(DEMO)/run
	rm -rf $(DEMO)/training
	$(BIN)/python -m training.smoke --manifest $(DEMO)/run --output $(DEMO)/training

# Several threads of one process, in a test or in what it starts, only wait for each other on few cores.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.dev | $(S3)
	$(BIN)/python -m pytest

test-slow: $(VENV)/.dev | $(S3)
	$(BIN)/python -m pytest -m slow

# Workers killed, nodes lost, files that hang, drivers killed: ends with the manifests of a calm run, three times over.
chaos: $(VENV)/.dev | $(S3)
	$(BIN)/python -m pytest -m slow -s tests/test_chaos.py

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The S3 server that tests talk to. Its pins and ours exclude each other (python-dateutil), so it lives by itself.
$(S3):
	$(PYTHON) -m venv --clear .venv-s3
	.venv-s3/bin/python -m pip install --quiet --disable-pip-version-check "moto[s3,server]==5.2.5"

# After changing requirements*.txt: install the newest versions into a fresh environment and pin them.
lock:
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --requirement requirements.txt --requirement requirements-dev.txt
	{ echo "# Every version that the tests ran with. Regenerate: make lock"; $(BIN)/python -m pip freeze; } > constraints.txt
	touch $(VENV)/.runtime $(VENV)/.dev

clean:
	rm -rf $(VENV) .venv-s3 $(DEMO)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "error: $(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt constraints.txt | $(BIN)/python
	@echo "installing pinned dependencies into $(VENV) (about 7 GB with PyTorch's CUDA build; minutes the first time)"
	$(PIP) --requirement requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP) --requirement requirements-dev.txt
	touch $@
