# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""All commands: binds handlers to names, makes the C rows, finds a row by name.

Families call bind() while they are imported; load() imports them, checks that every row has its handler and every
handler its row, and builds two things that never change afterwards: the array of C rows (a container's subcommands side
by side behind the top-level rows) and the look-up table of top-level names.

The look-up folds a name of at most 16 bytes into two 64-bit words, with bit 5 of every byte set, and probes an
open-addressing table at most a quarter full. Where the stored byte is a lower-case letter, setting bit 5 maps to it
nothing but that letter in both cases, so equal words are equal names. Limits, which load() checks: a top-level name has
letters only, at most 16.

Modules that hold a family must not import this module's users; load() is called by session.pyx, not by families.
"""
from importlib import import_module

from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc
from kvcy.commands.rows import Row as PythonRow
from kvcy.commands.types cimport (
    ADMIN, ALL_SHARDS, ALLOW_BUSY, DENYOOM, FAST, LOADING, MOVABLE_KEYS, NO_AUTH, NO_MULTI, NOSCRIPT, ONE_KEY, PYTHON,
    READONLY, RUNS_AHEAD, SAMPLED, SECRET, SELF_LOCKING, SKIP_MONITOR, SKIP_SLOWLOG, STALE, UNQUEUED, WRITE,
    Handler, Row, RowSlot, RowTable,
)
from kvcy.engine.block cimport Bytes

FAMILIES = (
    "connection", "introspection", "transactions", "strings", "ranges", "numbers", "expiry", "keys", "ordered", "scan",
    "databases", "objects", "admin_rows",
)
FLAG_BITS = {
    "write": WRITE, "readonly": READONLY, "denyoom": DENYOOM, "admin": ADMIN, "fast": FAST, "no_auth": NO_AUTH,
    "loading": LOADING, "stale": STALE, "noscript": NOSCRIPT, "no_multi": NO_MULTI, "skip_monitor": SKIP_MONITOR,
    "skip_slowlog": SKIP_SLOWLOG, "movablekeys": MOVABLE_KEYS, "allow_busy": ALLOW_BUSY, "python": PYTHON,
    "self_locking": SELF_LOCKING, "all_shards": ALL_SHARDS, "unqueued": UNQUEUED, "secret": SECRET,
}
NAME_BYTES_MAX = 16
# Keyless commands that cannot change how the bytes behind them are read, and are common in pipelines.
HARMLESS = frozenset(("ping", "echo"))

cdef dict handlers = {}                 # name -> address of the handler
cdef list names = []                    # bytes objects the C rows point into; never shrinks
cdef tuple loaded_rows = ()
cdef RowTable table
table.rows = NULL
table.slots = NULL
table.count = 0
table.mask = 0


cdef void bind(str name, Handler handler):
    """Remembers the handler of the row `name`."""
    if name in handlers:
        raise RuntimeError(f"command {name!r} is bound twice")
    handlers[name] = <uintptr_t> <void*> handler


def rows() -> tuple:
    """All top-level rows (rows.Row), in the families' order. Loads the registry if need be."""
    load()
    return loaded_rows


def bound() -> frozenset:
    """The names that have a native handler."""
    return frozenset(handlers)


def lookup(name: bytes) -> str | None:
    """The row that a command name finds, for tests: its full name, or None."""
    cdef const Row* row = row_lookup(name, len(name))
    return None if row == NULL else row.name.decode()


def load() -> None:
    """Imports all families and builds the rows and the look-up table. Does nothing the second time."""
    if table.rows != NULL:
        return
    found = []
    for family in FAMILIES:
        try:
            module = import_module("kvcy.commands." + family)
        except ModuleNotFoundError as error:
            if error.name != "kvcy.commands." + family:
                raise
            continue
        found += module.ROWS
    check(found)
    build(tuple(found))


def check(found: list) -> None:
    """Raises RuntimeError unless rows and handlers match one to one."""
    wanted = set()
    seen = set()
    for top in found:
        for name, row in top.walk():
            if not isinstance(row, PythonRow):
                raise RuntimeError(f"{row!r} is not a row")
            if name in seen:
                raise RuntimeError(f"two rows are named {name!r}")
            seen.add(name)
            if "python" not in row.words and not row.subcommands:
                wanted.add(name)
            if row.keys[0] >= abs(row.arity):
                raise RuntimeError(f"the arity of {name!r} does not make sure of its first key")
        if len(top.name) > NAME_BYTES_MAX or not top.name.isalpha():
            raise RuntimeError(f"the look-up table does not take the name {top.name!r}")
    if missing := wanted - handlers.keys():
        raise RuntimeError(f"rows without a handler: {sorted(missing)}")
    if surplus := handlers.keys() - wanted:
        raise RuntimeError(f"handlers without a row: {sorted(surplus)}")


