"""Imports point down the layers, and cimports form no cycle: Cython builds and runs both faults without a word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from source_tree import PACKAGE, ROOT, TEXT, cython_imports, imports, module_name, source_files

# From the ground up. A module may import from its own layer and from those before it.
LAYERS = (
    ("kvcy.errors", "kvcy.version"),
    ("kvcy.engine",),
    ("kvcy.protocol",),
    ("kvcy.commands",),
    (
        "kvcy._conversions",
        "kvcy._core",
        "kvcy._facts",
        "kvcy._inspection",
        "kvcy._loading",
        "kvcy._log_waiting",
        "kvcy._opening",
        "kvcy._ordering",
        "kvcy._persistence",
        "kvcy._restoring",
        "kvcy._saving",
        "kvcy._switching",
        "kvcy._views",
        "kvcy._worker",
    ),
    ("kvcy.client",),
    ("kvcy.server",),
    ("kvcy.tools",),
    ("kvcy.cli",),
)
# The package's own face hands out what embedded users need: it stands above the store, beside the client.
FACE_RANK = 5
SOURCES = source_files(".py", ".pyx", ".pxd", ".pyi")


def rank(module: str) -> int | None:
    """The layer of a module of the package; None for the package as such and for what lies above all layers."""
    for number, prefixes in enumerate(LAYERS):
        if any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes):
            return number
    return None


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_module_has_a_layer() -> None:
    free = {"kvcy", "kvcy.__main__"}
    homeless = [relative(path) for path in SOURCES if rank(module_name(path)) is None and module_name(path) not in free]
    assert homeless == []


def test_imports_point_down() -> None:
    upward = []
    for path in SOURCES:
        module = module_name(path)
        own = FACE_RANK if module == "kvcy" else rank(module)
        if own is None:
            continue
        for found in imports(path):
            if found.target == "kvcy" and module.startswith("kvcy."):
                upward.append(f"{relative(path)}:{found.line} imports the package's face")
            target = rank(found.target)
            if target is not None and target > own:
                upward.append(f"{relative(path)}:{found.line} imports {found.target}")
    assert upward == []


def test_engine_and_protocol_know_no_trio() -> None:
    fault = [
        f"{relative(path)}:{found.line} imports {found.target}"
        for path in SOURCES
        if module_name(path).startswith(("kvcy.engine", "kvcy.protocol", "kvcy.commands"))
        for found in imports(path)
        if found.target.split(".")[0] in ("trio", "socket", "ssl", "asyncio", "threading")
    ]
    assert fault == []


def cimport_graph() -> dict[str, set[str]]:
    """Which modules of the package each module cimports, in its .pxd or its .pyx."""
    graph: dict[str, set[str]] = {}
    for path in source_files(".pyx", ".pxd"):
        edges = graph.setdefault(module_name(path), set())
        edges |= {found.target for found in cython_imports(path) if found.compiled and found.target.startswith("kvcy.")}
    return {module: edges - {module} for module, edges in graph.items()}


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one cycle, in order; empty if there is none."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph.get(module, ())):
            cycle = visit(target, [*trail, module])
            if cycle:
                return cycle
        done.add(module)
        return []

    for module in sorted(graph):
        cycle = visit(module, [])
        if cycle:
            return cycle
    return []


def test_the_cycle_finder_finds_cycles() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_cimports_form_no_cycle() -> None:
    assert find_cycle(cimport_graph()) == []


def test_cimports_are_explicit() -> None:
    sources = source_files(".pyx", ".pxd") + source_files(".pyx", ".pxd", under=ROOT / "tests")
    stars = [f"{relative(path)}:{found.line}" for path in sources for found in cython_imports(path) if found.star]
    assert stars == []


def test_no_textual_include() -> None:
    include = re.compile(r"^\s*include\s+['\"]", re.MULTILINE)
    assert [relative(path) for path in source_files(".pyx", ".pxd") if include.search(path.read_text())] == []


def test_the_import_reader_reads_imports() -> None:
    # This file's own neighbours, so that a reader that finds nothing cannot pass the tests above.
    assert {found.target for found in imports(Path(__file__))} >= {"re", "pathlib", "pytest", "source_tree"}
    graph = cimport_graph()
    assert "kvcy.engine.status" in graph["kvcy.engine.keyspace"]
    assert "kvcy.engine.block" in graph["kvcy.protocol.writer"]


@pytest.mark.parametrize("name", ["registry", "home"])
def test_no_file_names_the_machine_it_was_written_on(name: str) -> None:
    patterns = {
        # Written in pieces: this file is read too.
        "registry": "py" + r"pi\.|python" + r"hosted\.|dev" + r"pi\b|/py" + "pi",
        "home": r"(?<![\w.])/(?:ro" + r"ot|ho" + r"me/\w+|wo" + r"rk|Us" + r"ers)/",
    }
    pattern = re.compile(patterns[name])
    found = []
    for path in text_files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{relative(path)}:{number}: {line.strip()[:100]}")
    assert found == []


def text_files() -> list[Path]:
    """All text files of the repository, those at its top and those without a suffix included."""
    found = [path for path in ROOT.iterdir() if path.is_file() and (path.suffix in TEXT or path.name == "LICENSE")]
    for name in ("kvcy", "tests", "benchmarks", "docs", "build_support", ".ci"):
        found += source_files(*TEXT, "", under=ROOT / name) if (ROOT / name).is_dir() else []
    assert PACKAGE / "__init__.py" in found
    return found
