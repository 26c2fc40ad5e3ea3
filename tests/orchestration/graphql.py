"""What Dagster's web page asks its server: the same GraphQL calls, with the answers as plain values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import monotonic, sleep
from typing import Any, cast

import httpx

LOCATION, REPOSITORY = "apex_pipeline", "__repository__"
WORKSPACE = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY}
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
POLL_SECONDS = 0.5

ASSETS = """
query { assetNodes(loadMaterializations: false) {
  assetKey { path } jobNames isPartitioned isMaterializable
  assetChecksOrError { ... on AssetChecks { checks { name jobNames canExecuteIndividually } } } } }
"""
PARTITION_CONFIG = """
query ($repositoryName: String!, $repositoryLocationName: String!, $job: String!, $day: String!,
       $assets: [AssetKeyInput!]!) {
  pipelineOrError(params: {pipelineName: $job, repositoryName: $repositoryName,
                           repositoryLocationName: $repositoryLocationName}) {
    ... on Pipeline { partition(partitionName: $day, selectedAssetKeys: $assets) {
      runConfigOrError { ... on PartitionRunConfig { yaml } ... on PythonError { message } }
      tagsOrError { ... on PartitionTags { results { key value } } ... on PythonError { message } } } } } }
"""
LAUNCH_RUN = """
mutation ($executionParams: ExecutionParams!) {
  launchPipelineExecution(executionParams: $executionParams) {
    __typename
    ... on LaunchRunSuccess { run { id pipelineName } }
    ... on Error { message }
    ... on RunConfigValidationInvalid { errors { message } } } }
"""
LAUNCH_AGAIN = """
mutation ($executionParams: ExecutionParams!) {
  launchPipelineReexecution(executionParams: $executionParams) {
    __typename
    ... on LaunchRunSuccess { run { id pipelineName } }
    ... on Error { message } } }
"""
RUN = """
query ($runId: ID!) { runOrError(runId: $runId) { ... on Run {
  id status pipelineName tags { key value } assetSelection { path } assetChecks { name }
  assetCheckSelection { name assetKey { path } }
  stats { ... on RunStatsSnapshot { stepsSucceeded stepsFailed materializations } } } } }
