"""RFC 9457 problem details, the one shape of bad news: in answers, step rows and outcomes."""

from shared.models import Model


class Problem(Model):
    """What went wrong, in words for humans and a code for machines.

    Attributes:
        code: stable identifier; the problem type is ``urn:appstore:problem:{code}``.
        title: short, the same for each occurrence of the code.
        detail: this occurrence: what failed, what was kept, what to do.
        pointer: JSON pointer of the offending field.
        step: the step that failed, for example ``ensure_repository``.
        rules: ids of the policy rules involved.
    """

    code: str
    title: str
    detail: str
    pointer: str | None = None
    step: str | None = None
    rules: list[str] = []