cdef uint32_t row_flags(str name, object row):
    """The C flags of a row, with what the registry derives."""
    cdef uint32_t flags = 0
    for word in row.words:
        flags |= <uint32_t> FLAG_BITS.get(word, 0)
    first, last, _ = row.keys
    if first > 0 and first == last and not row.subcommands:
        flags |= ONE_KEY
    if flags & ONE_KEY or name in HARMLESS:
        flags |= SAMPLED
    if flags & (PYTHON | SELF_LOCKING | ALL_SHARDS | UNQUEUED | NO_AUTH) == 0 and first > 0 or name in HARMLESS:
        flags |= RUNS_AHEAD
    return flags


cdef void fill_row(Row* row, str name, object source, const Row* container):
    """Fills one C row, its subcommands excepted."""
    encoded = name.encode()
    names.append(encoded)
    row.name = encoded
    row.name_size = <uint32_t> len(encoded)
    row.arity = source.arity
    row.flags = row_flags(name, source)
    row.first_key, row.last_key, row.key_step = source.keys
    row.handler = <Handler> <void*> <uintptr_t> handlers.get(name, 0)
    row.container = container


cdef int build(tuple found) except -1:
    """Makes the C rows and the look-up table."""
    global loaded_rows
    cdef uint32_t total = sum(1 + len(row.subcommands) for row in found)
    cdef uint32_t size = 64
    cdef uint32_t index = 0, behind = <uint32_t> len(found)
    cdef Row* made = <Row*> calloc(total, sizeof(Row))
    while size < 4 * behind:
        size *= 2
    cdef RowSlot* slots = <RowSlot*> calloc(size, sizeof(RowSlot))
    if made == NULL or slots == NULL:
        raise MemoryError
    for source in found:
        fill_row(&made[index], source.name, source, NULL)
        made[index].subcommands = &made[behind] if source.subcommands else NULL
        made[index].subcommand_count = <uint32_t> len(source.subcommands)
        for subcommand in source.subcommands:
            fill_row(&made[behind], source.name + "|" + subcommand.name, subcommand, &made[index])
            behind += 1
        insert(slots, size - 1, &made[index])
        index += 1
    for index in range(total):
        made[index].number = index
    table.slots = slots
    table.mask = size - 1
    table.count = total
    table.rows = made
    loaded_rows = found
    return 0


cdef void insert(RowSlot* slots, uint32_t mask, const Row* row) noexcept nogil:
    """Adds a row under its name. It ends because the table is at most a quarter full."""
    cdef uint64_t low, high
    fold(row.name, row.name_size, &low, &high)
    cdef uint32_t at = mix(low, high) & mask
    while slots[at].row != NULL:
        at = (at + 1) & mask
    slots[at].low = low
    slots[at].high = high
    slots[at].row = row


cdef bint row_name_is(const char* name, const char* lower, size_t size) noexcept nogil:
    """Whether `name` is `lower` in any case."""
    cdef size_t at
    cdef char c
    for at in range(size):
        c = name[at]
        if c >= 65 and c <= 90:
            c += 32
        if c != lower[at]:
            return False
    return True


cdef const RowTable* row_table() noexcept nogil:
    return &table


cdef uint32_t row_count() noexcept nogil:
    return table.count


cdef const Row* row_at(uint32_t number) noexcept nogil:
    return &table.rows[number] if number < table.count else NULL


cdef const Row* row_lookup(const char* name, size_t size) noexcept nogil:
    return row_find(&table, name, size)


cdef const Row* row_subcommand(const Row* container, const char* name, size_t size) noexcept nogil:
    """The container's row of that subcommand, or NULL."""
    cdef uint32_t index
    cdef const Row* row
    cdef size_t prefix = container.name_size + 1
    for index in range(container.subcommand_count):
        row = &container.subcommands[index]
        if row.name_size - prefix == size and row_name_is(name, row.name + prefix, size):
            return row
    return NULL


cdef const Row* row_resolve(const Bytes* argv, uint32_t argc, const Row** container) noexcept nogil:
    cdef const Row* row = row_lookup(argv[0].data, argv[0].size)
    container[0] = NULL
    if row == NULL or row.subcommand_count == 0 or argc == 1:
        return row
    container[0] = row
    return row_subcommand(row, argv[1].data, argv[1].size)
