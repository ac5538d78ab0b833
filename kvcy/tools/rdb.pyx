# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Reading Redis's dump.rdb, of the format's versions 1 to 12 (Redis up to 7.4, Valkey up to 8).

The format is described in the wikis of redis-rdb-tools ("Redis RDB Dump File Format") and of redis-replicator ("RDB
dump data format"); tests try the reader on the files of redis-server itself. In short:

    "REDIS" 4 digits of version
    opcodes, each with what belongs to it: a database follows, expiry of the next key, auxiliary fields, sizes, ...
    or a type, a key, a value of that type
    255, from version 5 on with 8 bytes: the CRC-64 of all before, 0 when it was not computed

A length has its kind in its first byte's two top bits: 6 bits, 14 bits, 32 or 64 bits behind it, or instead of a length
a special string: an integer of 8, 16 or 32 bits, or text compressed with LZF.

Strings are put into the store. Of other types just so much is known as is needed to get behind them.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from kvcy.engine.shards cimport DATABASES_MAX
from kvcy.tools.filling cimport Filler
from kvcy.tools.source cimport Source, Text, text_free, text_room

cdef enum:
    VERSION_MAX = 12
    CHECKSUM_VERSION_MIN = 5
    STRING_BYTES_MAX = 536870912     # of a key or a value
    SHOW_EVERY = 4096                # keys

cdef enum Opcode:
    OP_SLOT_INFO = 244
    OP_FUNCTION = 245
    OP_FUNCTION_OLD = 246
    OP_MODULE_AUX = 247
    OP_IDLE = 248
    OP_FREQ = 249
    OP_AUX = 250
    OP_RESIZE = 251
    OP_EXPIRE_MS = 252
    OP_EXPIRE_S = 253
    OP_SELECT = 254
    OP_END = 255

cdef enum Special:                   # in place of a length
    SPECIAL_INT8 = 0
    SPECIAL_INT16 = 1
    SPECIAL_INT32 = 2
    SPECIAL_LZF = 3
    NOT_SPECIAL = 255

TYPES = {
    1: "list", 2: "set", 3: "sorted set", 4: "hash", 5: "sorted set", 6: "module value", 7: "module value", 9: "hash",
    10: "list", 11: "set", 12: "sorted set", 13: "hash", 14: "list", 15: "stream", 16: "hash", 17: "sorted set",
    18: "list", 19: "stream", 20: "set", 21: "stream", 22: "hash", 23: "hash", 24: "hash", 25: "hash",
}


cdef class Reader:
    """One reading of a file."""
    cdef Source source
    cdef Text key, value
    cdef uint64_t length             # what read_length found
    cdef Special special

    def __cinit__(self, Source source not None):
        self.source = source

    def __dealloc__(self):
        text_free(&self.key)
        text_free(&self.value)

    # --- numbers and strings

    cdef uint64_t number(self, int size) except? 0:
        """A little-endian number of `size` bytes."""
        cdef uint64_t number = 0
        memcpy(&number, self.source.take(size), size)
        return number

    cdef int read_length(self) except -1:
        """Reads a length, or what stands in its place (then `special` says what)."""
        cdef const unsigned char* data = self.source.take(1)
        cdef int first = data[0]
        cdef int i, size
        self.special = NOT_SPECIAL
        self.length = first & 63
        if first >> 6 == 1:
            self.length = self.length << 8 | self.source.take(1)[0]
        elif first == 0x80 or first == 0x81:
            size = 4 if first == 0x80 else 8
            data = self.source.take(size)
            self.length = 0
            for i in range(size):
                self.length = self.length << 8 | data[i]
        elif first >> 6 == 2:
            self.source.fail(f"no length begins with the byte {first}")
        elif first >> 6 == 3:
            if self.length > SPECIAL_LZF:
                self.source.fail(f"no string begins with the byte {first}")
            self.special = <Special> self.length
        return 0

    cdef uint64_t plain_length(self) except? 0:
        self.read_length()
        if self.special != NOT_SPECIAL:
            self.source.fail("there is a string where a length should be")
        return self.length

    cdef int room(self, Text* text, uint64_t size) except -1:
        if size > STRING_BYTES_MAX:
            self.source.fail(f"a string of {size} bytes: 512 MB is the most")
        return text_room(text, size)

    cdef int read_string(self, Text* text) except -1:
        cdef int64_t number
        self.read_length()
        if self.special == SPECIAL_LZF:
            return self.read_compressed(text)
        if self.special == NOT_SPECIAL:
            self.room(text, self.length)
            if text.size:                        # of none, either place may be nowhere
                memcpy(text.data, self.source.take(text.size), text.size)
            return 0
        if self.special == SPECIAL_INT8:
            number = <int8_t> self.number(1)
        elif self.special == SPECIAL_INT16:
            number = <int16_t> self.number(2)
        else:
            number = <int32_t> self.number(4)
        self.room(text, 24)
        text.size = <size_t> snprintf(text.data, 24, "%lld", <long long> number)
        return 0

    cdef int read_compressed(self, Text* text) except -1:
        cdef uint64_t packed = self.plain_length()
        cdef uint64_t size = self.plain_length()
        if packed > STRING_BYTES_MAX:
            self.source.fail(f"{packed} bytes of compressed text: 512 MB is the most")
        # Three bytes stand for 264 at most: a wrong size must not cost memory that the text cannot fill.
        if size > packed * 88:
            self.source.fail(f"{packed} bytes of compressed text cannot stand for {size}")
        self.room(text, size)
        if not lzf_expand(self.source.take(packed), packed, <unsigned char*> text.data, size):
            self.source.fail("compressed text is damaged")
        return 0

    # --- getting behind what is not taken

    cdef int pass_bytes(self, uint64_t size) except -1:
        cdef uint64_t piece
        while size:
            piece = size if size < 65536 else 65536
            self.source.take(piece)
            size -= piece
        return 0

    cdef int pass_strings(self, uint64_t count) except -1:
        cdef uint64_t _i
        for _i in range(count):
            self.read_length()
            if self.special == NOT_SPECIAL:
                self.pass_bytes(self.length)
            elif self.special == SPECIAL_LZF:
                self.length = self.plain_length()
                self.plain_length_after(self.length)
            else:
                self.pass_bytes(<uint64_t> 1 << <int> self.special)
        return 0

    cdef int plain_length_after(self, uint64_t packed) except -1:
        """The rest of compressed text behind its packed size."""
        self.plain_length()
        return self.pass_bytes(packed)

    cdef int pass_lengths(self, int count) except -1:
        for _ in range(count):
            self.plain_length()
        return 0

    cdef int pass_scores(self, bint binary) except -1:
        """A sorted set's members, each with its score: 8 bytes, or text behind its size (253 and up: no text)."""
        cdef uint64_t count = self.plain_length()
        cdef uint64_t _i
        cdef int size
        for _i in range(count):
            self.pass_strings(1)
            size = 8 if binary else self.source.take(1)[0]
            self.pass_bytes(size if size < 253 else 0)
        return 0

    cdef int pass_module(self) except -1:
        """What a module wrote: its id, then pieces that say what they are."""
        cdef uint64_t kind
        self.plain_length()
        while True:                      # ends: the file does
            kind = self.plain_length()
            if kind == 0:
                return 0
            if kind <= 2:
                self.plain_length()
            elif kind <= 4:
                self.pass_bytes(4 if kind == 3 else 8)
            elif kind == 5:
                self.pass_strings(1)
            else:
                self.source.fail(f"a module's data has a piece of unknown kind {kind}")

    cdef int pass_stream(self, int type) except -1:
        cdef uint64_t _i, _j, groups, consumers
        self.pass_strings(2 * self.plain_length())       # nodes: the first identifier, entries
        self.pass_lengths(3)                             # entries, the last identifier's two halves
        if type >= 19:
            self.pass_lengths(5)                         # the first, the greatest deleted, entries ever added
        groups = self.plain_length()
        for _i in range(groups):
            self.pass_strings(1)
            self.pass_lengths(3 if type >= 19 else 2)    # the last delivered identifier, entries read
            for _j in range(self.plain_length()):         # pending: identifier and time, times delivered
                self.pass_bytes(24)
                self.plain_length()
            consumers = self.plain_length()
            for _j in range(consumers):
                self.pass_strings(1)
                self.pass_bytes(16 if type >= 21 else 8)             # when it was last seen, and active
                self.pass_bytes(16 * self.plain_length())            # its pending identifiers
        return 0

    cdef int pass_value(self, int type) except -1:
        """Gets behind a value that is no string."""
        cdef uint64_t _i, count
        if type in (9, 10, 11, 12, 13, 16, 17, 20, 23):
            self.pass_strings(1)
        elif type in (1, 2, 14):
            self.pass_strings(self.plain_length())
        elif type == 4:
            self.pass_strings(2 * self.plain_length())
        elif type in (3, 5):
            self.pass_scores(type == 5)
        elif type == 7:
            self.pass_module()
        elif type in (15, 19, 21):
            self.pass_stream(type)
        elif type == 18:
            for _i in range(self.plain_length()):         # nodes: how they are packed, then their bytes
                self.plain_length()
                self.pass_strings(1)
        elif type in (22, 24, 25):
            if type != 22:
                self.pass_bytes(8)                       # the first expiry of a field
            if type == 25:
                return self.pass_strings(1)
            count = self.plain_length()
            for _i in range(count):
                self.plain_length()                      # when the field expires
                self.pass_strings(2)
        else:
            self.source.fail(f"a value of the unknown type {type}: the file cannot be read farther")
        return 0

    # --- the file

    cdef int read_header(self) except -1:
        """The version."""
        cdef bytes digits = self.source.take(9)[5:9]
        if not digits.isdigit() or not 1 <= int(digits) <= VERSION_MAX:
            self.source.fail(f"a dump of the version {digits.decode('latin-1')!r}: 0001 to {VERSION_MAX:04} are known")
        return int(digits)

    cdef int pass_opcode(self, int opcode) except -1:
        """What belongs to an opcode of which nothing is needed. 0: it is none, but a type."""
        if opcode == OP_AUX:
            self.pass_strings(2)
        elif opcode == OP_FUNCTION:
            self.pass_strings(1)
        elif opcode == OP_RESIZE:
            self.pass_lengths(2)
        elif opcode == OP_SLOT_INFO:
            self.pass_lengths(3)
        elif opcode == OP_IDLE:
            self.plain_length()
        elif opcode == OP_FREQ:
            self.pass_bytes(1)
        elif opcode == OP_MODULE_AUX:
            self.pass_module()
        elif opcode == OP_FUNCTION_OLD:
            self.source.fail("functions of a preliminary Redis 7.0: save them anew with a released one")
        else:
            return 0
        return 1

    cdef int check_end(self, int version) except -1:
        cdef uint64_t crc = self.source.crc
        cdef uint64_t stored
        self.source.checked = False
        if version >= CHECKSUM_VERSION_MIN:
            stored = self.number(8)
            if stored != 0 and stored != crc:
                self.source.fail(f"the file is damaged: its checksum is {stored:016x}, what it holds has {crc:016x}")
        if not self.source.at_end():
            self.source.fail("something follows the end of the dump")
        return 0

    cdef int read_all(self, Filler filler, object reach, object others) except -1:
        cdef int64_t expire_ms = 0
        cdef uint64_t database = 0
        cdef uint64_t keys = 0
        cdef int version, opcode
        self.source.checked = True
        version = self.read_header()
        while True:                      # ends: the file does
            opcode = self.source.take(1)[0]
            if opcode == OP_END:
                return self.check_end(version)
            if opcode == OP_EXPIRE_MS:
                expire_ms = max(<int64_t> self.number(8), <int64_t> 1)       # 0 would be none
            elif opcode == OP_EXPIRE_S:
                expire_ms = max(<int64_t> <int32_t> <uint32_t> self.number(4) * 1000, <int64_t> 1)
            elif opcode == OP_SELECT:
                database = self.plain_length()
                if database >= DATABASES_MAX:
                    self.source.fail(f"database {database}: kvcy has 0 to {DATABASES_MAX - 1}")
            elif not self.pass_opcode(opcode):
                self.read_string(&self.key)
                if opcode == 0:
                    self.read_string(&self.value)
                    filler.put(database, self.key.data, self.key.size, self.value.data, self.value.size, expire_ms)
                else:
                    others(TYPES.get(opcode, f"value of type {opcode}"), self.key.data[:self.key.size], database)
                    self.pass_value(opcode)
                expire_ms = 0
                keys += 1
                if keys % SHOW_EVERY == 0:
                    reach(self.source.offset())


cdef bint lzf_expand(const unsigned char* data, size_t size, unsigned char* out, size_t out_size) noexcept nogil:
    """Text compressed with LZF: runs of up to 32 bytes, and copies of what came up to 8 KiB before. False: it is
    damaged, or does not fill `out` exactly."""
    cdef const unsigned char* end = data + size
    cdef size_t filled = 0
    cdef size_t length, back, i
    while data < end:
        length = data[0]
        back = 0
        data += 1
        if length < 32:
            length += 1
            if length > <size_t> (end - data):
                return False
        else:
            back = (length & 31) << 8
            length >>= 5
            if length == 7:
                if data == end:
                    return False
                length += data[0]
                data += 1
            if data == end:
                return False
            back += <size_t> data[0] + 1
            length += 2
            data += 1
            if back > filled:
                return False
        if length > out_size - filled:
            return False
        if back == 0:
            memcpy(out + filled, data, length)
            data += length
        else:
            for i in range(filled, filled + length):     # what is copied may be what this copy writes
                out[i] = out[i - back]
        filled += length
    return filled == out_size


def read_rdb(Source source not None, Filler filler not None, reach, others) -> None:
    """Puts the strings of a dump.rdb into a store.

    Args:
        source: at its beginning.
        filler: of the store.
        reach: told how many bytes have been read, from time to time.
        others: called with the type, the key and the database of each value that is no string; it is passed over then.

    Raises:
        DumpError: the file is damaged, cut short or of an unknown version; the message has the offset.
        MemoryError: there is no memory for what it holds.
    """
    Reader(source).read_all(filler, reach, others)
