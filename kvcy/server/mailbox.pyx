# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Mailboxes between threads (see mailbox.pxd)."""
from libc.stdint cimport uint64_t
from posix.unistd cimport close, read, write

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int initial, int flags)
    int EFD_CLOEXEC
    int EFD_NONBLOCK

cdef extern from *:
    """
    /* Pushes `mail`; returns what was the newest before (NULL: the mailbox was empty). */
    static inline void *kvcy_mail_push(void **newest, void **next, void *mail) {
        void *before = __atomic_load_n(newest, __ATOMIC_RELAXED);
        do {
            *next = before;
        } while (!__atomic_compare_exchange_n(newest, &before, mail, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
        return before;
    }
    #define KVCY_MAIL_TAKE(newest) __atomic_exchange_n((newest), (void *)0, __ATOMIC_ACQUIRE)
    """
    void* mail_push "kvcy_mail_push"(void** newest, void** next, void* mail) nogil
    void* mail_take_all "KVCY_MAIL_TAKE"(void** newest) nogil


cdef bint mailbox_init(Mailbox* mailbox) noexcept nogil:
    mailbox.newest = NULL
    mailbox.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    return mailbox.event_fd >= 0


cdef void mailbox_close(Mailbox* mailbox) noexcept nogil:
    if mailbox.event_fd >= 0:
        close(mailbox.event_fd)
        mailbox.event_fd = -1


cdef void mailbox_post(Mailbox* mailbox, Mail* mail) noexcept nogil:
    if mail_push(<void**>&mailbox.newest, <void**>&mail.next, mail) == NULL:
        mailbox_wake(mailbox)


cdef void mailbox_wake(Mailbox* mailbox) noexcept nogil:
    cdef uint64_t one = 1
    # It can fail only when the counter is full (EAGAIN), and then the taker is awake already.
    if write(mailbox.event_fd, &one, sizeof(one)) < 0:
        return


cdef Mail* mailbox_take(Mailbox* mailbox) noexcept nogil:
    cdef uint64_t count
    cdef Mail* newest
    cdef Mail* oldest = NULL
    cdef Mail* older
    # The eventfd is reset first: what is posted after it raises it again, so nothing is ever left behind unseen.
    if read(mailbox.event_fd, &count, sizeof(count)) < 0:
        count = 0
    newest = <Mail*>mail_take_all(<void**>&mailbox.newest)
    while newest != NULL:            # ends: the list is finite and nobody else can see it any more
        older = newest.next
        newest.next = oldest
        oldest = newest
        newest = older
    return oldest
