"""Checks a built sdist and wheel: what is in them, and that the wheel works in an environment that holds nothing else.

Usage: check_wheel.py DIST ENVIRONMENT. Prints what it finds wrong and exits 1.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

SERVER_START_SECONDS = 20
EXCLUDED = re.compile(r"\.(pyx|c|h|o|cfg|ini)$|(^|/)(tests|benchmarks|build_support|docs)/|__pycache__")
REQUEST = b"SET a b\r\nGET a\r\n"
ANSWER = b"+OK\r\n$1\r\nb\r\n"
IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
import kvcy
for module in pkgutil.walk_packages(kvcy.__path__, "kvcy."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(pathlib.Path(kvcy.__file__).parent)
"""


def check_sdist(path: Path) -> list[str]:
    """What is wrong with the source distribution."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "setup.cfg", "tox.ini", "LICENSE", "README.md", "build_support/flags.py"}
    wanted |= {"tests/conftest.py", "kvcy/engine/keyspace.pyx", "kvcy/engine/keyspace.pxd"}
    faults = [f"the sdist lacks {name}" for name in sorted(wanted - names)]
    products = [name for name in names if name.endswith((".so", ".pyc")) or re.search(r"^kvcy/.*\.c$", name)]
    return faults + [f"the sdist holds {name}" for name in sorted(products)]


def check_wheel(path: Path, sources: set[str]) -> list[str]:
    """What is wrong with the wheel, given the names of the package's source files."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    wanted = {name for name in sources if name.endswith((".py", ".pyi", ".pxd", "py.typed"))}
    faults = [f"the wheel lacks {name}" for name in sorted(wanted - names)]
    for name in sources:
        stem = name.removesuffix(".pyx")
        if name.endswith(".pyx") and not any(other.startswith(stem + ".") and other.endswith(".so") for other in names):
            faults.append(f"the wheel lacks the compiled {name}")
    if not any(name.endswith("licenses/LICENSE") for name in names):
        faults.append("the wheel lacks the licence")
    return faults + [f"the wheel holds {name}" for name in sorted(names) if EXCLUDED.search(name)]


def check_installation(wheel: Path, environment: Path) -> list[str]:
    """Install the wheel, import every module from it, start the server, ask it something, and stop it."""
    venv.create(environment, with_pip=True, clear=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, cwd=environment)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    where = subprocess.run(
        [python, "-c", IMPORT_ALL], check=True, cwd=environment, env=clean, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    if not where.startswith(str(environment)):
        return [f"kvcy was imported from {where}"]
    server = environment / "bin" / "kvcy-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([server, "--port", str(port)], cwd=environment, env=clean) as process:
        try:
            answer = ask(port, REQUEST, len(ANSWER))
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=10)
        finally:
            process.kill()
    tool = subprocess.run([environment / "bin" / "kvcy", "check", "none"], cwd=environment, env=clean, check=False)
    faults = [] if tool.returncode == 3 else [f"kvcy check of no directory exited with {tool.returncode}"]
    faults += [] if answer == ANSWER else [f"the server answered {answer!r}"]
    return faults + ([] if status == 0 else [f"the server exited with {status}"])


def ask(port: int, request: bytes, size: int) -> bytes:
    """Send a request to a server that may still be starting; the first `size` bytes of its answer."""
    for _ in range(SERVER_START_SECONDS * 10):
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            break
        except ConnectionRefusedError:
            signal.sigtimedwait([], 0.1)
    else:
        return b""
    with connection:
        connection.sendall(request)
        answer = b""
        while len(answer) < size and (part := connection.recv(4096)):
            answer += part
        return answer


def main() -> int:
    dist, environment = (Path(argument).resolve() for argument in sys.argv[1:])
    (sdist,) = dist.glob("*.tar.gz")
    (wheel,) = dist.glob("*.whl")
    root = Path(__file__).resolve().parent.parent
    kinds = {".py", ".pyi", ".pxd", ".pyx", ".typed"}
    sources = {str(path.relative_to(root)) for path in (root / "kvcy").rglob("*") if path.suffix in kinds}
    faults = check_sdist(sdist) + check_wheel(wheel, sources)
    faults += check_installation(wheel, environment) if not faults else []
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
