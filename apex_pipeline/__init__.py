"""APEX Pipeline: every order, trade and fee of Futu and Interactive Brokers, kept, normalized and reconciled.

The rooms, from the bottom up; a room imports only from those above it in this list:

errors             what can go wrong
domain             pure rules: models, instruments, strategies, reconciliation
configuration, settings   how settings are written; what is configured
reference          what is known beside the brokers: the days of exchanges
brokers | store    the only rooms that know a broker's words | SQL
reports | extraction   tables for people | fetching and storing what a broker tells
diagnosis              which breaks follow from which, proven in rehearsals
pipeline           the story: ingest, normalize, classify, reconcile, report
live               what an engine or a script imports
orchestration | serving   the only room that knows Dagster | what is known last, over HTTP
worker             what a worker of Celery starts
"""
