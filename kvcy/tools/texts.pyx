# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Reading the two formats that `kvcy dump` writes (dumping.pyx), lines and commands. docs/tools.md describes them.

Both end with a mark that says how many keys there are, so that a file that was cut short is noticed.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from kvcy.engine.shards cimport DATABASES_MAX
from kvcy.tools.filling cimport Filler
from kvcy.tools.source cimport Source, Text, text_free, text_room

LINES_BEGIN = b"# kvcy lines 1"
LINES_END = b"# end "
COMMANDS_END = b"kvcy dump end "

cdef enum:
    STRING_BYTES_MAX = 536870912
    WORDS_MAX = 5
    SHOW_EVERY = 4096                # keys


cdef int hexadecimal(int character) noexcept nogil:
    """The digit's value, -1: it is none."""
    if c'0' <= character <= c'9':
        return character - c'0'
    character |= 32
    return character - c'a' + 10 if c'a' <= character <= c'f' else -1


cdef bint number_read(const unsigned char* data, size_t size, uint64_t* number) noexcept nogil:
    """Whether the bytes are the digits of a number below 10^18."""
    cdef size_t i
    number[0] = 0
    for i in range(size):
        if not c'0' <= data[i] <= c'9':
            return False
        number[0] = number[0] * 10 + (data[i] - c'0')
    return 0 < size < 19


cdef int check_end(Source source, uint64_t keys, uint64_t promised) except -1:
    if promised != keys:
        source.fail(f"the file says that it has {promised} keys, but it has {keys}: lines are missing or were added")
    if not source.at_end():
        source.fail("something follows the end of the dump")
    return 0


# --- lines

cdef class Lines:
    cdef Source source
    cdef Filler filler
    cdef Text key, value

    def __cinit__(self, Source source, Filler filler):
        self.source = source
        self.filler = filler

    def __dealloc__(self):
        text_free(&self.key)
        text_free(&self.value)

    cdef const unsigned char* field(self, const unsigned char** at, const unsigned char* end,
                                    size_t* size) except NULL:
        """The field at *at, which moves behind the tab that ends it."""
        cdef const unsigned char* begin = at[0]
        cdef const unsigned char* tab = <const unsigned char*> memchr(begin, b"\t", <size_t> (end - begin))
        if tab == NULL:
            self.source.fail("the line before this place does not have four fields with tabs between them")
        size[0] = <size_t> (tab - begin)
        at[0] = tab + 1
        return begin

    cdef int unescape(self, const unsigned char* data, size_t size, Text* text) except -1:
        cdef size_t i = 0
        cdef size_t filled = 0
        cdef int high, low
        text_room(text, size)
        while i < size:
            if data[i] != c'\\':
                text.data[filled] = <char> data[i]
                i += 1
            elif i + 3 < size and data[i + 1] == c'x':
                high = hexadecimal(data[i + 2])
                low = hexadecimal(data[i + 3])
                if high < 0 or low < 0:
                    self.source.fail("the line before this place has a \\x without two hexadecimal digits")
                text.data[filled] = <char> (high << 4 | low)
                i += 4
            else:
                self.unescape_short(data[i + 1] if i + 1 < size else 0, &text.data[filled])
                i += 2
            filled += 1
        text.size = filled
        return 0

    cdef int unescape_short(self, int character, char* out) except -1:
        if character == c't':
            out[0] = c'\t'
        elif character == c'n':
            out[0] = c'\n'
        elif character == c'r':
            out[0] = c'\r'
        elif character == c'\\':
            out[0] = c'\\'
        else:
            self.source.fail("the line before this place has a \\ that is followed by none of \\ t n r x")
        return 0

    cdef int read_line(self, const unsigned char* at, size_t size) except -1:
        cdef const unsigned char* end = at + size
        cdef const unsigned char* data
        cdef uint64_t database, expire_ms
        data = self.field(&at, end, &size)
        if not number_read(data, size, &database) or database >= DATABASES_MAX:
            self.source.fail(f"the line before this place does not begin with a database, 0 to {DATABASES_MAX - 1}")
        data = self.field(&at, end, &size)
        if size == 1 and data[0] == c'-':
            expire_ms = 0
        elif not number_read(data, size, &expire_ms):
            self.source.fail("the line before this place has no expiry in ms, and no -, as its second field")
        else:
            expire_ms = max(expire_ms, <uint64_t> 1)
        data = self.field(&at, end, &size)
        self.unescape(data, size, &self.key)
        self.unescape(at, <size_t> (end - at), &self.value)
        return self.filler.put(database, self.key.data, self.key.size, self.value.data, self.value.size,
                               <int64_t> expire_ms)


