# make app: the dashboard on http://localhost:8501 (PORT=... for another). make test: every test, browser included.
PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin

.PHONY: app test check bench clean
app: .venv/app
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: .venv/test
	$(BIN)/python -m tests.browser.chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/bench
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv

.venv/pip:
	$(PYTHON) -m venv .venv
	touch $@

.venv/app .venv/test .venv/bench: .venv/%: pyproject.toml constraints.txt | .venv/pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[$*]"
	touch $@
