# make demo     the mail-relays job on a cluster of four nodes, on this machine
# make test     everything that is checked, tests with real engines included
# make check    only what needs no engine: linters, types, unit tests
# make labs     tests of the lab with each batch system, one lab after the other; those that take long, too
# make chaos    kills dgrid N times (N=100) at every point, and looks whether anything is left; docs/reliability.md
# make bench    measures what dgrid costs beside what the engines cost, and writes docs/performance.md
# make docs     writes the generated pages of docs/ again
# make clean    removes what demo and test keep: images, .venv, caches

.PHONY: help demo test check labs chaos bench docs clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo:
	@scripts/demo

test:
	@scripts/test

check:
	@scripts/environment --test
	@scripts/check-style
	@.venv/bin/python -m pytest -m "not lab" tests/test_*.py tests/plan tests/batch tests/cli

labs:
	@scripts/test --labs

chaos:
	@scripts/environment --test
	@.venv/bin/python tests/chaos/chaos.py $(WHAT) --trials $(or $(N),100) $(addprefix --seed ,$(SEED)) \
		$(addprefix --kind ,$(KIND)) $(addprefix --lab ,$(LAB))

bench:
	@scripts/bench

docs:
	@scripts/environment
	.venv/bin/python scripts/definition_reference.py > docs/definition.md
	.venv/bin/python scripts/command_reference.py > docs/commands.md

clean:
	@scripts/clean
