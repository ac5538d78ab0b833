"""Reading configuration files and command-line settings."""

import io
from pathlib import Path

import pytest

from kvcy.server.config_file import (
    ConfigError,
    Setting,
    load,
    read_arguments,
    read_file,
    read_lines,
    read_stream,
    split_words,
)
from kvcy.server.values import OutputLimit, SavePoint

DEBIAN_CONFIG = Path("/etc/redis/redis.conf")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("port 6380", ["port", "6380"]),
        ("  a\t b ", ["a", "b"]),
        ('a ""', ["a", ""]),
        ("a ''", ["a", ""]),
        (r'a "x\n\x41\"\\\q"', ["a", 'x\nA"\\q']),
        (r"a 'x\'y\n'", ["a", "x'y\\n"]),
        ('a "\\xff"', ["a", "\udcff"]),
        ("a it's", None),
        ('a "b', None),
        ('a "b"c', None),
        ("", []),
    ],
)
def test_split_words(line: str, words: list[str] | None) -> None:
    if words is None:
        with pytest.raises(ValueError, match="unbalanced quotes"):
            split_words(line)
    else:
        assert split_words(line) == words


def test_lines_and_places() -> None:
    settings = read_lines(["# comment", "", "PORT 1", "  bind a b"], "f")
    assert settings == [Setting("port", ("1",), "f:3"), Setting("bind", ("a", "b"), "f:4")]


def test_later_settings_win_and_some_add_up() -> None:
    lines = ["port 1", "port 2", "save 900 1", "save 300 10 60 1", "client-output-buffer-limit normal 1 2 3",
             "client-output-buffer-limit replica 4 5 6", "bind 1.1.1.1", "bind 2.2.2.2 -::1"]  # fmt: skip
    options = load(read_lines(lines, "f")).options
    assert options.port == 2
    assert options.save == (SavePoint(900, 1), SavePoint(300, 10), SavePoint(60, 1))
    assert options.client_output_buffer_limit.normal == OutputLimit(1, 2, 3)
    assert options.client_output_buffer_limit.slave == OutputLimit(4, 5, 6)
    assert options.bind == ("2.2.2.2", "-::1")
    assert load(read_lines([*lines, 'save ""'], "f")).options.save == ()


def test_include(tmp_path: Path) -> None:
    for name, port in (("a.conf", 1), ("b.conf", 2)):
        (tmp_path / name).write_text(f"port {port}\n")
    main = tmp_path / "main.conf"
    main.write_text(f"include {tmp_path}/[ab].conf\nhz 20\n")
    assert [(s.name, s.words) for s in read_file(str(main))] == [("port", ("1",)), ("port", ("2",)), ("hz", ("20",))]
    main.write_text(f"hz 1\ninclude {tmp_path}/missing.conf\n")
    with pytest.raises(
        ConfigError, match=r"main\.conf:2: can't read configuration file .*missing\.conf': No such file"
    ):
        read_file(str(main))
    main.write_text(f"include {main}\n")
    with pytest.raises(ConfigError, match="nested more than"):
        read_file(str(main))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("prot 1", "f:1: unknown option 'prot'; did you mean 'port'?"),
        ("zzzzzzz 1", "f:1: unknown option 'zzzzzzz'"),
        ("port", "f:1: option 'port': wrong number of arguments"),
        ("port 1 2", "f:1: option 'port': wrong number of arguments"),
        ("port x", "f:1: option 'port': argument couldn't be parsed into an integer"),
        ("port 1 # here", "f:1: option 'port': wrong number of arguments"),
        ("databases 17", "f:1: option 'databases': argument must be between 1 and 16 inclusive"),
        ('dir "x', "f:1: unbalanced quotes"),
    ],
)
def test_faults_name_their_place(line: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(read_lines([line], "f"))
    assert str(caught.value) == text


def test_arguments() -> None:
    settings = read_arguments(["--port", "1", "--bind", "a", "b", "--save", "", "--requirepass", "--secret", "--hz 20"])
    assert [(s.name, s.words) for s in settings] == [
        ("port", ("1",)), ("bind", ("a", "b")), ("save", ("",)), ("requirepass", ("--secret",)), ("hz", ("20",)),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="--port: option 'port': wrong number of arguments"):
        load(read_arguments(["--port", "--bind", "a"]))
    with pytest.raises(ConfigError, match="unexpected argument 'x'"):
        read_arguments(["x"])
    with pytest.raises(ConfigError, match="--prot: unknown option 'prot'; did you mean 'port'"):
        load(read_arguments(["--prot", "1"]))


def test_standard_input() -> None:
    assert load(read_stream(io.StringIO("port 7\n"))).options.port == 7


@pytest.mark.skipif(not DEBIAN_CONFIG.exists(), reason="Debian's redis-server is not installed")
def test_debians_configuration_loads() -> None:
    loaded = load(read_file(str(DEBIAN_CONFIG)))
    assert loaded.options.port == 6379
    assert loaded.options.bind == ("127.0.0.1", "-::1")
    assert loaded.options.dir == "/var/lib/redis"
    assert "appendfilename" in loaded.not_yet
    assert "activerehashing" in loaded.without_effect
    assert len(loaded.warnings()) == 1


def test_warnings() -> None:
    lines = ["user default on", "save 60 1", "maxmemory-policy allkeys-lru", "replicaof a 1", "slaveof a 1"]
    assert load(read_lines(lines, "f")).warnings() == [
        "option 'user' has no effect in this version: nothing is protected by it",
        "these options have no effect in this version: replicaof",
    ]
