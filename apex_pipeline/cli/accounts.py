"""What a person says about an account: lot method, base currency and day-trading regime, each from a date on."""

from datetime import date

from apex_pipeline.cli.console import line, show
from apex_pipeline.cli.opening import Opened
from apex_pipeline.domain.ledger import Rule
from apex_pipeline.errors import ConfigError
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.repositories.account_rules import AccountRuleRepository
from apex_pipeline.store.tables import as_row

EVER = date(1970, 1, 1)
"""From when on a rule holds that is said without a date."""


def tell_rules(found: Opened) -> None:
    """Print what was said about every account."""
    rows = [as_row(rule) for rule in AccountRuleRepository(found.db).rules()]
    note = "nothing was said: lots are matched first in, first out, and day trades are counted under the old rule"
    show(ReportTable("rules", "What was said about accounts", rows, note).at(found.settings.display))


def set_rules(found: Opened, account_id: str, said: dict[Rule, str | None], from_date: date | None) -> None:
    """Say these rules of an account from a date on, None leaving one as it is; "none" takes one back."""
    wanted = {rule: value for rule, value in said.items() if value is not None}
    if not wanted:
        raise ConfigError("say what to set: --lot-method, --base-currency or --regime")
    repository, since = AccountRuleRepository(found.db), from_date or EVER
    for rule, value in wanted.items():
        if value.lower() == "none":
            changed = repository.remove_rule(account_id, rule, since)
        else:
            changed = repository.set_rule(account_id, rule, since, value.upper())
        line(f"{account_id} {rule.value} {value.upper()}: {'set' if changed else 'as it was'}")
    line("the next run of `apex backfill` computes the account again from that day on")
