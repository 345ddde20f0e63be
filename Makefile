# `make demo` and `make test` do all their set-up: they make .venv and install what they need into it.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-slow check bench prove atlas docs quality fuzz constraints clean
.DELETE_ON_ERROR:

demo: .venv/core
	$(BIN)/tuwen demo

test: .venv/test
	$(BIN)/pytest -n 2 --dist worksteal

# What make test leaves out because it takes minutes: more pages under axe-core, more clusters, more steps at which to kill.
test-slow: .venv/test
	$(BIN)/pytest -m slow

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_architecture.py

# One benchmark: make bench NAME=extract. All of them: make bench
NAME ?= warc extract images selection balance build fetch join near_duplicates concepts mixture embedding scorer search \
	explore training proof ray scale maintain
bench: .venv/test
	@for name in $(NAME); do $(BIN)/python benchmarks/$$name.py || exit 1; done

# All registered claims, or some: make prove CLAIMS=claims/alip.yaml. Verdicts go into claims/results, pages into proof/.
# Those on real pairs need data first: docs/proof.md.
CLAIMS ?= $(filter-out claims/datacomp-small.yaml claims/%-real.yaml,$(sort $(wildcard claims/*.yaml)))
prove: .venv/test
	$(BIN)/tuwen prove --record $(CLAIMS) || test $$? = 1  # 1: not all are supported
	$(BIN)/python docs/generate.py

# Which way to choose pairs of a crawl trains the better model: make atlas CRAWL="a.warc.gz b.warc.gz" LEFT_OUT="RULE"
# Other arguments of examples/atlas.py: ATLAS="--to mine --samples 2000 --scales 1 --seeds 1 2"
atlas: .venv/test
	$(BIN)/python examples/atlas.py $(if $(CRAWL),--crawl $(CRAWL)) $(if $(LEFT_OUT),--left-out "$(LEFT_OUT)") $(ATLAS)

# The generated pages: docs/cli.md, docs/stages.md, docs/claims.md. A test fails when they are not what the code says.
docs: .venv/test
	$(BIN)/python docs/generate.py

# docs/quality.md: precision and recall of every detector, measured now.
quality: .venv/test
	$(BIN)/python benchmarks/quality/page.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/core: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv: about a minute"
	$(INSTALL) --editable '.[explore]'
	@touch $@

.venv/test: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing what the tests need into .venv: some minutes"
	$(INSTALL) --editable '.[test]'
	@touch $@ .venv/core

# Throw mutated bytes at every reader, as long as you like: make fuzz NAME=warc SECONDS=600. Follows coverage where atheris is installed.
SECONDS ?= 60
fuzz: .venv/test
	@for name in $(if $(filter command line,$(origin NAME)),$(NAME),warc html url_list recipe shards); do \
		$(BIN)/python tests/fuzzing/fuzz.py $$name $(SECONDS) || exit 1; done

# After a change of the ranges in pyproject.toml: install freely, run the tests, then write down what was tested.
constraints:
	echo '# Exact versions that the tests ran with; ranges are in pyproject.toml. Made by: make constraints' > constraints.txt
	$(BIN)/pip freeze --exclude-editable --exclude tuwen | sed "s/+cpu$$//" >> constraints.txt

clean:
	rm -rf .venv demo build dist
