"""CONFIG GET, SET, RESETSTAT, REWRITE, HELP."""

import os
from pathlib import Path

import pytest
from admin_fakes import Admin

from kvcy.server.config_file import load, read_file
from kvcy.server.options import ROWS, Options
from kvcy.server.replies import OK, Error, Simple


def test_get_by_name_glob_and_several() -> None:
    admin = Admin()
    assert admin("config|get", "maxmemory", "HZ") == {"maxmemory": "0", "hz": "10"}
    assert admin("config|get", "nosuch", "slowlog-*", "tim[e-f]out", "ti?eout", "\\hz", "[^a-z]*") == {
        "slowlog-log-slower-than": "10000", "slowlog-max-len": "128", "timeout": "0", "hz": "10",
    }  # fmt: skip
    everything = admin("config|get", "*")
    assert isinstance(everything, dict) and set(everything) == set(ROWS)
    assert everything["bind"] == "127.0.0.1 -::1" and everything["save"] == "3600 1 300 100 60 10000"


def test_set() -> None:
    admin = Admin()
    assert admin("config|set", "timeout", "7", "maxmemory", "1gb") == OK
    assert admin("config|get", "timeout", "maxmemory") == {"timeout": "7", "maxmemory": str(1 << 30)}


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("foo", "bar"), "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
        (("appendfilename", "no"), "ERR Unknown option or number of arguments for CONFIG SET - 'appendfilename'"),
        (("hz", "1", "timeout"), "ERR syntax error"),
        (("maxmemory", "-1"), "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - "
         "argument must be a memory value"),
        (("hz", "5", "timeout", "abc"), "ERR CONFIG SET failed (possibly related to argument 'timeout') - "
         "argument couldn't be parsed into an integer"),
        (("maxmemory", "1", "maxmemory", "2"), "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - "
         "duplicate parameter"),
        (("dir", "/tmp"), "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config"),
        (("pidfile", "x"), "ERR CONFIG SET failed (possibly related to argument 'pidfile') - "
         "can't set immutable config"),
    ],
)  # fmt: skip
def test_set_refuses(args: tuple[str, ...], text: str) -> None:
    admin = Admin()
    assert admin("config|set", *args) == Error(text)
    assert admin.config.options == Options()


def test_protected_options_where_they_are_allowed() -> None:
    admin = Admin(Options(enable_protected_configs="local"))
    assert admin("config|set", "dir", "/tmp") == OK
    admin.local = False
    assert isinstance(admin("config|set", "dir", "/var"), Error)
    assert admin.config.options.dir == "/tmp"


def test_resetstat() -> None:
    admin = Admin()
    admin.native.values |= {"connections": 9, "clients": 2}
    admin.state.traffic = lambda: (100, 200)
    assert admin("config|resetstat") == OK
    assert admin.native.resets == 1
    admin.native.values["connections"] = 10
    admin.state.traffic = lambda: (101, 202)
    totals = admin.state.totals()
    assert [totals[name] for name in ("connections", "clients", "bytes_in", "bytes_out")] == [1, 2, 1, 2]


def test_rewrite_keeps_comments_order_and_permissions(tmp_path: Path) -> None:
    path = tmp_path / "kvcy.conf"
    path.write_text("# mine\nport 7000\n\nappendfilename x\nsave 900 1\nTIMEOUT 3\nsave 60 5\n  # end\n")
    path.chmod(0o640)
    options = load(read_file(str(path))).options
    admin = Admin(options, path=str(path))
    admin("config|set", "timeout", "9", "requirepass", 'a "b" #\u00e9', "save", "5 1", "maxmemory", "3mb")
    assert admin("config|rewrite") == OK
    assert path.read_text() == (
        "# mine\nport 7000\n\nappendfilename x\nsave 5 1\ntimeout 9\n  # end\n"
        '# Written by CONFIG REWRITE\nrequirepass "a \\"b\\" #\\xc3\\xa9"\nmaxmemory 3mb\n'
    )
    assert path.stat().st_mode & 0o777 == 0o640
    assert load(read_file(str(path))).options == admin.config.options
    before = path.read_text()
    assert admin("config|rewrite") == OK
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["kvcy.conf"]


def test_rewrite_without_a_file_or_a_place_for_it(tmp_path: Path) -> None:
    assert Admin()("config|rewrite") == Error("ERR The server is running without a config file")
    missing = Admin(path=str(tmp_path / "missing" / "kvcy.conf"))
    assert missing("config|rewrite") == Error("ERR Rewriting config file: No such file or directory")


def test_help() -> None:
    lines = Admin()("config|help")
    assert isinstance(lines, list)
    assert lines[0] == Simple("CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
    assert Simple("RESETSTAT") in lines
