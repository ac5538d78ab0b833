"""DEBUG, SHUTDOWN, SLOWLOG, LATENCY, ROLE, and how handlers and rows match."""

from pathlib import Path

import pytest
from admin_fakes import Admin

from kvcy.commands import registry
from kvcy.commands.admin_rows import ROWS
from kvcy.server import admin as admin_module
from kvcy.server.admin import HANDLERS, dispatch
from kvcy.server.context import Context, LatencySamples, SlowCommand
from kvcy.server.options import Options
from kvcy.server.replies import OK, SYNTAX_ERROR, Close, Error, Reply, Simple, Verbatim


def test_rows_and_handlers_match() -> None:
    answered = {name for top in registry.rows() for name, row in top.walk() if "python" in row.words}
    containers = {row.name for row in registry.rows() if row.subcommands and row.name != "command"}
    assert answered - containers == HANDLERS.keys()
    assert all("python" in row.words for top in ROWS for _, row in top.walk())


def test_debug_is_off_unless_enabled() -> None:
    refused = Admin()("debug", "help")
    assert isinstance(refused, Error)
    assert refused.text.startswith(
        'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local"'
    )
    admin = Admin(Options(enable_debug_command="local"))
    assert isinstance(admin("debug", "help"), list)
    admin.local = False
    assert admin("debug", "help") == refused


def test_debug() -> None:
    admin = Admin(Options(enable_debug_command="yes"))
    admin.native.entries[0, b"k"] = "Value at:0x0"
    assert admin("debug", "sleep", "0") == OK
    assert admin("debug", "Object", "k") == Simple("Value at:0x0")
    assert admin("debug", "object", "nokey") == Error("ERR no such key")
    assert admin("debug", "error", "MY text") == Error("MY text")
    assert admin("debug", "set-active-expire", "0") == OK
    assert admin("debug", "protocol", "verbatim") == Verbatim("This is a verbatim\nstring")
    assert admin("debug", "foo") == Error(
        "ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP."
    )


def test_shutdown(tmp_path: Path) -> None:
    admin = Admin(Options(dir=str(tmp_path / "missing" / "data")))
    for words in (["foo"], ["save", "nosave"], ["abort", "now"]):
        assert admin("shutdown", *words) == SYNTAX_ERROR
    assert admin("shutdown", "abort") == Error("ERR No shutdown in progress.")
    assert admin("shutdown", "save") == Error("ERR Errors trying to SHUTDOWN. Check logs.")
    assert admin.stops == 0
    assert admin("shutdown", "NOSAVE", "now") == Close()
    assert admin.stops == 1


def test_slowlog() -> None:
    admin = Admin()
    admin.native.slow = [SlowCommand(n, 5, 20_000, [b"keys", b"*"], b"1.2.3.4:5", b"me") for n in range(11, -1, -1)]
    first = [11, 5, 20_000, [b"keys", b"*"], b"1.2.3.4:5", b"me"]
    found = admin("slowlog|get")
    assert isinstance(found, list) and len(found) == 10 and found[0] == first
    assert admin("slowlog|get", "1") == [first]
    everything = admin("slowlog|get", "-1")
    assert isinstance(everything, list) and len(everything) == 12
    for count in ("-2", "abc"):
        assert admin("slowlog|get", count) == Error("ERR count should be greater than or equal to -1")
    assert admin("slowlog|len") == 12
    assert admin("slowlog|reset") == OK
    assert admin("slowlog|len") == 0


def test_latency() -> None:
    admin = Admin()
    assert admin("latency|latest") == [] and admin("latency|history", "command") == []
    assert admin("latency|graph", "command") == Error("ERR No samples available for event 'command'")
    admin.native.series = [LatencySamples("command", [(int(admin.now_s) - 120, 10), (int(admin.now_s), 40)], 90)]
    assert admin("latency|latest") == [["command", int(admin.now_s), 40, 90]]
    assert admin("latency|history", "command") == [[int(admin.now_s) - 120, 10], [int(admin.now_s), 40]]
    picture = admin("latency|graph", "command")
    assert isinstance(picture, Verbatim)
    assert picture.text.splitlines()[2:] == [" #", " #", " #", "##", "", "20", "ms"]
    doctor = admin("latency|doctor")
    assert isinstance(doctor, Verbatim) and "not being recorded" in doctor.text
    admin("config|set", "latency-monitor-threshold", "5")
    doctor = admin("latency|doctor")
    assert isinstance(doctor, Verbatim) and "command: 2 samples, mean 25 ms, worst 90 ms, last 0s ago." in doctor.text
    assert admin("latency|reset", "nosuch") == 0
    assert admin("latency|reset") == 1


def test_latency_histogram() -> None:
    admin = Admin()
    assert admin("latency|histogram") == {}
    admin.native.timed = {"get": [(900, 5), (1100, 2), (70_000, 1)], "config|get": [(200_000, 3)], "set": [(1, 1)]}
    assert admin("latency|histogram") == {
        "get": {"calls": 8, "histogram_usec": {1: 5, 2: 7, 132: 8}},
        "config|get": {"calls": 3, "histogram_usec": {264: 3}},
        "set": {"calls": 1, "histogram_usec": {1: 1}},
    }
    chosen = admin("latency|histogram", "CONFIG", "Set", "nosuch")
    assert isinstance(chosen, dict) and list(chosen) == ["config|get", "set"]


def test_role() -> None:
    assert Admin()("role") == ["master", 0, []]


class FakeRequest:
    def __init__(self, name: str, *args: bytes) -> None:
        self.name = name
        self.args = args
        self.session = FakeSession()


class FakeSession:
    id = 1
    database = 0
    protocol = 2
    is_local = True


@pytest.mark.trio
async def test_answering_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(context: Context, args: object) -> Reply:
        raise KeyError("oops")

    state = Admin().state
    good = FakeRequest("config|get", b"CONFIG", b"GET", b"hz")
    assert await dispatch(state, good) == (b"*2\r\n$2\r\nhz\r\n$2\r\n10\r\n")
    monkeypatch.setitem(admin_module.HANDLERS, "role", broken)
    bad = FakeRequest("role", b"role")
    assert await dispatch(state, bad) == b"-ERR internal error; the server's log says more\r\n"
    assert await dispatch(state, FakeRequest("shutdown", b"shutdown")) is None
