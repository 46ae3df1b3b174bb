"""POSTs with an Idempotency-Key are carried out once: whoever retries gets the first answer again.

Rules: a key belongs to its caller and path; only successes are remembered, for a day; two at once wait for one
another. An answer that holds a secret (`opt` `secret`) is remembered in memory only, never on disk, and a handler
may opt out (`idempotent=False`). A crash between the deed and its record leaves the deed to its own conflict rules.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPResponseBodyEvent, HTTPResponseStartEvent, Message, Receive, Scope, Send

from fleet_contract.errors import ContractError
from fleet_server.api.access import Principal
from fleet_server.clock import Clock
from fleet_server.storage import idempotency as rows
from fleet_server.storage.database import Database

HEADER: Final = b"idempotency-key"
KEEP: Final = timedelta(days=1)
MAX_KEY_BYTES: Final = 200
MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_IN_MEMORY: Final = 1000


@dataclass(slots=True)
class Answer:
    """An answer as it went out."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    @property
    def media_type(self) -> str:
        """The answer's content type."""
        return next((value.decode() for name, value in self.headers if name == b"content-type"), "")


class Idempotency(ASGIMiddleware):
    """Remembers answers in the database, those with secrets in memory."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._secret_answers: OrderedDict[str, Answer] = OrderedDict()
        self._running: dict[str, asyncio.Lock] = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answers from memory, or lets the request through and remembers its answer."""
        key = _key(scope)
        if not key:
            await next_app(scope, receive, send)
            return
        secret = bool(scope["route_handler"].opt.get("secret"))
        async with self._running.setdefault(key, asyncio.Lock()):
            try:
                answer = await self._find(key)
                if answer is None:
                    answer = await _run(scope, receive, next_app)
                    if 200 <= answer.status < 300 and len(answer.body) <= MAX_ANSWER_BYTES:
                        await self._remember(key, answer, secret=secret)
            finally:
                self._running.pop(key, None)
        await send(HTTPResponseStartEvent(type="http.response.start", status=answer.status, headers=answer.headers))
        await send(HTTPResponseBodyEvent(type="http.response.body", body=answer.body, more_body=False))

    async def _find(self, key: str) -> Answer | None:
        if key in self._secret_answers:
            return self._secret_answers[key]
        return await asyncio.to_thread(self._load, key)

    def _load(self, key: str) -> Answer | None:
        with self._database.read() as connection:
            row = rows.find(connection, key, self._clock.now())
        if row is None:
            return None
        headers = [(b"content-type", row.media_type.encode()), (b"content-length", str(len(row.body)).encode())]
        return Answer(row.status, headers if row.status != 204 else [], row.body)

    async def _remember(self, key: str, answer: Answer, *, secret: bool) -> None:
        if secret:
            self._secret_answers[key] = answer
            while len(self._secret_answers) > MAX_IN_MEMORY:
                self._secret_answers.popitem(last=False)
            return
        await asyncio.to_thread(self._store, key, answer)

    def _store(self, key: str, answer: Answer) -> None:
        now = self._clock.now()
        with self._database.transaction() as connection:
            rows.drop_expired(connection, now)
            rows.put(
                connection,
                key,
                status=answer.status,
                media_type=answer.media_type,
                body=answer.body,
                expires_at=now + KEEP,
            )


def _key(scope: Scope) -> str:
    """What a request's answer is remembered under; empty where it asks for nothing of the kind."""
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    if not given or scope.get("method") != "POST" or scope["route_handler"].opt.get("idempotent") is False:
        return ""
    if len(given) > MAX_KEY_BYTES:
        raise ContractError.mismatch("Idempotency-Key", got=f"{len(given)} bytes", expected=f"<= {MAX_KEY_BYTES}")
    principal: Principal = scope["user"]
    material = "\n".join((principal.actor, scope["path"])).encode() + b"\n" + given
    return hashlib.sha256(material).hexdigest()


async def _run(scope: Scope, receive: Receive, next_app: ASGIApp) -> Answer:
    answer = Answer()

    async def gather(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            answer.body += message["body"]

    await next_app(scope, receive, gather)
    return answer
