"""The only room that knows Dagster: assets, checks, partitions, resources, schedules."""
