"""Python replies as RESP2 and RESP3 bytes."""

from typing import Any

import pytest

from kvcy.server.replies import Encoded, Error, Reply, Set, Simple, Verbatim, encode


@pytest.mark.parametrize(
    ("reply", "resp2", "resp3"),
    [
        (None, b"$-1\r\n", b"_\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (False, b":0\r\n", b"#f\r\n"),
        (-7, b":-7\r\n", b":-7\r\n"),
        (2.5, b"$3\r\n2.5\r\n", b",2.5\r\n"),
        (3.0, b"$1\r\n3\r\n", b",3\r\n"),
        (float("-inf"), b"$4\r\n-inf\r\n", b",-inf\r\n"),
        ("", b"$0\r\n\r\n", b"$0\r\n\r\n"),
        ("é", b"$2\r\n\xc3\xa9\r\n", b"$2\r\n\xc3\xa9\r\n"),
        ("\udcff", b"$1\r\n\xff\r\n", b"$1\r\n\xff\r\n"),
        (b"a\r\nb", b"$4\r\na\r\nb\r\n", b"$4\r\na\r\nb\r\n"),
        (Simple("OK"), b"+OK\r\n", b"+OK\r\n"),
        (Error("ERR a\r\nb"), b"-ERR a  b\r\n", b"-ERR a  b\r\n"),
        (Verbatim("hi"), b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n"),
        (Encoded(b"+raw\r\n"), b"+raw\r\n", b"+raw\r\n"),
        ([], b"*0\r\n", b"*0\r\n"),
        ([1, [b"x", None]], b"*2\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n", b"*2\r\n:1\r\n*2\r\n$1\r\nx\r\n_\r\n"),
        ({"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
        (Set(["a"]), b"*1\r\n$1\r\na\r\n", b"~1\r\n$1\r\na\r\n"),
    ],
)
def test_encode(reply: Reply, resp2: bytes, resp3: bytes) -> None:
    assert encode(reply, 2) == resp2
    assert encode(reply, 3) == resp3


def test_what_is_no_reply_is_refused() -> None:
    other: Any = object()
    with pytest.raises(TypeError, match="object"):
        encode(other, 2)
