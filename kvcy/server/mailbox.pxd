# cython: language_level=3
"""Mailboxes between threads: many post, one takes, an eventfd wakes the taker.

A mailbox is a stack of nodes that belong to the poster (embedded in what is sent), pushed by compare-and-swap and
taken all at once, oldest first. Nobody waits for anybody. The eventfd is written only when the mailbox was empty, so
a busy taker is not woken for each message. A node is in at most one mailbox at a time.
"""
from libc.stdint cimport uint32_t

cdef enum MailKind:
    MAIL_ADOPT = 1         # to a reactor: a new connection, to be served
    MAIL_ANSWER = 2        # to a reactor: Python has answered the connection's command
    MAIL_REQUEST = 3       # from a reactor: the connection's command waits for Python

cdef struct Mail:
    Mail* next
    void* sender           # what the node is embedded in
    int kind               # MailKind

cdef struct Mailbox:
    Mail* newest           # atomic
    int event_fd

# False when the system gives no eventfd.
cdef bint mailbox_init(Mailbox* mailbox) noexcept nogil
# Closes the eventfd. What is still in the mailbox stays the posters' business.
cdef void mailbox_close(Mailbox* mailbox) noexcept nogil
cdef void mailbox_post(Mailbox* mailbox, Mail* mail) noexcept nogil
# Wakes the taker without a message.
cdef void mailbox_wake(Mailbox* mailbox) noexcept nogil
# Resets the eventfd and takes everything; the oldest first, linked by `next`.
cdef Mail* mailbox_take(Mailbox* mailbox) noexcept nogil
