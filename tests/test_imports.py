"""Imports point one way, and a room costs no more than what stands below it."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent

# Each imports only rooms to its left.
ORDER = ("ops", "layers", "models", "training", "experiments")
# These take plain functions and arrays. What counts and traces programs knows our
# operators by name, and so may import them.
KNOW_NO_MODEL = {"diagnostics": ORDER[1:], "statistics": ORDER, "reporting": ORDER}
HEAVY = ("tensorflow", "tensorflow_datasets", "orbax", "matplotlib", "hypothesis")
NOT_LOADED = {"ops": ("flax", "optax", *HEAVY), "models": HEAVY}


def _files(room):
    folder = ROOT / room if room == "experiments" else ROOT / "cnnlab" / room
    return sorted(folder.rglob("*.py"))


def _imports(path):
    """Every module that the file at `path` imports, wherever in the file."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            # A name may be a module itself: `from cnnlab import ops`.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _rooms(path):
    """The rooms that the file at `path` imports."""
    for name in _imports(path):
        top, *rest = name.split(".")
        if top == "experiments":
            yield top
        elif top == "cnnlab" and rest:
            yield rest[0]


def _assert_none(forbidden, found, path):
    wrong = sorted(set(forbidden) & set(found))
    assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(wrong)}"


@pytest.mark.parametrize("room", ORDER)
def test_rooms_import_only_what_stands_below(room):
    for path in _files(room):
        _assert_none(ORDER[ORDER.index(room) + 1 :], _rooms(path), path)


@pytest.mark.parametrize("room", KNOW_NO_MODEL)
def test_room_knows_no_model(room):
    for path in _files(room):
        _assert_none(KNOW_NO_MODEL[room], _rooms(path), path)
        _assert_none(["flax"], (name.split(".")[0] for name in _imports(path)), path)


def test_data_knows_no_model():
    for path in _files("data"):
        _assert_none(ORDER[1:], _rooms(path), path)


def test_library_imports_no_experiment():
    for path in (ROOT / "cnnlab").rglob("*.py"):
        _assert_none(["experiments"], _rooms(path), path)


def test_operators_need_jax_alone():
    allowed = {"jax", "jaxtyping", "numpy", "cnnlab", *sys.stdlib_module_names}
    for path in _files("ops"):
        _assert_none(set(_rooms(path)) - {"ops", "errors"}, _rooms(path), path)
        more = {"hypothesis"} if path.parent.name == "conformance" else set()
        others = {name.split(".")[0] for name in _imports(path)} - allowed - more
        _assert_none(others, others, path)


def test_the_walk_sees_every_form_of_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "cnnlab" / "ops" / "windows.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import cnnlab.models.lenet\nfrom cnnlab import training\n"
        "from ..layers import pool\nfrom . import named\n"
        "def late():\n    from experiments import flags\n"
    )
    rooms = {"models", "training", "layers", "ops", "experiments"}
    assert set(_rooms(path)) == rooms


@pytest.mark.parametrize("room", NOT_LOADED)
def test_import_loads_nothing_it_does_not_use(room):
    if not (ROOT / "cnnlab" / room / "__init__.py").exists():
        pytest.skip(f"cnnlab.{room} is not part of this tree")
    code = f"import sys, cnnlab.{room}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=True,
    ).stdout.split()
    assert f"cnnlab.{room}" in loaded
    wrong = {name.split(".")[0] for name in loaded} & set(NOT_LOADED[room])
    assert not wrong, f"import cnnlab.{room} loads {', '.join(sorted(wrong))}"
