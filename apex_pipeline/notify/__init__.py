"""Telling people who do not look: watching the record for what needs them, and an outbox to a webhook and to mail.

Nothing here waits for a broker, and no load waits for anything here.
"""
