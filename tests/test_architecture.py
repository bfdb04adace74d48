"""The shape of the package: who imports whom, and where."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dgrid"
# A room imports only from itself and from the rooms before it; those of one entry do not know each other.
ROOMS = (
    {"record", "__init__"},
    {"errors", "units"},
    {"plan"},
    {"batch"},
    {"config"},
    {"nodes"},
    {"images", "lab", "sites"},
    {"report"},
    {"order"},
    {"on_nodes"},
    {"run"},
    {"cli"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
# Deciding touches nothing: not the machine, not the network, not the clock.
NOT_IN_PLAN = {"os", "socket", "subprocess", "time", "click", "docker", "paramiko", "requests", "shutil", "threading"}
# What takes long to import (milliseconds count at start-up) is imported where it is used.
LATE = {"docker", "paramiko", "jsonschema", "tenacity", "ClusterShell"}
LATE_TOO = {"cryptography", "requests", "urllib3"}  # docker and paramiko bring them, and are made of them
# These, too: few commands need them.
SELDOM = {"difflib", "hashlib", "hmac", "http", "logging", "tempfile", "tomllib"}
LAZY_ROOMS = {
    "cli",
    "nodes",
    "on_nodes",
    "run",
}  # what few commands need, and what is loaded while something is waited for
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(file):
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


def imports(file, everywhere=True):
    """(module, line, whether inside a function) of each import; ``from package import module`` is the module."""
    tree = ast.parse(file.read_text())
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        late = node in inside
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno, late) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield (full if full in MODULES else node.module or ""), node.lineno, late


def room_of(module):
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_a_room_imports_only_from_rooms_before_it(file):
    """Data flows one way; each room has its place in the order."""
    own = room_of(module_of(file))
    for module, line, _ in imports(file):
        if module.split(".")[0] == "dgrid":
            other = room_of(module)
            assert other == own or LEVEL[other] < LEVEL[own], f"{file}:{line}: {own} may not import {module}"


@pytest.mark.parametrize("file", [file for file in FILES if file.parent.name == "plan"], ids=module_of)
def test_deciding_touches_nothing(file):
    """No module of plan can reach the machine, the network or the clock; nor does any read or open files."""
    for module, line, _ in imports(file):
        assert module.split(".")[0] not in NOT_IN_PLAN, f"{file}:{line}: plan may not import {module}"
    calls = {node.func.id for node in ast.walk(ast.parse(file.read_text())) if is_call(node)}
    assert not calls & {"open", "print", "input", "exec", "eval"}


def is_call(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_imports_inside_functions_are_for_start_up_time_only(file):
    """The slow libraries, and in some rooms modules of dgrid's own; slow libraries are never imported at the top."""
    lazy_room = room_of(module_of(file)) in LAZY_ROOMS
    for module, line, late in imports(file):
        top = module.split(".")[0]
        if late:
            assert top in LATE | LATE_TOO | SELDOM or (lazy_room and top == "dgrid"), (
                f"{file}:{line}: import {module} at the top"
            )
    type_only = type_checking_lines(file)
    for module, line, late in imports(file):
        if not late and line not in type_only:
            assert module.split(".")[0] not in LATE | LATE_TOO, f"{file}:{line}: import {module} where it is used"


def type_checking_lines(file):
    return {
        line
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def test_there_are_no_import_cycles():
    """None at the top of modules, and none hidden in functions."""
    graph = {
        module: {other for other, _, _ in imports(file) if other in MODULES and other != module}
        for module, file in MODULES.items()
    }
    while ready := [module for module, others in graph.items() if not others & graph.keys()]:
        for module in ready:
            del graph[module]
    assert not graph, f"these modules import each other: {sorted(graph)}"


@pytest.mark.parametrize("file", [file for file in FILES if room_of(module_of(file)) != "cli"], ids=module_of)
def test_only_the_command_line_prints_exits_and_reads_the_environment(file):
    """Everywhere else they are arguments and errors."""
    for node in ast.walk(ast.parse(file.read_text())):
        if is_call(node):
            assert node.func.id not in ("print", "exit", "quit"), f"{file}:{node.lineno}: {node.func.id}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            pair = (node.value.id, node.attr)
            assert pair not in (("os", "environ"), ("os", "getenv"), ("sys", "exit")), f"{file}:{node.lineno}: {pair}"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_no_module_grows_into_a_monster(file):
    """300 lines are the end of a module, 40 those of a function, without its signature and docstring."""
    assert len(file.read_text().splitlines()) <= 300
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            code = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert code <= 40, f"{file}:{node.lineno}: {node.name} has {code} lines"


def test_every_room_has_its_place():
    """A new module at the top must be put into the order."""
    assert {room_of(module) for module in MODULES} <= LEVEL.keys()


def test_the_order_is_read_from_the_real_package():
    """The rules above see the modules there are."""
    assert "dgrid.plan.plan" in MODULES
    assert sys.modules.get("dgrid") is None or Path(sys.modules["dgrid"].__file__ or "").parent == PACKAGE
