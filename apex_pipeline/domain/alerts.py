"""What is worth telling a person who does not look: alerts, and the one message that tells many of them.

An alert holds no account number and no secret: accounts are told by their alias, and texts of others go through
`redaction`. Its fingerprint says what it is about; while that lasts, it is told once. Here belong the words and the
rules of time; who is told, and over which channel, is in the room `notify`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby

from apex_pipeline.domain.checks import Severity
from apex_pipeline.domain.redaction import Redactor


class AlertKind(StrEnum):
    """Why a person is told, causes before what follows from them."""

    REFUSAL = "REFUSAL"
    RUN = "RUN"
    DEADLINE = "DEADLINE"
    BREAK = "BREAK"
    DRIFT = "DRIFT"


NOUNS: Mapping[AlertKind, tuple[str, str]] = {
    AlertKind.REFUSAL: ("refusal of a broker", "refusals of brokers"),
    AlertKind.RUN: ("failed run", "failed runs"),
    AlertKind.DEADLINE: ("missed deadline", "missed deadlines"),
    AlertKind.BREAK: ("ERROR break", "ERROR breaks"),
    AlertKind.DRIFT: ("unknown word of a broker", "unknown words of brokers"),
}
"""What one and several of a kind are called."""

BROKER_NAMES: Mapping[str, str] = {"FUTU": "Futu", "IB": "Interactive Brokers"}

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
"""Between attempts to reach a channel the pause doubles from the first to the longest."""

LINES_OF_A_GROUP = 5
OF_RUNS = "run:"
"""What fingerprints of failed runs begin with."""
OVER = " (over since)"


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that needs a person. `subject` is what alerts of a message are grouped by; `advice` is what to do."""

    kind: AlertKind
    fingerprint: str
    severity: Severity
    subject: str
    line: str
    advice: str
    opened_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run of Dagster that failed and is not tried again. `first_run_id`: of its first attempt.

    `errors` are one line each, as they were raised. `lasting`: what fails again and again, where a job runs every few
    minutes: its runs are one thing to tell.
    """

    run_id: str
    first_run_id: str
    job: str
    ended_at: datetime
    days: str = ""
    errors: Sequence[str] = ()
    lasting: str = ""

    @property
    def fingerprint(self) -> str:
        """What it is about: the run with all its attempts, or what fails as long as it does."""
        return f"{OF_RUNS}{self.lasting or self.first_run_id}"


@dataclass(frozen=True, slots=True)
class Words:
    """How accounts and instants are told."""

    redactor: Redactor
    aliases: Mapping[tuple[str, str], str]
    instant: str = "%Y-%m-%d %H:%M UTC"

    def account(self, broker: str | None, account_id: str | None) -> str:
        """The alias of an account; of one that has none, or of no account, as much as may be told."""
        if account_id is None or broker is None:
            return BROKER_NAMES.get(broker or "", "all accounts")
        return self.aliases.get((broker, account_id), f"an account of {BROKER_NAMES.get(broker, broker)}")


def of_refusal(row: Mapping[str, object], words: Words) -> Alert:
    """A broker refused a login, a token or a question; it stays so until somebody mends it."""
    broker, wanted = str(row["broker"]), str(row["wanted"])
    account_id = row["account_id"]
    whom = f" ({words.account(broker, str(account_id))})" if account_id else ""
    return Alert(
        AlertKind.REFUSAL,
        f"refusal:{broker}:{wanted}:{account_id or ''}",
        Severity.ERROR,
        f"{BROKER_NAMES.get(broker, broker)} refuses: nothing is loaded until that is mended",
        f"{wanted}{whom}: {words.redactor.clean(str(row['error']))}",
        "mend it, then `apex doctor` and `apex backfill`; docs/alerts.md#a-broker-refuses",
    )


def of_run(run: FailedRun, words: Words) -> Alert:
    """A run failed, its last attempt included."""
    told = "; ".join(dict.fromkeys(words.redactor.clean(error) for error in run.errors)) or "it says nothing"
    days = f" of {run.days}" if run.days else ""
    return Alert(
        AlertKind.RUN,
        run.fingerprint,
        Severity.ERROR,
        f"Failed: {run.job}",
        f"run {run.run_id[:8]}{days}: {told}",
        f"/runs/{run.run_id} in the Dagster UI, `apex status`; docs/alerts.md#a-run-failed",
    )


def of_deadline(row: Mapping[str, object], most_hours: int, words: Words) -> Alert:
    """The newest day of an account was told longer ago than it may be."""
    broker, account_id, source = str(row["broker"]), str(row["account_id"]), str(row["source"])
    return Alert(
        AlertKind.DEADLINE,
        f"deadline:{broker}:{account_id}:{source}",
        Severity.ERROR,
        f"Older than its deadline ({most_hours} hours of business days)",
        f"{words.account(broker, account_id)} {source}: told up to {row['newest_day']}, {row['hours']} hours ago",
        "`apex status`, then `apex backfill`; docs/alerts.md#a-deadline-is-missed",
    )


def of_break(row: Mapping[str, object], words: Words) -> Alert:
    """A check found an error that nothing explains."""
    uid, check = str(row["break_uid"]), str(row["check_name"])
    broker, account_id = row["broker"], row["account_id"]
    parts = [words.account(str(broker) if broker else None, str(account_id) if account_id else None)]
    parts += [str(row["business_date"])] if isinstance(row["business_date"], date) else []
    delta = row["delta"]
    parts += [f"{delta.normalize():f} {row['currency']}"] if isinstance(delta, Decimal) and row["currency"] else []
    return Alert(
        AlertKind.BREAK,
        f"break:{uid}",
        Severity.ERROR,
        f"Does not hold: {check.replace('_', ' ')}",
        f"{', '.join(parts)}: {uid}",
        f"`apex breaks --explain {uid}`; docs/reconciliation.md",
    )


def of_drift(row: Mapping[str, object], words: Words) -> Alert:
    """A broker sends a word that no rule knows; its records are loaded all the same."""
    broker, kind, field, value = (str(row[name]) for name in ("broker", "kind", "field", "value"))
    clean = words.redactor.clean
    return Alert(
        AlertKind.DRIFT,
        f"drift:{broker}:{kind}:{field}:{value}",
        Severity.WARN,
        f"{BROKER_NAMES.get(broker, broker)} sends words that no rule knows; the records are kept and loaded",
        f"{clean(kind)} {clean(field)} {clean(value)}: {row['records']} records since {row['first_day']}",
        "table `payload_drift`, check `every_word_of_the_broker_is_known`; docs/alerts.md#a-broker-sends-unknown-words",
    )


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts, the first included."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 10))


def title(alerts: Sequence[Alert]) -> str:
    """What is told, in one line of counts."""
    counts = {kind: sum(alert.kind is kind for alert in alerts) for kind in AlertKind}
    told = ", ".join(f"{count} {NOUNS[kind][count > 1]}" for kind, count in counts.items() if count)
    return f"APEX: {told}"


def body(alerts: Iterable[Alert], most: int, footer: str = "All of it: `apex alerts`") -> str:
    """The alerts grouped by what they are about, causes first, in at most so many characters."""
    order = {kind: place for place, kind in enumerate(AlertKind)}
    ranked = sorted(alerts, key=lambda alert: (order[alert.kind], alert.subject))  # stable: as they came
    groups = [list(each) for _, each in groupby(ranked, key=lambda alert: (alert.kind, alert.subject))]
    sections = [_section(group) for group in groups]
    told, room = list[str](), most - len(footer) - len("\n\n… and 000000 more kinds of alerts")
    for section in sections:
        if len(section) + 2 > room and told:
            break
        told.append(section if len(section) + 2 <= room else f"{section[: room - 3]}…")
        room -= len(told[-1]) + 2
    left = len(sections) - len(told)
    told += [f"… and {left} more kinds of alerts"] if left else []
    return "\n\n".join([*told, footer])


def _section(group: Sequence[Alert]) -> str:
    head = f"{group[0].subject} ({len(group)})" if len(group) > 1 else group[0].subject
    lines = [f"- {alert.line}{OVER if alert.ended_at else ''}" for alert in group[:LINES_OF_A_GROUP]]
    if len(group) > LINES_OF_A_GROUP:
        lines.append(f"- and {len(group) - LINES_OF_A_GROUP} more")
    return "\n".join([head, *lines, f"Next: {group[0].advice}"])
