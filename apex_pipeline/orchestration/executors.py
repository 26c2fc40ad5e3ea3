"""Where the steps of a run are worked off: in its own process, or given to workers on this and other machines.

One code base serves all of them: `APEX_EXECUTOR` chooses. Celery and Kubernetes are imported only where chosen.
What a worker does with a step it is given is in `celery_steps`.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.settings import Executor

QUEUE_TAG = "dagster-celery/queue"
"""Names the queue of Celery that a step is put into (dagster-celery's own tag)."""

ANY_WORKER = "dagster"
"""The queue of steps that need the database only, which is dagster-celery's default."""

RESTORES_PER_LEASE = 4
"""How often within a lease workers look for steps whose worker is gone."""


def queued(*brokers: str) -> dict[str, str]:
    """The tag that sends a step to the workers beside the first of these brokers that is configured.

    OpenD and IB's gateway listen on the machine they run on. Where none of the brokers is configured the step has
    nothing to ask, and nobody need wait for a worker that is not there.
    """
    configured = settings.load().brokers
    return {QUEUE_TAG: next((broker for broker in brokers if broker in configured), ANY_WORKER)}


def executor(chosen: Executor) -> dg.ExecutorDefinition:
    """Dagster's executor of this choice."""
    if chosen is Executor.CELERY:
        from dagster_celery import celery_executor

        execution = settings.load().execution
        settings.export_celery(execution)  # Dagster keeps the names with a job, and reads the URLs when it runs
        return celery_executor.configured(
            {
                "broker": {"env": "APEX_CELERY_BROKER_URL"},
                "backend": {"env": "APEX_CELERY_RESULT_URL"},
                "config_source": celery_options(execution.celery_lease_seconds),
            }
        )
    if chosen is Executor.CELERY_K8S:
        from dagster_celery_k8s import celery_k8s_job_executor

        return celery_k8s_job_executor
    return dg.in_process_executor


def celery_options(lease_seconds: float) -> Mapping[str, Any]:
    """Options of Celery that runs and workers must share, so that a killed worker loses no step.

    A step is acknowledged when it ended, not when it was taken. Who takes one holds it for a lease, which the worker
    renews while it lives (`celery_steps.Leases`); a step whose lease ran out goes to another worker. Every step may
    be done twice: the stages change nothing the second time.
    """
    return {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_deduplicate_successful_tasks": True,
        # a worker that lost the broker goes on: a step that it ended would count as revoked, and its run as failed
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        "result_expires": 86_400,
        "broker_transport_options": {
            "visibility_timeout": lease_seconds,
            "unacked_restore_interval": lease_seconds / RESTORES_PER_LEASE,
            "unacked_restore_throttle": 1,
            # who looks for lost steps may be killed doing so: the lock must not outlive a lease
            "unacked_mutex_expire": max(1, int(lease_seconds)),
        },
    }
