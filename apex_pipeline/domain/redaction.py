"""What may leave this machine of a text that somebody else wrote: no account number, no secret, no markup.

Known secrets and account numbers are replaced wherever they stand; what looks like one is hidden even if nobody told of
it. Rather too much is hidden than too little: whoever may know the whole text finds it in the database.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

HIDDEN, ACCOUNT, NUMBER, ADDRESS = "(hidden)", "(account)", "(number)", "(address)"
MOST = 300
"""Characters of a foreign text that are told."""

MOST_LOOKED_AT = 2_000
"""Characters in which unknown secrets are looked for: patterns take long over long words, and no more is told."""

SHORTEST_SECRET = 4
"""Shorter ones would hide parts of ordinary words, and protect nothing."""

SHORTEST_LETTERS = 16
"""A shorter secret of letters only may be a word of ours (apex, postgres): it is hidden where a secret stands, as in
`password=apex` and `:apex@`."""

SHORTEST_ANYWHERE = 6
"""Account numbers from this length on are found within longer words too."""

_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^\s]*@)?([^\s/?#,;)\"']*)(?:[/?#][^\s,;)\"']*)?", re.IGNORECASE)
_MAIL = re.compile(r"[^\s<>,;:()\"']+@[^\s<>,;:()\"']+")
_IB_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])D?[UFI][A-Z]?\d{4,}[A-Z]?(?![A-Za-z0-9])", re.IGNORECASE)
_DIGITS = re.compile(r"\d{7,}")
_OPAQUE = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[A-Za-z0-9_\-+/=.~%]{20,}")
_MARKUP = str.maketrans(
    {"<": "‹", ">": "›", "&": "+", "@": "＠", "`": "'", "*": "∗", "~": "∼", "|": "¦", "[": "(", "]": ")"}
)


class Redactor:
    """Hides these secrets and calls these accounts by their aliases.

    `aliases`: by account number, whichever broker it is of.
    """

    def __init__(self, secrets: Iterable[str] = (), aliases: Mapping[str, str] | None = None) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in _forms(secret)}
        words = {form for form in forms if form.isalpha() and len(form) < SHORTEST_LETTERS}
        self._secrets, self._placed = _any_of(forms - words), _where_secrets_stand(words)
        self._aliases = {account.lower(): alias for account, alias in (aliases or {}).items()}
        self._anywhere = _any_of(account for account in self._aliases if len(account) >= SHORTEST_ANYWHERE)
        self._alone = _any_of(self._aliases, alone=True)

    def clean(self, text: str) -> str:
        """One line of a foreign text, without what looks like a secret, an account number, an address or markup."""
        line = _cut(self._without_known(" ".join(text.split()), self._anywhere))
        line = _URL.sub(rf"\1\2/{HIDDEN}", line)
        line = _MAIL.sub(ADDRESS, line)
        for pattern, word in ((_IB_ACCOUNT, ACCOUNT), (_OPAQUE, HIDDEN), (_DIGITS, NUMBER)):
            line = pattern.sub(word, line)
        line = "".join(one for one in line.translate(_MARKUP) if one.isprintable())
        return line if len(line) <= MOST else f"{line[: MOST - 1]}…"

    def guarded(self, text: str) -> str:
        """A text of our own words, its lines kept, without any known secret or account number."""
        return self._without_known(text, self._alone)

    def _without_known(self, text: str, accounts: re.Pattern[str]) -> str:
        for secrets in (self._secrets, self._placed):
            text = secrets.sub(HIDDEN, text)
        for pattern in (accounts, self._alone):
            text = pattern.sub(lambda found: self._aliases[found[0].lower()], text)
        return text


def _forms(secret: str) -> Iterator[str]:
    """How a secret may be written."""
    yield from {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}
    yield b64encode(secret.encode()).decode().rstrip("=")


def _cut(line: str) -> str:
    """The beginning of a line, without a word that would be cut in two."""
    return line if len(line) <= MOST_LOOKED_AT else line[:MOST_LOOKED_AT].rpartition(" ")[0] or line[:MOST_LOOKED_AT]


def _where_secrets_stand(words: Iterable[str]) -> re.Pattern[str]:
    """Finds any of these words as a value or as the password of a URL."""
    any_of = _any_of(words).pattern
    return re.compile(rf"(?<=[:=])(?:{any_of})(?![A-Za-z0-9])|(?<![A-Za-z0-9])(?:{any_of})(?=@)", re.IGNORECASE)


def _any_of(words: Iterable[str], *, alone: bool = False) -> re.Pattern[str]:
    """Finds any of these words, the longest first; `alone`: only where it is not part of a longer one."""
    each = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    if not each:
        return re.compile(r"(?!)")
    return re.compile(rf"(?<![A-Za-z0-9])(?:{each})(?![A-Za-z0-9])" if alone else each, re.IGNORECASE)
