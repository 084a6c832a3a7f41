"""Errors of the world outside, told apart by whether another try can help.

Owns: everything under `IntegrationError`. Must not: show credentials, query strings or bodies.

A stage that calls out says `Retry(..., give_up_on=(HttpRejected,))`: a busy or absent server is
tried again, an answer that will not change is not.
"""

from __future__ import annotations

from engine.errors import CallboardError, UnknownName, shown


class IntegrationError(CallboardError):
    """Something outside did not do what was asked."""

    code = "integration_error"


class HttpUnavailable(IntegrationError):
    """No usable answer now: no connection, too late, 408, 425, 429 or 5xx. Worth a retry.

    `retry_after_ms` is how long the server asked to be left alone, None if it did not say.
    """

    code = "http_unavailable"

    def __init__(
        self,
        address: str,
        problem: str,
        status: int | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        self.address, self.problem, self.status = address, problem, status
        self.retry_after_ms = retry_after_ms
        super().__init__(f"{address} is not available: {problem}. Another try may succeed.")


class HttpRejected(IntegrationError):
    """The answer will not change: a retry policy gives up on it."""

    code = "http_rejected"


class HttpRefused(HttpRejected):
    """The server refused the request with a 3xx or 4xx that another try does not change."""

    code = "http_refused"

    def __init__(self, address: str, status: int) -> None:
        self.address, self.status = address, status
        super().__init__(
            f"{address} answered {status}. Correct the address or the credentials; the request "
            "is not repeated, and redirects are not followed."
        )


class HttpAddressInvalid(HttpRejected):
    """The address is none that can be called."""

    code = "http_address_invalid"

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"{shown(address)} cannot be called. Give an http:// or https:// address.")


class HttpHostNotAllowed(HttpRejected):
    """`outbound_hosts` does not list the host; nothing was sent."""

    code = "http_host_not_allowed"

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(
            f"{address} is not called: its host is not in outbound_hosts. Add the host to "
            "CALLBOARD_OUTBOUND_HOSTS if it is to be trusted."
        )


class HttpReplyTooLarge(HttpRejected):
    """The answer is larger than the caller allows; it was read no further."""

    code = "http_reply_too_large"

    def __init__(self, address: str, limit_bytes: int) -> None:
        self.address, self.limit_bytes = address, limit_bytes
        super().__init__(
            f"The answer of {address} is larger than {limit_bytes:,} bytes. Ask for less, or raise "
            "the limit of the client."
        )


class HttpReplyInvalid(HttpRejected):
    """The answer is not what was asked for, such as no JSON object."""

    code = "http_reply_invalid"

    def __init__(self, address: str, problem: str) -> None:
        self.address, self.problem = address, problem
        super().__init__(f"The answer of {address} cannot be used: {problem}.")


class UnknownChannel(UnknownName):
    """No notification channel of this name is registered."""

    code = "unknown_channel"
    kind = "notification channel"


class NotificationFailed(IntegrationError):
    """A channel could not send; it may have sent before it failed. Worth a retry."""

    code = "notification_failed"

    def __init__(self, channel: str, problem: str) -> None:
        self.channel, self.problem = channel, problem
        super().__init__(f"Channel {channel!r} could not send: {problem}.")
