"""The Dagster code location."""

from apex_pipeline.orchestration.location import definitions

defs = definitions()
