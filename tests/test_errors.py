"""The tree of errors as it is drawn, and what each error ends the program with."""

import importlib
import inspect
import pkgutil
import re

import pytest

import dgrid
from dgrid import errors
from dgrid.errors import DefinitionError, ManyNodesError, NodeError, OutputError, Problem, StartError, Stopped

BRANCH = re.compile(
    r"^(?P<indent>(?:│   |    )*)(?:[├└]── )?(?P<name>[A-Z]\w+)\s+(?P<code>\d+)?.*?(?P<transient>\(transient\))?$"
)


def drawn():
    """(name, parent's name, exit code, transient) of each class in the drawing."""
    above = {}
    for line in (errors.__doc__ or "").splitlines():
        branch = BRANCH.match(line)
        if branch is None or ("──" not in line and branch["name"] != "DgridError"):
            continue
        depth = 0 if "──" not in line else 1 + len(branch["indent"]) // 4
        code = branch["code"] or above[depth - 1][1]
        above[depth] = (branch["name"], code)
        parent = above[depth - 1][0] if depth else "Exception"
        yield branch["name"], parent, int(code), branch["transient"] is not None


def everything_below(cls):
    return {cls} | {deeper for child in cls.__subclasses__() for deeper in everything_below(child)}


def test_the_drawing_has_every_error_of_the_package():
    """No module keeps an error of its own that the tree does not show."""
    for module in pkgutil.walk_packages(dgrid.__path__, "dgrid."):
        # dgrid.sites are not for us to import: OpenPBS runs what is there, and brings a module of its own.
        if not module.name.endswith("__main__") and not module.name.startswith("dgrid.sites."):
            importlib.import_module(module.name)
    ours = {cls.__name__ for cls in everything_below(errors.DgridError) if cls.__module__.startswith("dgrid.")}
    assert {name for name, *_ in drawn()} == ours


@pytest.mark.parametrize(("name", "parent", "code", "transient"), list(drawn()), ids=lambda value: str(value))
def test_the_drawing_is_true(name, parent, code, transient):
    """Each class stands below its base class, with its exit code and whether the call may be repeated."""
    cls = getattr(errors, name)
    assert cls.__base__.__name__ == parent
    assert cls.transient is transient
    if "exit_code" in inspect.getsource(cls) or "exit_code" in vars(cls):
        return  # said by the instance; the tests below look at those
    assert cls.exit_code == code


@pytest.mark.parametrize("name", ["DgridError", "UsageError", "PlanError", "InputError"])
def test_codes_of_the_roots(name):
    """Wrong usage and wrong files end with 2, all else with 125, as `docker run` does."""
    assert getattr(errors, name).exit_code == (125 if name == "DgridError" else 2)


def test_a_head_that_cannot_be_run_has_its_own_code():
    """125, unless the head's command itself could not be run (126) or found (127)."""
    assert [StartError("n", "x", *code).exit_code for code in ((), (126,), (127,))] == [125, 126, 127]


def test_a_signal_ends_with_128_and_its_number():
    """As a shell tells it."""
    assert (Stopped(15, "SIGTERM").exit_code, str(Stopped(15, "SIGTERM"))) == (143, "ended by SIGTERM")


def test_a_reader_that_has_gone_ends_as_sigpipe_would():
    """`dgrid ... | head` ends with 141; a full disk with 125."""
    gone, full = OutputError(BrokenPipeError(32, "Broken pipe")), OutputError(OSError(28, "No space left on device"))
    assert (gone.exit_code, gone.reader_gone, full.exit_code, full.reader_gone) == (141, True, 125, False)
    assert str(full) == "cannot write the head container's output (No space left on device)"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("job.json", "is empty"), "job.json: is empty"),
        (Problem("job.json", "is wrong", "mend it", 12, 9, "a[2].b"), "job.json:12:9: a[2].b: is wrong — mend it"),
        (Problem("nodes", "is wrong", None, 3), "nodes:3: is wrong"),
    ],
)
def test_a_problem_is_one_line_with_its_place(problem, text):
    """file:line:column: key path: what — remedy, as far as known."""
    assert str(problem) == text


def test_many_errors_are_all_told():
    """No node hides another, no mistake another."""
    many = ManyNodesError((NodeError("a", "is down"), NodeError("b", "is full")))
    assert str(many) == "a: is down\nb: is full"
    assert str(DefinitionError((Problem("f", "x"), Problem("f", "y")))) == "f: x\nf: y"
