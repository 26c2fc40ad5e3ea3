"""What makes a loss worth a flag: the same thing was bought within 30 days before or after (IRC 1091).

A report for people who then ask their adviser; nothing here computes a tax. Only losses of long positions in US
securities are looked at. Contracts under section 1256 (options on broad indexes) are outside the rule.
"""

from datetime import timedelta

WINDOW = timedelta(days=30)
INDEX_PREFIX = "US.."
"""Symbols of indexes begin with it (`US..SPX`); options on them are section 1256 contracts."""
NOTE = "Information, not tax advice."
