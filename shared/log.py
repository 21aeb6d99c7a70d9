"""Structured logging: one logger, and a filter that keeps secrets out of every line."""

import logging
import re

LOGGER = logging.getLogger("appstore")

_SECRETS = re.compile(
    r"(?i)(bearer\s+|basic\s+|gh[pousr]_|sig=|code=|password[\"':=\s]+|secret[\"':=\s]+|access_token[\"':=\s]+"
    r"|client_assertion=|accountkey=)[^\s\"'&,;}]+"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*")


def redact(text: str) -> str:
    """Replace everything that looks like a credential.

    Args:
        text: any text on its way to a log, a problem document or a register row.

    Returns:
        The text with tokens, passwords, signatures and private keys replaced by ``[redacted]``.
    """
    text = _PEM.sub("[redacted]", text)
    text = _JWT.sub("[redacted]", text)
    return _SECRETS.sub(lambda hit: hit.group(1) + "[redacted]", text)


class RedactingFilter(logging.Filter):
    """Redacts the finished message, so that arguments are covered as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; never drops one."""
        record.msg = redact(record.getMessage())
        record.args = ()
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True


LOGGER.addFilter(RedactingFilter())
logging.getLogger("httpx").addFilter(RedactingFilter())  # it logs every URL; that of a webhook is a credential
