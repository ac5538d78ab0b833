"""Makes the synchronous client and the pipeline's methods from the trio-native client's source.

    python tools/generate_sync_client.py            writes the files
    python tools/generate_sync_client.py --check    exits 1 and names the files that are not current

The two clients differ in `await` only, so one is written by hand and the other is its shadow; `stream.py`, where they
differ for real, is written twice. What is made is formatted with ruff.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parent.parent / "kvcy" / "client"
CONFIG = CLIENT.parent.parent / "pyproject.toml"
NOTE = "# Made from {source} by tools/generate_sync_client.py: change it there.\n"
WORDS = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\b_async\b", "_sync"),
    (r"for key in keys:\n +yield key\n", "yield from keys\n"),
    ("safe to share between tasks", "safe to share between threads"),
]
METHOD = re.compile(r"    async def (?!execute\b)(.*?)\n(?=\n    async def|\Z)", re.DOTALL)


def synchronous(source: str) -> str:
    """The module without its awaits."""
    for pattern, replacement in WORDS:
        source = re.sub(pattern, replacement, source)
    return source


def pipeline_methods(source: str) -> str:
    """The class whose methods collect commands, from the module whose methods run them."""
    methods = []
    for match in METHOD.finditer(source):
        text = "    def " + match.group(1)
        text = re.sub(r"\) -> [^\n]*:\n", ") -> Self:\n", text, count=1)
        text = re.sub(r"reply: [^\n]* = await self\.execute\(", "return self.call(", text)
        methods.append(text.replace("\n        return reply", "") + "\n")
    head = '''"""The commands as methods that collect them for a pipeline; each returns the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from kvcy.client._arguments import Argument, Data, Value, flatten, timing, words

Self = TypeVar("Self", bound="PipelineCommands")


class PipelineCommands:
    """Commands collected so far, in `commands`."""

    def __init__(self) -> None:
        self.commands: list[tuple[Argument, ...]] = []

    def call(self: Self, *arguments: Argument) -> Self:
        """Collects any command."""
        self.commands.append(arguments)
        return self

'''
    methods = [re.sub(r"\(\s*self([,)])", r"(self: Self\1", method, count=1) for method in methods]
    return head + "\n".join(methods)


def formatted(source: str) -> str:
    """The source as ruff puts it: imports in order, lines broken."""
    for arguments in (["check", "--fix", "--select", "I", "--quiet"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *arguments, "--config", str(CONFIG)]
        command = [*ruff, "--stdin-filename", str(CLIENT / "_sync" / "x.py"), "-"]
        source = subprocess.run(command, input=source, text=True, capture_output=True, check=True).stdout
    return source


def outputs() -> dict[Path, str]:
    """What each generated file should hold."""
    made = {}
    for name in ("connection.py", "pool.py", "commands.py", "client.py"):
        source = CLIENT / "_async" / name
        made[CLIENT / "_sync" / name] = NOTE.format(source=f"_async/{name}") + synchronous(source.read_text())
    commands = (CLIENT / "_async" / "commands.py").read_text()
    made[CLIENT / "_pipeline.py"] = NOTE.format(source="_async/commands.py") + pipeline_methods(commands)
    return {path: formatted(source) for path, source in made.items()}


def main() -> int:
    """Writes or checks the files."""
    made = outputs()
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} is not current: run tools/generate_sync_client.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(made[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
