"""Schedules and sensors whose docstring is what Dagster's page says of them: Dagster itself leaves that empty."""

from collections.abc import Callable
from inspect import getdoc
from typing import Any

import dagster as dg


def schedule(**told: Any) -> Callable[[Callable[..., Any]], dg.ScheduleDefinition]:
    """As `dagster.schedule`, described by the docstring."""
    return lambda function: dg.schedule(**told, description=getdoc(function))(function)


def sensor(**told: Any) -> Callable[[Callable[..., Any]], dg.SensorDefinition]:
    """As `dagster.sensor`, described by the docstring."""
    return lambda function: dg.sensor(**told, description=getdoc(function))(function)
