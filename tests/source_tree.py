"""The repository's source files and what each imports and cimports, for the tests that look at the sources."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kvcy"
SKIPPED = {"build", "dist", "venv", "work", "__pycache__", "node_modules"}  # venv and work: .ci's
TEXT = {".py", ".pyi", ".pyx", ".pxd", ".md", ".toml", ".cfg", ".ini", ".in", ".txt", ".sh", ".h", ".conf", ".yml"}

STRING = re.compile(r"'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|#[^\n]*", re.DOTALL)
IMPORT = re.compile(r"^(?:from\s+(?P<source>[.\w]+)\s+)?(?P<verb>cimport|import)\s+(?P<names>.+)$")


@dataclass(frozen=True)
class Import:
    """One module that a file imports: by its dotted name, at compile time (`cimport`) or at run time."""

    target: str
    line: int
    compiled: bool
    star: bool = False


def source_files(*suffixes: str, under: Path = PACKAGE) -> list[Path]:
    """The files below `under` with one of these suffixes, build products and hidden directories left out."""
    found = []
    for directory, names, files in os.walk(under):
        names[:] = [name for name in names if name not in SKIPPED and not name.startswith(".")]
        found += [Path(directory, file) for file in files if Path(file).suffix in suffixes and file[0] != "."]
    return sorted(found)


def module_name(path: Path) -> str:
    """The dotted name of a file of the package; a package's `__init__` has the package's name."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def imports(path: Path) -> list[Import]:
    """All that `path` imports, wherever in the file it does so."""
    if path.suffix in (".pyx", ".pxd"):
        return list(cython_imports(path))
    return list(python_imports(path))


def python_imports(path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, compiled=False)
        elif isinstance(node, ast.ImportFrom):
            source = absolute(path, "." * node.level + (node.module or ""))
            for alias in node.names:
                yield Import(member(source, alias.name), node.lineno, compiled=False, star=alias.name == "*")


def cython_imports(path: Path) -> Iterator[Import]:
    for line, statement in logical_lines(path.read_text()):
        match = IMPORT.match(statement)
        if match is None:
            continue
        compiled = match["verb"] == "cimport"
        names = [name.split(" as ")[0].strip() for name in match["names"].strip("() ").split(",") if name.strip()]
        for name in names:
            if match["source"] is None:
                yield Import(name, line, compiled)
            else:
                yield Import(member(absolute(path, match["source"]), name), line, compiled, star=name == "*")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Statements without comments and string contents, a bracketed one joined; each with its first line's number."""
    blank = STRING.sub(lambda match: '""' + "\n" * match[0].count("\n"), text)
    pending, start, depth = "", 0, 0
    for number, line in enumerate(blank.splitlines(), 1):
        if not pending:
            start = number
        pending = f"{pending} {line.strip()}".strip()
        depth += line.count("(") + line.count("[") + line.count("{")
        depth -= line.count(")") + line.count("]") + line.count("}")
        if depth <= 0 and not line.endswith("\\"):
            if pending:
                yield start, pending
            pending, depth = "", 0


def absolute(path: Path, source: str) -> str:
    """A possibly relative module name, as seen from `path`, in full."""
    dots = len(source) - len(source.lstrip("."))
    if dots == 0:
        return source
    package = list(path.relative_to(ROOT).parent.parts)
    package = package[: len(package) - (dots - 1)]
    return ".".join([*package, source.lstrip(".")]).rstrip(".")


def member(source: str, name: str) -> str:
    """What `from source import name` reaches: the module `source.name` if there is one, else `source`."""
    base = ROOT.joinpath(*source.split("."), name)
    if any(base.with_suffix(suffix).is_file() for suffix in (".py", ".pyx", ".pxd")) or base.is_dir():
        return f"{source}.{name}"
    return source
