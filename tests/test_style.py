"""What a machine can judge about the sources: linters, types, sizes, and the table of modules."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import PACKAGE, ROOT, module_name, source_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.timeout(900)  # linters over everything, on a busy machine

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70
# Files that are over the limit for a reason, with their own limit.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}

CYTHON = source_files(".pyx")
EVERY_CYTHON = CYTHON + source_files(".pyx", under=ROOT / "tests" / "probes")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def run(*command: str) -> str:
    """What a linter has to say: nothing, if it is content. Linters call one another by name, hence the path."""
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "" if result.returncode == 0 else result.stdout


def test_ruff() -> None:
    assert run(sys.executable, "-m", "ruff", "check", "--quiet", ".") == ""


def test_mypy() -> None:
    assert run(sys.executable, "-m", "mypy", "--no-error-summary") == ""


def test_cython_lint() -> None:
    sources = source_files(".pyx", ".pxd") + source_files(".pyx", ".pxd", under=ROOT / "tests")
    assert run("cython-lint", *(relative(path) for path in sources)) == ""


def extension_tables() -> list[dict[str, object]]:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"].get("ext-modules", [])
    assert isinstance(tables, list)
    return tables


def test_every_cython_module_has_one_row_with_a_name_and_a_source() -> None:
    expected = [{"name": module_name(path), "sources": [relative(path)]} for path in CYTHON]
    assert sorted(extension_tables(), key=lambda table: str(table["name"])) == expected


def test_every_cython_module_has_a_stub() -> None:
    assert [relative(path) for path in CYTHON if not path.with_suffix(".pyi").is_file()] == []


def test_every_cython_module_starts_with_the_directives() -> None:
    directives = (
        "# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True"
    )
    assert [relative(path) for path in EVERY_CYTHON if path.read_text().split("\n", 1)[0] != directives] == []


def test_files_are_small() -> None:
    long = {}
    for path in source_files(".py", ".pyx", ".pxd") + source_files(".py", ".pyx", under=ROOT / "tests"):
        lines = len(path.read_text().splitlines())
        if lines > LONG_FILES.get(relative(path), FILE_LINES_MAX):
            long[relative(path)] = lines
    assert long == {}


def test_functions_are_small() -> None:
    long = {}
    for path in source_files(".py", ".pyx", ".pxd"):
        functions = python_functions(path) if path.suffix == ".py" else cython_functions(path)
        for name, lines in functions:
            if lines > LONG_FUNCTIONS.get(f"{relative(path)}:{name}", FUNCTION_LINES_MAX):
                long[f"{relative(path)}:{name}"] = lines
    assert long == {}


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def cython_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function's name and length: from its head to its last line that is indented deeper than the head."""
    lines = path.read_text().splitlines()
    head = re.compile(r"^(\s*)(?:async\s+def|def|cdef|cpdef)\s[^=]*?(\w+)\(")
    for start, line in enumerate(lines):
        match = head.match(line)
        if match is None:
            continue
        end, inside = start, line.count("(") - line.count(")")
        for number in range(start + 1, len(lines)):
            text = lines[number]
            if inside <= 0 and text.strip() and len(text) - len(text.lstrip()) <= len(match[1]):
                break
            inside += text.count("(") - text.count(")") if inside > 0 else 0
            end = number if text.strip() else end
        yield match[2], end - start + 1


def test_the_package_is_there() -> None:
    # The tests above look at lists of files; an empty list must not pass for a clean one.
    assert PACKAGE / "__init__.py" in source_files(".py")
    assert EVERY_CYTHON
