"""Deployments beyond one process: Celery run for real, Kubernetes and systemd held against their schemas."""
