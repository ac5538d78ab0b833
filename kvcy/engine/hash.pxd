# cython: language_level=3
"""SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; one compression round, three
finalisation rounds), keyed by 16 secret bytes. Inline: it is on the path of every command."""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef struct HashKey:
    uint64_t k0
    uint64_t k1

cdef struct SipState:
    uint64_t v0
    uint64_t v1
    uint64_t v2
    uint64_t v3


cdef inline void sip_round(SipState* state) noexcept nogil:
    state.v0 += state.v1
    state.v1 = (state.v1 << 13) | (state.v1 >> 51)
    state.v1 ^= state.v0
    state.v0 = (state.v0 << 32) | (state.v0 >> 32)
    state.v2 += state.v3
    state.v3 = (state.v3 << 16) | (state.v3 >> 48)
    state.v3 ^= state.v2
    state.v0 += state.v3
    state.v3 = (state.v3 << 21) | (state.v3 >> 43)
    state.v3 ^= state.v0
    state.v2 += state.v1
    state.v1 = (state.v1 << 17) | (state.v1 >> 47)
    state.v1 ^= state.v2
    state.v2 = (state.v2 << 32) | (state.v2 >> 32)


cdef inline uint64_t sip_word(const char* data) noexcept nogil:
    """Eight bytes as a little-endian number (kvcy builds for little-endian processors only; hash.pyx checks it)."""
    cdef uint64_t word
    memcpy(&word, data, 8)
    return word


cdef inline uint64_t siphash13(const HashKey* key, const char* data, size_t size) noexcept nogil:
    """The 64-bit hash of `size` bytes at `data`."""
    cdef SipState state
    cdef uint64_t word
    cdef uint64_t last = <uint64_t> size << 56
    cdef size_t rest = size & 7
    cdef size_t position = 0
    cdef size_t i
    state.v0 = key.k0 ^ <uint64_t> 0x736f6d6570736575
    state.v1 = key.k1 ^ <uint64_t> 0x646f72616e646f6d
    state.v2 = key.k0 ^ <uint64_t> 0x6c7967656e657261
    state.v3 = key.k1 ^ <uint64_t> 0x7465646279746573
    while position + 8 <= size:
        word = sip_word(data + position)
        state.v3 ^= word
        sip_round(&state)
        state.v0 ^= word
        position += 8
    if rest != 0:
        if size >= 8:        # the last eight bytes, without those that were already taken
            last |= sip_word(data + size - 8) >> (64 - 8 * rest)
        else:
            for i in range(rest):
                last |= <uint64_t> (<const unsigned char*> data)[i] << (8 * i)
    state.v3 ^= last
    sip_round(&state)
    state.v0 ^= last
    state.v2 ^= 0xff
    sip_round(&state)
    sip_round(&state)
    sip_round(&state)
    return (state.v0 ^ state.v1) ^ (state.v2 ^ state.v3)
