"""The tree of errors. A class exists only where a caller acts differently.

ApexError
├── ConfigError          the person must change a setting; nothing was contacted
├── BrokerError
│   ├── BrokerUnavailable   passing: retry later with backoff
│   │   ├── BrokerSilent        one question was not answered in time: another may be
│   │   ├── LimitReached        the limit of requests allows none in time: go on with another broker
│   │   └── QuotaReached        no more instruments for now: those that were asked for before are still told
│   └── BrokerRefused       final: never retry, the text says what to mend
├── UnknownPayload       one record cannot be read: quarantine it, load the rest
├── StorageError         the database cannot be reached or used
│   ├── StorageUnavailable  passing: the connection was lost or writers met, and nothing was stored; try again
│   ├── StorageUncertain    the connection was lost while committing: look whether it was stored before you repeat it
│   └── SchemaError
│       ├── SchemaOutdated     migrations are pending, or newer than this program
│       └── MigrationChanged   an applied migration file was edited
└── StaleVersion         an optimistic lock was lost: reload and try again

Messages are one line, name what to do next and never hold a secret.
"""


class ApexError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigError(ApexError):
    """A setting is missing, malformed or contradicts another; known before any connection."""


class BrokerError(ApexError):
    """A broker did not deliver what was asked."""


class BrokerUnavailable(BrokerError):
    """The broker could not be reached or did not answer in time; trying later can succeed."""


class BrokerSilent(BrokerUnavailable):
    """The broker did not answer this question in time; it may answer others."""


class LimitReached(BrokerUnavailable):
    """The limit of requests allows none within the time there is."""


class QuotaReached(BrokerUnavailable):
    """The broker tells no further instrument for now, but those that it told before."""


class BrokerRefused(BrokerError):
    """The broker answered no; asking again the same way cannot succeed."""


class UnknownPayload(ApexError):
    """One record cannot be read. `reason_code` is stable and is stored with the quarantined record."""

    def __init__(self, reason_code: str, message: str) -> None:
        super().__init__(message)
        self.reason_code = reason_code


class StorageError(ApexError):
    """The database could not be reached, created or used."""


class StorageUnavailable(StorageError):
    """The connection was lost, or writers stood in each other's way; nothing was stored, trying again can succeed."""


class StorageUncertain(StorageError):
    """The connection was lost while a change was being stored, which it may have been or not."""


class SchemaError(StorageError):
    """The database's schema does not fit this program."""


class SchemaOutdated(SchemaError):
    """Migrations are pending, or the database is newer than this program."""


class MigrationChanged(SchemaError):
    """A migration file differs from what was applied under its number."""


class StaleVersion(ApexError):
    """Another writer changed the row since it was read."""
