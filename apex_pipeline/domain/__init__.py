"""Pure rules of trading records: no I/O, no clock, no SQL, no Dagster, no logging."""
