"""What stands before Gradio: nothing is fetched from other hosts, and no message is larger than allowed."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Gradio's page and our editor are made of inline scripts and styles, and its templates of code made at run time.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]

# Routes of Gradio that fetch from other hosts for the caller, or that show who else is here; the page needs none.
_CLOSED = ("/proxy=", "/file=http:", "/file=https:", "/file/http:", "/file/https:", "/monitoring", "/run-history")


class Guard:
    """ASGI middleware.

    Args:
        max_bytes: of the body of any request; more is answered with 413.
    """

    def __init__(self, app: App, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = unquote(scope["path"]).lower()
        if any(part in path for part in _CLOSED):
            await _refuse(send, 403, "closed here")
            return
        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        if not claimed.isdigit() or int(claimed) > self.max_bytes:
            await _refuse(send, 413, f"larger than {self.max_bytes:,} bytes")
            return
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            # A body without a length that goes on for too long: as if its sender had hung up.
            return {"type": "http.disconnect"} if taken > self.max_bytes else message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self.app(scope, limited, send_with_headers)


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
