"""What a worker of Celery starts: `celery -A apex_pipeline.worker worker -Q futu -n futu@%h`.

Dagster and the definitions are loaded before the first step: children are forked from this process, one for each step,
and find everything in memory.
"""

from celery import Celery

from apex_pipeline import definitions, settings
from apex_pipeline.errors import ConfigError
from apex_pipeline.orchestration.celery_steps import application
from apex_pipeline.orchestration.home import prepare
from apex_pipeline.settings import Settings, sibling_database


def ready(configured: Settings) -> Celery:
    """The application of a worker with these settings, and Dagster's home laid out for it.

    Raises ConfigError where no database is named: the embedded one belongs to one machine.
    """
    if not configured.database_url:
        raise ConfigError("APEX_DATABASE_URL must be set: runs and workers share one database")
    settings.export(configured)
    dagster_url = configured.dagster_database_url or sibling_database(configured.database_url)
    prepare(configured.home, dagster_url, configured.execution.executor)
    definitions.defs.get_repository_def()
    return application(configured.execution)


app = ready(settings.load())
