# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""protocol/parser.pxd for the tests: a parser fed as a carrier feeds it."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from kvcy.engine.block cimport Bytes, block_bytes_total
from kvcy.engine.memory cimport memory_fail_after, memory_fail_never
from kvcy.protocol.arguments cimport (
    ARGUMENTS_KEPT_MAX, PARSE_COMMAND, PARSE_ERROR, PARSE_NO_MEMORY, PARSE_WHOLE, Arguments, ParseResult,
    arguments_clear, arguments_close, arguments_init)
from kvcy.protocol.gathered cimport Gathered, gathered_bytes, gathered_release
from kvcy.protocol.parser cimport (
    Parser, parser_close, parser_init, parser_memory_bytes, parser_next, parser_take)
from kvcy.protocol.unfinished cimport parser_fill_room, parser_filled

KEPT_MAX = ARGUMENTS_KEPT_MAX
PARSER_SIZE = sizeof(Parser)


class ParseError(Exception):
    """The parser said PARSE_ERROR."""


class OutOfMemory(Exception):
    """The parser said PARSE_NO_MEMORY."""


def block_bytes() -> int:
    return block_bytes_total()


def fail_after(uint64_t count) -> None:
    memory_fail_after(count)


def fail_never() -> None:
    memory_fail_never()


cdef class ParserProbe:
    """Keeps what the parser does not consume, and hands it in again in a new buffer of exactly the size each time."""
    cdef Parser parser
    cdef Arguments arguments
    cdef readonly bytes rest
    cdef readonly list commands          # lists of bytes
    cdef readonly list apart             # for each command, which arguments came in blocks
    cdef readonly list wholes            # for each command that came by itself, the bytes it took
    cdef public bint direct              # while filling, put bytes where parser_fill_room says

    def __cinit__(self, *, authenticated=True, bulk_bytes_max=None, direct=False):
        parser_init(&self.parser)
        arguments_init(&self.arguments)
        self.parser.authenticated = authenticated
        if bulk_bytes_max is not None:
            self.parser.bulk_bytes_max = bulk_bytes_max
        self.rest = b""
        self.commands = []
        self.apart = []
        self.wholes = []
        self.direct = direct

    def __dealloc__(self):
        parser_close(&self.parser)
        arguments_close(&self.arguments)

    @property
    def filling(self) -> bool:
        return self.parser.filling != NULL

    @property
    def authenticated(self) -> bool:
        return self.parser.authenticated

    @authenticated.setter
    def authenticated(self, bint yes) -> None:
        self.parser.authenticated = yes

    @property
    def memory_bytes(self) -> int:
        return parser_memory_bytes(&self.parser)

    @property
    def position(self) -> int:
        """How many bytes of `rest` have been looked at."""
        return self.parser.position

    @property
    def args_done(self) -> int:
        return self.parser.gathered.count

    @property
    def capacity(self) -> int:
        return self.arguments.capacity

    def close(self) -> None:
        parser_close(&self.parser)

    def feed(self, bytes data) -> None:
        """Takes bytes in as one recv would bring them; commands go to `commands`."""
        cdef size_t room = 0, part, done = 0
        cdef char* to
        while self.direct and self.parser.filling != NULL and done < <size_t> len(data):
            assert not self.rest
            to = parser_fill_room(&self.parser, &room)
            if to == NULL:
                assert room == 1
                raise OutOfMemory
            assert room > 0
            part = min(room, len(data) - done)
            memcpy(to, <const char*> data + done, part)
            parser_filled(&self.parser, part)
            done += part
        self.parse(self.rest + data[done:])

    cdef add(self, const Bytes* argv, uint32_t argc):
        cdef uint32_t i
        self.commands.append([argv[i].data[:argv[i].size] for i in range(argc)])
        blocks = [i for i in range(argc) if argv[i].block != NULL]
        self.apart.append(blocks)
        for i in blocks:
            assert argv[i].data == argv[i].block.data and argv[i].size == argv[i].block.size
            assert argv[i].block.references == 1

    cdef take_whole(self, char* base, size_t size, size_t offset):
        """Takes the command that came by itself, whose bytes are all the parser's by now; once is enough."""
        cdef Gathered gathered
        cdef uint32_t first, argc
        cdef size_t same = offset
        assert parser_next(&self.parser, base, size, &same, &self.arguments, &first, &argc) == PARSE_WHOLE
        assert same == offset
        before = bytes(base[:offset])
        memset(base, 0x55, offset)
        parser_take(&self.parser, &gathered)
        assert parser_memory_bytes(&self.parser) == 0
        self.add(gathered.at, gathered.count)
        self.wholes.append(gathered_bytes(&gathered) + gathered.block_bytes)
        gathered_release(&gathered)
        memcpy(base, <const char*> before, offset)

    cdef parse(self, bytes data):
        cdef size_t size = len(data), offset = 0
        cdef uint32_t first = 0, argc = 0
        cdef ParseResult result
        cdef char* base = <char*> malloc(size + 1)
        memcpy(base, <const char*> data, size)
        try:
            while True:
                with nogil:
                    result = parser_next(&self.parser, base, size, &offset, &self.arguments, &first, &argc)
                assert offset <= size
                if result == PARSE_WHOLE:
                    self.take_whole(base, size, offset)
                elif result == PARSE_COMMAND:
                    assert first + argc <= self.arguments.count
                    self.add(self.arguments.at + first, argc)
                else:
                    break
        finally:
            arguments_clear(&self.arguments)
            self.rest = data[offset:]
            memset(base, 0x55, size + 1)
            free(base)
        if self.parser.filling != NULL:
            assert not self.rest
        if result == PARSE_ERROR:
            raise ParseError(self.parser.error[:].decode("latin-1"))
        if result == PARSE_NO_MEMORY:
            raise OutOfMemory


def nanoseconds_per_command(bytes data, int rounds, uint32_t batch, size_t piece=0) -> float:
    """Parses `data` over and over in C, clearing the arguments every `batch` commands. With `piece`, no more than so
    many bytes are new in each buffer handed in."""
    cdef Parser parser
    cdef Arguments arguments
    cdef const char* base = data
    cdef size_t size = len(data), offset, end
    cdef uint32_t first = 0, argc = 0, left = batch
    cdef uint64_t commands = 0
    cdef Gathered gathered
    cdef ParseResult result
    cdef timespec before, after
    cdef int _
    parser_init(&parser)
    arguments_init(&arguments)
    clock_gettime(CLOCK_MONOTONIC, &before)
    with nogil:
        for _ in range(rounds):
            offset = end = 0
            while end < size:
                end = min(size, end + piece) if piece else size
                while True:
                    result = parser_next(&parser, base, end, &offset, &arguments, &first, &argc)
                    if result == PARSE_WHOLE:
                        parser_take(&parser, &gathered)
                        gathered_release(&gathered)
                    elif result != PARSE_COMMAND:
                        break
                    commands += 1
                    left -= 1
                    if left == 0:
                        left = batch
                        arguments_clear(&arguments)
            arguments_clear(&arguments)
    clock_gettime(CLOCK_MONOTONIC, &after)
    arguments_close(&arguments)
    parser_close(&parser)
    return ((after.tv_sec - before.tv_sec) * 1e9 + (after.tv_nsec - before.tv_nsec)) / commands
