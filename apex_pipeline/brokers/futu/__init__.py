"""Futu / moomoo through OpenD: plan, fetch in a child process, read records, normalize."""
