# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""CRC-32C by the processor's instruction or by tables. See checksum.pxd.

x86-64 has the instruction with SSE4.2, arm64 with its CRC extension; which it is, is found out at the first call, since
the package is built for every processor of its kind. Otherwise eight tables of 256 words take eight bytes a turn
(Kounavis and Berry, "Novel table lookup-based algorithms for high-performance CRC generation", 2008). One stream of
the instruction checks about 8 bytes in three cycles, which is faster than any disk: nothing is interleaved.
"""
from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>

    /* 0: not known yet, 1: tables, 2: the instruction. Atomic, relaxed: whoever finds 0 finds out the same. */
    static int kvcy_crc_way;

    #if defined(__x86_64__)
    #define KVCY_CRC_TARGET     __attribute__((target("sse4.2")))
    #define KVCY_CRC_8(crc, w)  ((uint32_t) __builtin_ia32_crc32di((crc), (w)))
    #define KVCY_CRC_1(crc, b)  __builtin_ia32_crc32qi((crc), (b))
    static int kvcy_crc_supported(void) { return __builtin_cpu_supports("sse4.2") != 0; }
    #elif defined(__aarch64__) && defined(__linux__)
    #include <sys/auxv.h>
    #define KVCY_CRC_TARGET
    static inline uint32_t KVCY_CRC_8(uint32_t crc, uint64_t word) {
        __asm__(".arch_extension crc\\n\\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
        return crc;
    }
    static inline uint32_t KVCY_CRC_1(uint32_t crc, uint32_t byte) {
        __asm__(".arch_extension crc\\n\\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
        return crc;
    }
    static int kvcy_crc_supported(void) { return (getauxval(AT_HWCAP) & (1ul << 7)) != 0; }  /* HWCAP_CRC32 */
    #else
    #define KVCY_CRC_TARGET
    #define KVCY_CRC_8(crc, w)  (crc)
    #define KVCY_CRC_1(crc, b)  (crc)
    static int kvcy_crc_supported(void) { return 0; }
    #endif

    KVCY_CRC_TARGET static uint32_t kvcy_crc_instruction(uint32_t crc, const unsigned char* data, size_t size) {
        uint64_t word;
        crc = ~crc;
        for (; size >= 8; size -= 8, data += 8) {
            memcpy(&word, data, 8);
            crc = KVCY_CRC_8(crc, word);
        }
        for (; size > 0; size--, data++) crc = KVCY_CRC_1(crc, *data);
        return ~crc;
    }

    static uint32_t kvcy_crc_table[8][256];

    static void kvcy_crc_fill(void) {
        uint32_t i, bit, crc;
        for (i = 0; i < 256; i++) {
            crc = i;
            for (bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
            kvcy_crc_table[0][i] = crc;
        }
        for (i = 0; i < 256; i++) {
            crc = kvcy_crc_table[0][i];
            for (bit = 1; bit < 8; bit++) {
                crc = (crc >> 8) ^ kvcy_crc_table[0][crc & 255];
                kvcy_crc_table[bit][i] = crc;
            }
        }
    }

    static uint32_t kvcy_crc_by_tables(uint32_t crc, const unsigned char* data, size_t size) {
        uint64_t word;
        crc = ~crc;
        for (; size >= 8; size -= 8, data += 8) {
            memcpy(&word, data, 8);
            word ^= crc;
            crc = kvcy_crc_table[7][word & 255] ^ kvcy_crc_table[6][(word >> 8) & 255]
                ^ kvcy_crc_table[5][(word >> 16) & 255] ^ kvcy_crc_table[4][(word >> 24) & 255]
                ^ kvcy_crc_table[3][(word >> 32) & 255] ^ kvcy_crc_table[2][(word >> 40) & 255]
                ^ kvcy_crc_table[1][(word >> 48) & 255] ^ kvcy_crc_table[0][word >> 56];
        }
        for (; size > 0; size--, data++) crc = (crc >> 8) ^ kvcy_crc_table[0][(crc ^ *data) & 255];
        return ~crc;
    }

    static int kvcy_crc_choose(void) {
        int way = kvcy_crc_supported() ? 2 : 1;
        __atomic_store_n(&kvcy_crc_way, way, __ATOMIC_RELAXED);
        return way;
    }

    static void kvcy_crc_use(int instruction) {
        __atomic_store_n(&kvcy_crc_way, instruction && kvcy_crc_supported() ? 2 : 1, __ATOMIC_RELAXED);
    }

    static inline int kvcy_crc_chosen(void) {
        int way = __atomic_load_n(&kvcy_crc_way, __ATOMIC_RELAXED);
        return way != 0 ? way : kvcy_crc_choose();
    }

    static inline uint32_t kvcy_crc32c(uint32_t crc, const void* data, size_t size) {
        if (kvcy_crc_chosen() == 2) return kvcy_crc_instruction(crc, (const unsigned char*) data, size);
        return kvcy_crc_by_tables(crc, (const unsigned char*) data, size);
    }
    """
    void kvcy_crc_fill() nogil
    void kvcy_crc_use(bint instruction) nogil
    int kvcy_crc_chosen() nogil
    uint32_t kvcy_crc32c(uint32_t crc, const void* data, size_t size) nogil

kvcy_crc_fill()             # at import, before any thread can ask


cdef uint32_t crc32c(uint32_t crc, const void* data, size_t size) noexcept nogil:
    return kvcy_crc32c(crc, data, size)


cdef bint crc32c_hardware() noexcept nogil:
    return kvcy_crc_chosen() == 2


cdef void crc32c_use_hardware(bint wanted) noexcept nogil:
    kvcy_crc_use(wanted)