def read_lines(Source source not None, Filler filler not None, reach) -> None:
    """Puts the keys of a dump in lines into a store.

    Raises:
        DumpError: the file is damaged or cut short; the message has the offset.
        MemoryError: there is no memory for what it holds.
    """
    cdef Lines reader = Lines(source, filler)
    cdef bytes begin = LINES_BEGIN
    cdef bytes mark = LINES_END
    cdef const unsigned char* data
    cdef size_t size
    cdef uint64_t keys = 0
    cdef uint64_t promised
    data = source.take_line(&size)
    if data[:size] != begin:
        source.fail(f"the first line is not {begin.decode()!r}")
    while True:                          # ends: the file does
        data = source.take_line(&size)
        if size > <size_t> len(mark) and memcmp(data, <const char*> mark, len(mark)) == 0:
            if not number_read(data + len(mark), size - len(mark), &promised):
                source.fail("the last line has no number of keys")
            check_end(source, keys, promised)
            return
        if size and data[0] == c'#':
            continue
        reader.read_line(data, size)
        keys += 1
        if keys % SHOW_EVERY == 0:
            reach(source.place())


# --- commands

cdef class Commands:
    cdef Source source
    cdef Filler filler
    cdef Text[5] words                   # WORDS_MAX
    cdef size_t count

    def __cinit__(self, Source source, Filler filler):
        self.source = source
        self.filler = filler

    def __dealloc__(self):
        cdef int i
        for i in range(WORDS_MAX):
            text_free(&self.words[i])

    cdef uint64_t head(self, int mark) except? 0:
        """The number in a line that begins with `mark`."""
        cdef size_t size = 0
        cdef uint64_t number = 0
        cdef const unsigned char* data = self.source.take_line(&size)
        if size < 3 or data[0] != mark or data[size - 1] != c'\r' or not number_read(data + 1, size - 2, &number):
            self.source.fail(f"the line before this place is not {chr(mark)} with a number")
        return number

    cdef int read(self) except -1:
        """Reads one command."""
        cdef size_t i
        cdef uint64_t size
        cdef const unsigned char* data
        self.count = self.head(c'*')
        if not 0 < self.count <= WORDS_MAX:
            self.source.fail(f"a command of {self.count} words: only SELECT, SET and the closing ECHO are known")
        for i in range(self.count):
            size = self.head(c'$')
            if size > STRING_BYTES_MAX:
                self.source.fail(f"a string of {size} bytes: 512 MB is the most")
            data = self.source.take(size + 2)
            if data[size] != c'\r' or data[size + 1] != c'\n':
                self.source.fail("the string before this place does not end where it should")
            text_room(&self.words[i], size)
            memcpy(self.words[i].data, data, size)
        return 0

    cdef bytes word(self, int index):
        return self.words[index].data[:self.words[index].size]

    cdef uint64_t number(self, int index) except? 0:
        cdef uint64_t number = 0
        cdef Text* text = &self.words[index]
        if not number_read(<const unsigned char*> text.data, text.size, &number):
            self.source.fail("there is no number where the command before this place needs one")
        return number

    cdef int set(self, uint64_t database) except -1:
        cdef Text* key = &self.words[1]
        cdef Text* value = &self.words[2]
        cdef uint64_t expire_ms = 0
        if self.count == 5 and self.word(3).upper() == b"PXAT":
            expire_ms = max(self.number(4), <uint64_t> 1)
        elif self.count != 3:
            self.source.fail("the SET before this place is not SET key value [PXAT milliseconds]")
        return self.filler.put(database, key.data, key.size, value.data, value.size, <int64_t> expire_ms)


def read_commands(Source source not None, Filler filler not None, reach) -> None:
    """Puts the keys of a dump in commands into a store.

    Raises:
        DumpError: the file is damaged or cut short; the message has the offset.
        MemoryError: there is no memory for what it holds.
    """
    cdef Commands reader = Commands(source, filler)
    cdef uint64_t database = 0
    cdef uint64_t keys = 0
    while True:                          # ends: the file does
        if source.at_end():
            source.fail("the file ends without its closing ECHO: it was cut short")
        reader.read()
        name = reader.word(0).upper()
        if name == b"SET":
            reader.set(database)
            keys += 1
            if keys % SHOW_EVERY == 0:
                reach(source.place())
        elif name == b"SELECT" and reader.count == 2:
            database = reader.number(1)
            if database >= DATABASES_MAX:
                source.fail(f"database {database}: kvcy has 0 to {DATABASES_MAX - 1}")
        elif name == b"ECHO" and reader.count == 2 and reader.word(1).startswith(COMMANDS_END):
            promised = reader.word(1)[len(COMMANDS_END):]
            check_end(source, keys, int(promised) if promised.isdigit() else -1)
            return
        else:
            source.fail(f"the command {name[:40].decode('latin-1')} before this place is none of a dump's")
