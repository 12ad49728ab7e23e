"""The error tree: what is worth trying again, and what never is.

    AlexandriaError
    ├── TransientError            retried with backoff; HTTP 503
    │   ├── TransportUnavailable  the broker refused, was silent, or closed
    │   ├── BrokerSwitched        another broker is active now; this process ends, to be started again
    │   ├── CacheUnavailable      the cache missed its deadline
    │   ├── FetchUnavailable      a web server timed out, refused, or answered 5xx / 429
    │   ├── DatabaseUnavailable   no connection, a deadlock, or a lock wait that ran out
    │   │   └── WriteGateBusy     another process held the SQLite write lock too long
    │   ├── EmbedderUnavailable   the embedding model cannot be loaded here
    │   ├── ModelOvertaken        another model came into force while one was trained
    │   ├── RateLimited           429: this client asks too much at once
    │   └── ApiUnavailable        the command line cannot reach the API, or it answered 503
    └── PermanentError            never retried; HTTP 4xx; straight to the dead letters
        ├── SettingsError         a setting cannot be right; the process does not start
        ├── StartRefused          what this process needs for itself is taken: data directory, port, server
        ├── DatabaseBroken        what DATABASE_URL names is no database, or a damaged one
        ├── ApiRefused            the API answered the command line with a problem
        ├── NotFound              404
        ├── KeyNeeded             401: no API key, or one that is unknown or revoked
        ├── ScopeNeeded           403: the API key may not do this
        ├── InvalidInput          422
        ├── VersionConflict       409
        ├── LetterClosed          409: a dead letter has been closed in another way
        ├── NotReplayable         409: a dead letter that no call can be made of
        ├── CodeExists            409: a classification code that is there already
        ├── CodeInUse             409: a classification code that documents or other codes need
        ├── BatchEnded            409: a batch that has ended cannot be cancelled
        ├── PreconditionFailed    412
        ├── TooLarge              413
        ├── UnsupportedType       415
        ├── TransportRejected     the broker will never take this message
        ├── TooManyDeliveries     its worker died each time that it was started
        ├── ModelMismatch         a model file is not the one that this version was made for
        └── DocumentError         bytes that cannot become text
            ├── EmptyDocument
            ├── EncryptedDocument
            ├── BrokenDocument
            ├── MislabelledDocument
            ├── DocumentTooLarge
            ├── FetchRefused      an address or answer that the fetch policy forbids
            └── FetchFailed       the web server said that there is no such page for us (4xx)

`slug` is the stable last part of the `type` in problem+json and in stored errors.
"""

from __future__ import annotations

from typing import ClassVar


class AlexandriaError(Exception):
    """Root of every error this package raises on purpose."""

    slug: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Error"

    @property
    def detail(self) -> str:
        """One sentence for people."""
        return str(self) or self.title


class TransientError(AlexandriaError):
    """The same call may succeed later."""

    slug = "temporarily-unavailable"
    status = 503
    title = "Temporarily unavailable"


class TransportUnavailable(TransientError):
    slug = "broker-unavailable"
    title = "The broker cannot be reached"


class BrokerSwitched(TransientError):
    slug = "broker-switched"
    title = "Another broker is active now"


class CacheUnavailable(TransientError):
    slug = "cache-unavailable"
    title = "The cache cannot be reached"


class FetchUnavailable(TransientError):
    slug = "fetch-unavailable"
    title = "The page cannot be fetched now"


class DatabaseUnavailable(TransientError):
    slug = "database-unavailable"
    title = "The database cannot be reached"


class WriteGateBusy(DatabaseUnavailable):
    slug = "database-busy"
    title = "The database is busy"


class EmbedderUnavailable(TransientError):
    slug = "embedding-unavailable"
    title = "The embedding model cannot be loaded"


class ModelOvertaken(TransientError):
    slug = "model-overtaken"
    title = "Another model came into force meanwhile"


class RateLimited(TransientError):
    slug = "rate-limited"
    status = 429
    title = "Too many requests"


class ApiUnavailable(TransientError):
    slug = "api-unavailable"
    title = "The API cannot be reached"


class PermanentError(AlexandriaError):
    """The same call can never succeed."""

    slug = "invalid"
    status = 422
    title = "Cannot be processed"


class SettingsError(PermanentError):
    slug = "settings"
    title = "A setting cannot be right"


class StartRefused(PermanentError):
    slug = "start-refused"
    title = "This process cannot start"


class DatabaseBroken(PermanentError):
    slug = "database-broken"
    status = 500
    title = "The database is damaged"


class ApiRefused(PermanentError):
    slug = "api-refused"
    title = "The API refused"


class NotFound(PermanentError):
    slug = "not-found"
    status = 404
    title = "Not found"


class KeyNeeded(PermanentError):
    slug = "api-key-needed"
    status = 401
    title = "An API key is needed"


class ScopeNeeded(PermanentError):
    slug = "scope-needed"
    status = 403
    title = "The API key may not do this"


class InvalidInput(PermanentError):
    slug = "invalid-input"
    title = "Invalid input"


class VersionConflict(PermanentError):
    slug = "version-conflict"
    status = 409
    title = "The resource has changed since"


class LetterClosed(PermanentError):
    slug = "dead-letter-closed"
    status = 409
    title = "This dead letter is closed"


class NotReplayable(PermanentError):
    slug = "not-replayable"
    status = 409
    title = "This dead letter cannot be replayed"


class CodeExists(PermanentError):
    slug = "classification-code-exists"
    status = 409
    title = "This classification code exists"


class CodeInUse(PermanentError):
    slug = "classification-code-in-use"
    status = 409
    title = "This classification code is in use"


class BatchEnded(PermanentError):
    slug = "batch-ended"
    status = 409
    title = "This batch has ended"


class PreconditionFailed(PermanentError):
    slug = "precondition-failed"
    status = 412
    title = "If-Match does not hold"


class TooLarge(PermanentError):
    slug = "too-large"
    status = 413
    title = "Body over the limit"


class UnsupportedType(PermanentError):
    slug = "unsupported-type"
    status = 415
    title = "Unsupported document type"


class TransportRejected(PermanentError):
    slug = "broker-rejected"
    status = 500
    title = "The broker will not take this message"


class TooManyDeliveries(PermanentError):
    slug = "delivery-limit"
    status = 500
    title = "Started too often"


class ModelMismatch(PermanentError):
    slug = "model-mismatch"
    status = 500
    title = "A model file is not the known one"


class DocumentError(PermanentError):
    slug = "document"
    title = "The document cannot be read"


class EmptyDocument(DocumentError):
    slug = "document-empty"
    title = "The document has no text"


class EncryptedDocument(DocumentError):
    slug = "document-encrypted"
    title = "The document is protected by a password"


class BrokenDocument(DocumentError):
    slug = "document-broken"
    title = "The document is damaged"


class MislabelledDocument(DocumentError):
    slug = "document-mislabelled"
    title = "The document is not what its type says"


class DocumentTooLarge(DocumentError):
    slug = "document-too-large"
    title = "The document is over a limit"


class FetchRefused(DocumentError):
    slug = "fetch-refused"
    title = "The address may not be fetched"


class FetchFailed(DocumentError):
    slug = "fetch-failed"
    title = "The page cannot be had from its server"
