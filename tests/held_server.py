"""A kvcy-server whose loading is held up: the first argument says how many reads of files go on, the rest are the
server's. An empty line of its standard output says that it has come to wait; a line of its standard input lets it go
on. Then it obeys as faulty_server.py does."""

from __future__ import annotations

import sys
import threading

import faulty_server

from kvcy.cli.server import main
from probes import fault_probe


def obey() -> None:
    fault_probe.await_held()
    print(flush=True)
    sys.stdin.readline()
    fault_probe.let_go()
    faulty_server.obey()


if __name__ == "__main__":
    fault_probe.play()
    fault_probe.hold(int(sys.argv[1]))
    threading.Thread(target=obey, daemon=True).start()
    sys.exit(main(sys.argv[2:]))
