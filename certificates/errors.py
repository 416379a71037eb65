"""Why a decision about a certificate cannot be carried out."""

from __future__ import annotations

from foundation.errors import Category, DomainError
from foundation.messages import Message


class NotWaiting(DomainError):
    """The request does not wait for approval, or is about another key by now."""

    category = Category.CONFLICT

    def __init__(self, number: int, *, other_key: bool) -> None:
        if other_key:
            message = Message(
                "certificate-other-key",
                "The agent of request {number} has asked with another key since: look at it again.",
                number=number,
            )
        else:
            message = Message("certificate-decided", "Request {number} does not wait for approval.", number=number)
        super().__init__(message)


class NotIssued(DomainError):
    """There is no certificate in force to revoke."""

    category = Category.CONFLICT

    def __init__(self, number: int) -> None:
        super().__init__(
            Message("certificate-not-issued", "Certificate {number} is not issued, or revoked already.", number=number)
        )


class NoSuchCertificate(DomainError):
    """No row has this number."""

    category = Category.NOT_FOUND

    def __init__(self, number: int) -> None:
        super().__init__(Message("no-such-certificate", "There is no certificate {number}.", number=number))


class BadReason(DomainError):
    """A reason is missing or too long."""

    def __init__(self, most: int) -> None:
        super().__init__(Message("certificate-reason", "Give a reason of at most {most} characters.", most=most))
