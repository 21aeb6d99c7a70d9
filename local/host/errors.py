class HostError(Exception):
    """A sentence for the person at the terminal: why the host refuses to start, and the remedy."""


class FunctionError(Exception):
    """A function raised; the text is the worker's `Type: message`."""

    def __init__(self, message: str, stack: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.stack = stack


class FunctionTimeoutError(FunctionError):
    """A function ran longer than functionTimeout of host.json; its worker was replaced."""


class WorkerLostError(Exception):
    """The worker process died while the function ran: nobody knows how far it came."""
