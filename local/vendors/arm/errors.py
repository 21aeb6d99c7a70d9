"""Refusals in the words of Azure Resource Manager."""

from aiohttp import web


class ArmError(Exception):
    """A refusal with ARM's error code; the document is `{"error": {"code", "message"}}`."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def response(self) -> web.Response:
        document = {"error": {"code": self.code, "message": self.message}}
        return web.json_response(document, status=self.status, headers=self.headers)


def bad_request(code: str, message: str) -> ArmError:
    return ArmError(400, code, message)


def conflict(code: str, message: str) -> ArmError:
    return ArmError(409, code, message)
