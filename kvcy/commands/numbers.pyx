# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Strings as numbers: INCR, INCRBY, DECR, DECRBY, INCRBYFLOAT. All keep the key's expiry.

Integers are signed and of 64 bits, written as parse_int takes them; what would overflow is refused.

INCRBYFLOAT adds in C's long double and writes 17 digits after the point, without trailing zeros, never with an
exponent. It reads whatever strtold reads (hexadecimal, "inf"), blanks and NaN excepted; a sum that is not finite is
refused. strtold and snprintf follow the thread's locale, so the "C" locale is put in force around them (uselocale, a
thread's own setting): an embedding program may have chosen one with a decimal comma.
"""
from libc.errno cimport ERANGE, errno
from libc.stdint cimport INT64_MIN, int64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy
from kvcy.commands.call cimport Call, arg_int_or_reply, call_event, parse_int, reply_not_an_integer, reply_wrong_type
from kvcy.commands.registry cimport bind
from kvcy.commands.strings cimport reply_refused
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport TYPE_STRING, Entry, entry_type, entry_value
from kvcy.engine.events cimport EVENT_INCRBY, EVENT_INCRBYFLOAT
from kvcy.engine.keyspace cimport EXPIRE_KEEP, keyspace_peek, keyspace_put
from kvcy.engine.status cimport OK, Status
from kvcy.protocol.writer cimport format_int, write_bulk, write_error, write_int

from kvcy.commands.rows import Row

cdef extern from *:
    """
    #include <locale.h>
    #include <math.h>
    #include <stdlib.h>
    #ifdef __APPLE__
    #include <xlocale.h>
    #endif
    """
    ctypedef void* locale_t
    int LC_ALL_MASK
    locale_t newlocale(int mask, const char* name, locale_t base) nogil
    locale_t uselocale(locale_t locale) nogil
    long double strtold(const char* text, char** end) nogil
    bint isfinite(long double number) nogil
    bint isinf(long double number) nogil
    bint isnan(long double number) nogil
    bint add_overflows "__builtin_add_overflow"(int64_t, int64_t, int64_t*) nogil

ROWS = (
    Row("decr", arity=2, flags="write denyoom fast", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="RW access update",
        complexity="O(1)", summary="Subtracts one from the integer a key holds, 0 if missing.", syntax="key"),
    Row("decrby", arity=3, flags="write denyoom fast", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="RW access update",
        complexity="O(1)", summary="Subtracts a number from the integer a key holds, 0 if missing.",
        syntax="key decrement"),
    Row("incr", arity=2, flags="write denyoom fast", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="RW access update",
        complexity="O(1)", summary="Adds one to the integer a key holds, 0 if missing.", syntax="key"),
    Row("incrby", arity=3, flags="write denyoom fast", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="RW access update",
        complexity="O(1)", summary="Adds a number to the integer a key holds, 0 if missing.",
        syntax="key increment"),
    Row("incrbyfloat", arity=3, flags="write denyoom fast", keys=(1, 1, 1), group="string", since="2.6.0",
        key_flags="RW access update",
        complexity="O(1)", summary="Adds a number to the decimal number a key holds, 0 if missing.",
        syntax="key increment"),
)

cdef enum:
    FLOAT_TEXT_BYTES = 5120          # the largest long double has 4,933 digits before the point

cdef locale_t c_locale = newlocale(LC_ALL_MASK, b"C", NULL)
if c_locale == NULL:
    raise MemoryError("the C locale")

cdef void reply_stored(Call* call, const char* text, size_t size) noexcept nogil:
    """Stores the text and replies with it, as a bulk string."""
    cdef Bytes value
    cdef Status status
    value.data = text
    value.size = size
    value.block = NULL
    status = keyspace_put(&call.access, call.keys, value, EXPIRE_KEEP)
    if status == OK:
        call_event(call, EVENT_INCRBYFLOAT, call.keys)
        write_bulk(call.reply, text, size)
    else:
        reply_refused(call, status)

# --- integers

cdef void add_to(Call* call, int64_t step) noexcept nogil:
    cdef Entry* entry = keyspace_peek(&call.access, call.keys)
    cdef Bytes value
    cdef char[24] text
    cdef int64_t number = 0
    cdef Status status
    if entry != NULL:
        if entry_type(entry) != TYPE_STRING:
            reply_wrong_type(call)
            return
        value = entry_value(entry)
        if not parse_int(value.data, value.size, &number):
            reply_not_an_integer(call)
            return
    if add_overflows(number, step, &number):
        write_error(call.reply, b"ERR increment or decrement would overflow")
        return
    value.data = text
    value.size = format_int(text, number)
    value.block = NULL
    status = keyspace_put(&call.access, call.keys, value, EXPIRE_KEEP)
    if status == OK:
        call_event(call, EVENT_INCRBY, call.keys)
        write_int(call.reply, number)
    else:
        reply_refused(call, status)

cdef void incr_command(Call* call) noexcept nogil:
    add_to(call, 1)

cdef void decr_command(Call* call) noexcept nogil:
    add_to(call, -1)

cdef void incrby_command(Call* call) noexcept nogil:
    cdef int64_t step
    if arg_int_or_reply(call, 2, &step):
        add_to(call, step)

cdef void decrby_command(Call* call) noexcept nogil:
    cdef int64_t step
    if not arg_int_or_reply(call, 2, &step):
        return
    if step == INT64_MIN:
        write_error(call.reply, b"ERR decrement would overflow")
    else:
        add_to(call, -step)

# --- decimal numbers. REQUIRES for all below: the C locale is in force.

cdef bint parse_float(Bytes bytes, long double* number) noexcept nogil:
    """Whether the whole of the bytes is a number (an infinity counts as one, what overflows or underflows does not)."""
    cdef char[FLOAT_TEXT_BYTES] text
    cdef char* end
    if bytes.size == 0 or bytes.size >= sizeof(text):
        return False
    if bytes.data[0] == c" " or c"\t" <= bytes.data[0] <= c"\r":
        return False
    memcpy(text, bytes.data, bytes.size)
    text[bytes.size] = 0
    (&errno)[0] = 0
    number[0] = strtold(text, &end)
    if end != text + bytes.size or isnan(number[0]):
        return False
    return errno != ERANGE or (number[0] != 0 and not isinf(number[0]))

cdef size_t format_float(char* text, long double number) noexcept nogil:
    """Writes the number's shortest form of at most 17 digits after the point; returns its length.
    REQUIRES: room for FLOAT_TEXT_BYTES; the number is finite."""
    cdef size_t size = <size_t> snprintf(text, FLOAT_TEXT_BYTES, "%.17Lf", number)
    while text[size - 1] == c"0":                       # ends at the point at the latest
        size -= 1
    if text[size - 1] == c".":
        size -= 1
    if size == 2 and text[0] == c"-" and text[1] == c"0":
        text[0] = c"0"
        size = 1
    return size

cdef void add_float_to(Call* call) noexcept nogil:
    cdef Entry* entry = keyspace_peek(&call.access, call.keys)
    cdef long double number = 0
    cdef long double step
    cdef char[FLOAT_TEXT_BYTES] text
    if entry != NULL and entry_type(entry) != TYPE_STRING:
        reply_wrong_type(call)
        return
    if (entry != NULL and not parse_float(entry_value(entry), &number)) or not parse_float(call.argv[2], &step):
        write_error(call.reply, b"ERR value is not a valid float")
        return
    number += step
    if not isfinite(number):
        write_error(call.reply, b"ERR increment would produce NaN or Infinity")
        return
    reply_stored(call, text, format_float(text, number))

cdef void incrbyfloat_command(Call* call) noexcept nogil:
    cdef locale_t before = uselocale(c_locale)
    add_float_to(call)
    uselocale(before)

bind("decr", decr_command)
bind("decrby", decrby_command)
bind("incr", incr_command)
bind("incrby", incrby_command)
bind("incrbyfloat", incrbyfloat_command)
