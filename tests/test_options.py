"""The table of options: kinds of values, setting them, and putting them back."""

import re
from pathlib import Path

import pytest

from kvcy.server.config_file import split_words
from kvcy.server.options import ROWS, Config, OptionError, Options, UnknownOption, find, nearest
from kvcy.server.redis_options import ALIASES, NOT_YET, WITHOUT_EFFECT
from kvcy.server.values import OutputLimit, parse_memory_bytes, quote_word


def test_every_default_survives_formatting_and_parsing() -> None:
    for row in ROWS.values():
        text = row.kind.format(row.default)
        words = [text] if not row.kind.several else text.split() or [""]
        assert row.kind.parse(words, row.default) == row.default, row.name
        for line in row.kind.lines(row.default):
            row.kind.parse_line(split_words(line), row.default)


def test_names_belong_to_one_table() -> None:
    assert not ROWS.keys() & NOT_YET
    assert not ROWS.keys() & WITHOUT_EFFECT
    assert not NOT_YET & WITHOUT_EFFECT
    assert not ALIASES.keys() & (ROWS.keys() | NOT_YET | WITHOUT_EFFECT)
    assert set(ALIASES.values()) <= ROWS.keys() | NOT_YET | WITHOUT_EFFECT


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0", 0), ("1k", 1000), ("1KB", 1024), ("3m", 3_000_000), ("3mb", 3 << 20), ("2g", 2 * 10**9), ("2gb", 2 << 30),
     ("7b", 7)],
)  # fmt: skip
def test_memory_units(text: str, size_bytes: int) -> None:
    assert parse_memory_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "1x", "kb", "1.5gb", "10%", "1 kb", "\uff11"])
def test_bad_memory(text: str) -> None:
    with pytest.raises(ValueError, match="argument must be a memory value"):
        parse_memory_bytes(text)


@pytest.mark.parametrize("word", ["", "plain", "two words", 'a"b', "a\\b", "#x", "line\nend", "\udcff", "it's", "é"])
def test_quoted_words_read_back(word: str) -> None:
    assert split_words(quote_word(word)) == [word]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("tcp-backlog", "5", "can't set immutable config"),
        ("timeout", "abc", "argument couldn't be parsed into an integer"),
        ("timeout", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("maxmemory", "1x", "argument must be a memory value"),
        ("protected-mode", "maybe", "argument must be 'yes' or 'no'"),
        ("dir", "/", "can't set protected config"),
        ("save", "900", "Invalid save parameters"),
        ("client-output-buffer-limit", "normal 0 0", "Wrong number of arguments in buffer limit configuration."),
        ("client-output-buffer-limit", "foo 0 0 0",
         "Invalid client class specified in buffer limit configuration."),
        ("client-output-buffer-limit", "normal 0 x 0",
         "Error in hard, soft or soft_seconds setting in buffer limit configuration."),
        ("slowlog-log-slower-than", "-5", "argument must be between -1 and 9223372036854775807 inclusive"),
    ],
)  # fmt: skip
def test_refused_values(name: str, value: str, text: str) -> None:
    config = Config()
    with pytest.raises(OptionError) as caught:
        config.set_many([(name, value)])
    assert (caught.value.name, caught.value.text) == (name, text)
    assert config.options == Options()


def test_setting_several_is_all_or_nothing() -> None:
    config = Config()
    seen: list[tuple[int, int]] = []
    config.on_change(["timeout", "maxmemory"], lambda options: seen.append((options.timeout, options.maxmemory)))
    config.set_many([("timeout", "5"), ("maxmemory", "1kb")])
    assert seen == [(5, 1024)]
    with pytest.raises(OptionError):
        config.set_many([("timeout", "6"), ("hz", "x")])
    with pytest.raises(OptionError, match="duplicate parameter"):
        config.set_many([("timeout", "6"), ("TIMEOUT", "7")])
    assert seen == [(5, 1024)]
    assert config.options.timeout == 5


def test_a_change_that_cannot_be_applied_is_taken_back() -> None:
    config = Config()
    seen: list[tuple[int, int]] = []

    def refuse(options: Options) -> None:
        if options.maxclients > 20:
            raise ValueError("too many")

    config.on_change("timeout", lambda options: seen.append((options.timeout, options.maxclients)))
    config.on_change("maxclients", refuse)
    with pytest.raises(OptionError, match="too many"):
        config.set_many([("timeout", "9"), ("maxclients", "21")])
    assert seen == [(9, 21), (0, 10000)]
    assert config.options == Options()


def test_output_limits_of_other_classes_stay() -> None:
    config = Config()
    config.set_many([("client-output-buffer-limit", "normal 1mb 2 3")])
    assert config.options.client_output_buffer_limit.normal == OutputLimit(1 << 20, 2, 3)
    assert dict(config.values())["client-output-buffer-limit"] == (
        "normal 1048576 2 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    )


def test_hz_is_moved_into_its_range() -> None:
    config = Config()
    config.set_many([("hz", "5000")])
    assert config.options.hz == 500


def test_nearest_name() -> None:
    assert nearest("prot") == "port"
    assert nearest("max-memory") == "maxmemory"
    assert nearest("appendfsyn") == "appendfsync"
    assert nearest("zzzzzz") is None
    assert "did you mean 'port'" in UnknownOption("prot").text
    assert find("PORT") is ROWS["port"]


def test_the_reference_lists_every_option_and_only_those() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "options.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row[1])]
    assert sorted(listed) == sorted(ROWS)
    for row in rows:
        for name in re.findall(r"`([a-z-]+)`", row[1]):
            option = ROWS[name]
            assert row[3].strip() == ("protected" if option.protected else "yes" if option.mutable else "no"), name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""), ("K", "K"), ("AKE", "AKE"), ("g$lshztxe", "g$lshzxet"), ("dg$lshztxe", "A"), ("KEAn", "AKE"),
        ("KEAmn", "AKEm"), ("nmEK", "nKEm"), ("KEg$x", "g$xKE"), ("t", "t"), ("eAnm", "Am"), ("gg", "g"),
    ],
)  # fmt: skip
def test_event_classes_are_shown_in_redis_order(text: str, shown: str) -> None:
    config = Config()
    config.set_many([("notify-keyspace-events", text)])
    assert dict(config.values())["notify-keyspace-events"] == shown


@pytest.mark.parametrize("text", ["q", "A q", "KEa"])
def test_unknown_event_classes(text: str) -> None:
    with pytest.raises(OptionError, match=r"Invalid event class character. Use 'Ag\$lshzxeKEtmdn'."):
        Config().set_many([("notify-keyspace-events", text)])


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [("0", 0, "0"), ("1gb", 1 << 30, str(1 << 30)), ("5%", -5, "5%"), ("100%", -100, "100%"), ("0%", 0, "0")],
)
def test_memory_or_a_share_of_it(text: str, value: int, shown: str) -> None:
    config = Config()
    config.set_many([("maxmemory-clients", text)])
    assert config.options.maxmemory_clients == value
    assert dict(config.values())["maxmemory-clients"] == shown


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("101%", "percentage argument must be less or equal to 100"), ("-5", "argument must be a memory or percent value"),
     ("-5%", "argument must be a memory or percent value"), ("5%%", "argument must be a memory or percent value"),
     ("%", "argument must be a memory or percent value"), ("10x", "argument must be a memory or percent value")],
)  # fmt: skip
def test_no_memory_and_no_share(text: str, wrong: str) -> None:
    with pytest.raises(OptionError, match=wrong):
        Config().set_many([("maxmemory-clients", text)])
