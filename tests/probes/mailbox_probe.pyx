# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""server/mailbox.pxd for the tests."""
from libc.stdint cimport intptr_t
from libc.stdlib cimport calloc, free

from kvcy.server.mailbox cimport Mail, Mailbox, mailbox_close, mailbox_init, mailbox_post, mailbox_take, mailbox_wake


cdef class MailboxProbe:
    """A mailbox; what is posted are numbers."""
    cdef Mailbox mailbox
    cdef Mail* mails                 # all there will ever be
    cdef int count

    def __cinit__(self, int count):
        assert mailbox_init(&self.mailbox)
        self.count = count
        self.mails = <Mail*> calloc(count, sizeof(Mail))

    def __dealloc__(self):
        mailbox_close(&self.mailbox)
        free(self.mails)

    @property
    def fd(self) -> int:
        return self.mailbox.event_fd

    def post(self, int first, int count) -> None:
        """Posts the numbers first ... first + count - 1, without the GIL."""
        cdef int number
        assert first + count <= self.count
        with nogil:
            for number in range(first, first + count):
                self.mails[number].sender = <void*> <intptr_t> number
                mailbox_post(&self.mailbox, &self.mails[number])

    def wake(self) -> None:
        mailbox_wake(&self.mailbox)

    def take(self) -> list[int]:
        cdef Mail* mail
        cdef list numbers = []
        with nogil:
            mail = mailbox_take(&self.mailbox)
        while mail != NULL:
            numbers.append(<intptr_t> mail.sender)
            mail = mail.next
        return numbers
