"""The responses to faulty requests and to errors of the server: {"error": LINE}."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

STATUSES = (400, 413, 415, 422, 500, 503, 504)
CLIENT_GONE = 499  # nginx's status for a client that did not wait; it stands in the metrics alone


class Error(BaseModel):
    """What is wrong, in one line."""

    error: str


async def refusal(request: Request, error: HTTPException) -> JSONResponse:
    """Return the response to a request that is refused."""
    message = error.detail
    if error.status_code in (404, 405):  # starlette's own errors
        message = f"{request.method} {request.url.path}: {message.lower()}; see /docs"
    return JSONResponse({"error": message}, error.status_code, error.headers)


async def no_response(request: Request, error: ClientDisconnect) -> Response:
    """Return a response that nobody receives."""
    return Response(status_code=CLIENT_GONE)


async def internal_error(request: Request, error: Exception) -> JSONResponse:
    """Return the response to an error of the server, which uvicorn logs."""
    return JSONResponse({"error": "internal error"}, 500)


HANDLERS = {HTTPException: refusal, ClientDisconnect: no_response, Exception: internal_error}