"""
RUNS = """
query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { id status } } } }
"""
LAUNCH_BACKFILL = """
mutation ($backfillParams: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfillParams) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on Error { message } } }
"""
BACKFILL = """
query ($backfillId: String!) { partitionBackfillOrError(backfillId: $backfillId) { ... on PartitionBackfill {
  id status numPartitions isAssetBackfill error { message } runs { id status }
  assetBackfillData { assetBackfillStatuses {
    ... on AssetPartitionsStatusCounts {
      assetKey { path } numPartitionsMaterialized numPartitionsFailed } } }
} } }
"""
PARTITION_HEALTH = """
query ($assetKey: AssetKeyInput!) { assetNodeOrError(assetKey: $assetKey) { ... on AssetNode {
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }
"""
CHECK_HEALTH = """
query ($assetKey: AssetKeyInput!, $check: String!) { assetNodeOrError(assetKey: $assetKey) { ... on AssetNode {
  assetCheckOrError(checkName: $check) { ... on AssetCheck {
    partitionStatuses { ... on AssetCheckTimePartitionStatuses { ranges { status startKey endKey } } } } } } } }
"""
CHECK_PARTITION = """
query ($assetKey: AssetKeyInput!, $check: String!, $day: String!) {
  assetCheckExecutions(assetKey: $assetKey, checkName: $check, partition: $day, limit: 1000) {
    runId status partition
    evaluation { severity success partition targetMaterialization { runId } metadataEntries {
      label
      ... on IntMetadataEntry { intValue }
      ... on TableMetadataEntry { table { records } } } } } }
"""
MATERIALIZATION = """
query ($assetKey: AssetKeyInput!, $day: String!) { assetOrError(assetKey: $assetKey) { ... on Asset {
  definition { description latestRunForPartition(partition: $day) { id status } metadataEntries {
    label ... on TableSchemaMetadataEntry { schema { columns { name type constraints { nullable } } } }
    ... on TextMetadataEntry { text } } }
  assetMaterializations(partitions: [$day], limit: 1) { runId partition metadataEntries {
    label ... on IntMetadataEntry { intValue } } } } } }
"""
SCHEDULES = """
query ($selector: RepositorySelector!) { schedulesOrError(repositorySelector: $selector) { ... on Schedules { results {
  name cronSchedule executionTimezone pipelineName defaultStatus scheduleState { id status selectorId } } } } }
"""
START_SCHEDULE = """
mutation ($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
  __typename ... on ScheduleStateResult { scheduleState { id status } } ... on Error { message } } }
"""
STOP_SCHEDULE = """
mutation ($id: String!) { stopRunningSchedule(id: $id) {
  __typename ... on ScheduleStateResult { scheduleState { id status } } ... on Error { message } } }
"""
DRY_RUN = """
mutation ($selector: ScheduleSelector!, $timestamp: Float!) {
  scheduleDryRun(selectorData: $selector, timestamp: $timestamp) {
    __typename ... on Error { message }
    ... on DryRunInstigationTick { timestamp evaluationResult {
      skipReason error { message }
      runRequests { runKey jobName tags { key value } assetSelection { path } assetChecks { name } } } } } }
"""


def key(asset: str) -> dict[str, list[str]]:
    """An asset as GraphQL names it."""
    return {"path": [asset]}


def tags(mapping: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as GraphQL takes them."""
    return [{"key": name, "value": value} for name, value in mapping.items()]


@dataclass(frozen=True)
class Ui:
    """The page of a running Dagster; every answer that is an error raises AssertionError with its message."""

    client: httpx.Client

    def ask(self, query: str, **variables: Any) -> Any:
        """The value below the one field of a query or mutation."""
        answer = self.client.post("/graphql", json={"query": query, "variables": variables})
        told = cast("dict[str, Any]", answer.json())
        assert "errors" not in told, told["errors"]
        (value,) = told["data"].values()
        return value

    def assets(self) -> dict[str, Any]:
        """The assets of the catalogue by name, with their jobs and checks."""
        return {node["assetKey"]["path"][0]: node for node in self.ask(ASSETS)}

    def materialize(self, assets: Sequence[str], first: date, last: date | None = None, job: str = "") -> str:
        """Press "Materialize" on these assets for a day, or for a range as a single run; returns the run's id."""
        nodes = self.assets()
        job = job or _common_job([nodes[asset] for asset in assets])
        chosen = [key(asset) for asset in assets]
        filled = self.ask(PARTITION_CONFIG, **WORKSPACE, job=job, day=first.isoformat(), assets=chosen)["partition"]
        told = {tag["key"]: tag["value"] for tag in filled["tagsOrError"]["results"]}
        if last:
            told = {name: value for name, value in told.items() if not name.startswith(PARTITION)}
            told |= {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}
        checks = [
            {"assetKey": key(asset), "name": check["name"]}
            for asset in assets
            for check in nodes[asset]["assetChecksOrError"]["checks"]
            if job in check["jobNames"]
        ]
        return self.launch(job, told, filled["runConfigOrError"]["yaml"] or "{}", chosen, checks)

    def launch(self, job: str, told: Mapping[str, str], config: Any, assets: Any = None, checks: Any = None) -> str:
        """Launch a run of a job, or of a selection of its assets and checks; returns the run's id."""
        chosen = {} if assets is None else {"assetSelection": assets, "assetCheckSelection": checks}
        params = {
            "mode": "default",
            "executionMetadata": {"tags": tags(told)},
            "runConfigData": config,
            "selector": {**WORKSPACE, "pipelineName": job, **chosen},
        }
        launched = self.ask(LAUNCH_RUN, executionParams=params)
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["id"])

    def launch_again(self, run: Mapping[str, Any], step: str) -> str:
        """Press "Re-execute selected" on one step of an ended run; returns the new run's id."""
        told = {tag["key"]: tag["value"] for tag in run["tags"] if not tag["key"].startswith("dagster/code")}
        params = {
            "mode": "default",
            "executionMetadata": {
                "parentRunId": run["id"],
                "rootRunId": run["id"],
                "tags": tags({**told, "dagster/step_selection": step}),
            },
            "runConfigData": "{}",
            "stepKeys": [step],
            "selector": {
                **WORKSPACE,
                "pipelineName": run["pipelineName"],
                "assetSelection": run["assetSelection"],
                "assetCheckSelection": run["assetCheckSelection"],
            },
        }
        launched = self.ask(LAUNCH_AGAIN, executionParams=params)
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["id"])

    def backfill(self, assets: Sequence[str], days: Sequence[str]) -> str:
        """Press "Launch backfill" on these assets and days; returns the backfill's id."""
        params = {"tags": [], "assetSelection": [key(a) for a in assets], "partitionNames": list(days)}
        launched = self.ask(LAUNCH_BACKFILL, backfillParams={**params, "fromFailure": False})
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as its page shows it."""
        return self.ask(RUN, runId=run_id)

    def finished(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """The run once it has ended, however it did."""
        over = {"SUCCESS", "FAILURE", "CANCELED"}
        return until(lambda: self.run(run_id), lambda run: run["status"] in over, seconds)

    def partitions(self, asset: str) -> dict[str, str]:
        """The colour of each day in the asset's bar of partitions; days never tried are not in it."""
        found = self.ask(PARTITION_HEALTH, assetKey=key(asset))
        return _by_day(found["assetPartitionStatuses"])

    def check_partitions(self, asset: str, check: str) -> dict[str, str]:
        """The colour of each day in the check's bar of partitions; days never checked are not in it."""
        found = self.ask(CHECK_HEALTH, assetKey=key(asset), check=check)
        return _by_day(found["assetCheckOrError"]["partitionStatuses"])

    def check_history(self, asset: str, check: str, day: str) -> list[dict[str, Any]]:
        """The results of a check on a day, newest first."""
        return self.ask(CHECK_PARTITION, assetKey=key(asset), check=check, day=day)

    def schedules(self) -> dict[str, Any]:
        """The schedules by name."""
        found = self.ask(SCHEDULES, selector=WORKSPACE)
        return {schedule["name"]: schedule for schedule in found["results"]}

    def dry_run(self, schedule: str, before: datetime) -> Any:
        """What the first tick of a schedule after an instant would ask for."""
        selector = {**WORKSPACE, "scheduleName": schedule}
        told = self.ask(DRY_RUN, selector=selector, timestamp=before.timestamp())
        assert told["__typename"] == "DryRunInstigationTick", told
        assert told["evaluationResult"]["error"] is None, told
        return told["evaluationResult"]


def _common_job(nodes: Sequence[Mapping[str, Any]]) -> str:
    """The job that the page picks: the first one that holds all of the assets."""
    return next(name for name in nodes[0]["jobNames"] if all(name in node["jobNames"] for node in nodes))


def _by_day(statuses: Any) -> dict[str, str]:
    days: dict[str, str] = {}
    for found in (statuses or {"ranges": []})["ranges"]:
        first, last = date.fromisoformat(found["startKey"]), date.fromisoformat(found["endKey"])
        for n in range((last - first).days + 1):
            days[(first + timedelta(days=n)).isoformat()] = found["status"]
    return days


def until(look: Callable[[], dict[str, Any]], good: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
    """What `look` sees once it is good; fails when that takes too long."""
    deadline = monotonic() + seconds
    while not good(seen := look()):
        assert monotonic() < deadline, f"after {seconds} s still: {seen}"
        sleep(POLL_SECONDS)
    return seen
