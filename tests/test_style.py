"""What a machine can judge about the sources: linters, types, compiler warnings, sizes, and the table of modules."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from build_support.flags import WARN, accepted
from source_tree import PACKAGE, ROOT, cython_imports, module_name, source_files

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

Compilations = dict[Path, Future[str]]

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


def cython_depends(path: Path) -> list[Path]:
    """The files that decide what C is made of `path`: itself, the .pxd files it reaches, and the compiler's flags."""
    found = {path, ROOT / "build_support" / "flags.py"}
    waiting = [path, path.with_suffix(".pxd")]
    while waiting:
        file = waiting.pop()
        if file.is_file() and file.is_relative_to(ROOT):
            found.add(file)
            targets = [ROOT.joinpath(*each.target.split(".")).with_suffix(".pxd") for each in cython_imports(file)]
            waiting += [target for target in targets if target not in found]
    return sorted(found)


def complaints(path: Path, directory: Path, seen_dir: Path) -> str:
    """What Cython and then the C compiler say about `path`. A source that drew nothing is remembered by its content."""
    content = b"".join(file.read_bytes() for file in cython_depends(path)) + sys.version.encode()
    seen = seen_dir / hashlib.sha256(content).hexdigest()
    if seen.exists():
        return ""
    generated = str(directory / f"{module_name(path)}.c")
    compiler = shutil.which("cc") or "cc"
    # What only an optimising compiler sees is fatal where wheels are built (.ci/flavour wheel).
    base = [compiler, "-fsyntax-only", "-fPIC", "-DNDEBUG", f"-I{sysconfig.get_path('include')}"]
    said = ""
    for command in (
        [sys.executable, "-m", "cython", "-3", "-I", str(ROOT), "-o", generated, str(path)],
        [*base, *accepted(base, WARN), generated],
    ):
        result = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        said += result.stdout
        if result.returncode != 0:
            return said + f"exit status {result.returncode}"
    if not said:
        seen.touch()
    return said


@pytest.fixture(scope="session")
def compilations(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compilations]:
    """The compilations that the selected tests want, all started, two or more at a time."""
    directory = tmp_path_factory.mktemp("cython")
    cache = getattr(request.config, "cache", None)  # not there with -p no:cacheprovider
    seen_dir = cache.mkdir("cython") if cache else directory
    wanted = [item.callspec.params.get("path") for item in request.session.items if hasattr(item, "callspec")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {path: pool.submit(complaints, path, directory, seen_dir) for path in wanted if path in CYTHON}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("path", CYTHON, ids=relative)
def test_compiles_without_a_word(path: Path, compilations: Compilations) -> None:
    """No Cython warning, no performance hint (each is a hidden trip to the GIL), no warning of the C compiler."""
    assert compilations[path].result() == ""


def test_the_package_is_there() -> None:
    # The tests above look at lists of files; an empty list must not pass for a clean one.
    assert PACKAGE / "__init__.py" in source_files(".py")
    assert EVERY_CYTHON
