"""The values for Dagster's Helm chart, as far as they can be held against something without the chart and a cluster.

The chart is not here. What is: the names of its values (below, as of chart 1.13), the schemas that Dagster itself has
for what the chart makes of them, the jobs that dagster-k8s makes of that, and the schemas of Kubernetes.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes
import kubernetes_validate
import pytest
import yaml
from dagster._config import Field, validate_config
from dagster._core.instance.config import dagster_instance_config_schema
from dagster_celery_k8s import CeleryK8sRunLauncher
from dagster_k8s import DagsterK8sJobConfig, K8sRunLauncher, construct_dagster_k8s_job
from dagster_k8s.container_context import K8sContainerContext

from apex_pipeline.configuration.names import FILE_KEYS
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.executors import ANY_WORKER, QUEUE_TAG
from apex_pipeline.settings import PROJECT_DIR
from tests.deploy.test_celery_files import flat

FOLDER = PROJECT_DIR / "deploy" / "kubernetes"
VERSIONS = ("1.31", kubernetes_validate.latest_version())
POD = {
    "annotations", "nodeSelector", "affinity", "tolerations", "podSecurityContext", "securityContext", "resources",
    "livenessProbe", "startupProbe", "volumes", "volumeMounts", "labels", "env", "envConfigMaps", "envSecrets",
    "schedulerName",
}  # fmt: skip
FREE = None
"""What the chart hands on without looking at it."""
CHART: dict[str, Any] = {
    "global": {"dagsterHome", "postgresqlSecretName", "celeryConfigSecretName", "serviceAccountName"},
    "generatePostgresqlPasswordSecret": FREE,
    "generateCeleryConfigSecret": FREE,
    "postgresql": {
        "image", "enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "postgresqlParams",
        "postgresqlScheme", "service",
    },
    "rabbitmq": {"enabled"},
    "redis": {"enabled", "internal", "usePassword", "host", "port", "brokerDbNumber", "backendDbNumber"},
    "flower": {"enabled"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "imagePullSecrets", "deployments"},
    "runLauncher": {"type", "config"},
    "dagsterWebserver": {"replicaCount", "image", "service", "workspace", "enableReadOnly", "readinessProbe", *POD},
    "dagsterDaemon": {
        "enabled", "image", "runCoordinator", "heartbeatTolerance", "runMonitoring", "runRetries", "sensors",
        "schedules", "readinessProbe", *POD,
    },
    "concurrency": {"enabled", "pools", "runs"},
    "computeLogManager": {"type", "config"},
    "pythonLogs": {"pythonLogLevel", "managedPythonLoggers", "dagsterHandlerConfig"},
    "retention": {"enabled", "schedule", "sensor", "autoMaterialize"},
    "scheduler": {"type", "config"},
    "additionalInstanceConfig": FREE,
    "telemetry": {"enabled"},
    "ingress": {"enabled"},
}  # fmt: skip
DEPLOYMENT = {
    "name", "image", "port", "dagsterApiGrpcArgs", "codeServerArgs", "includeConfigInLaunchedRuns", "readinessProbe",
    *POD,
}  # fmt: skip
CELERY = {
    "image", "imagePullPolicy", "nameOverride", "configSource", "workerQueues", "jobNamespace", "failPodOnRunFailure",
    *POD,
}  # fmt: skip
QUEUE = {"replicaCount", "name", "labels", "nodeSelector", "configSource", "additionalCeleryArgs"}
RUN = {
    "image", "imagePullPolicy", "jobNamespace", "loadInclusterConfig", "kubeconfigFile", "envConfigMaps", "envSecrets",
    "envVars", "volumeMounts", "volumes", "labels", "failPodOnRunFailure", "resources", "schedulerName",
    "securityContext", "runK8sConfig",
}  # fmt: skip
MONITORING = {
    "enabled": "enabled", "startTimeoutSeconds": "start_timeout_seconds",
    "cancelTimeoutSeconds": "cancel_timeout_seconds", "maxResumeRunAttempts": "max_resume_run_attempts",
    "pollIntervalSeconds": "poll_interval_seconds", "freeSlotsAfterRunEndSeconds": "free_slots_after_run_end_seconds",
}  # fmt: skip
RETRIES = {
    "enabled": "enabled", "maxRetries": "max_retries", "retryOnAssetOrOpFailure": "retry_on_asset_or_op_failure",
}  # fmt: skip
OF_THE_CHART = {"storage", "run_storage", "run_launcher"}
"""Where runs are kept and started is what a cluster is for."""
DIFFERENT = {
    ("concurrency", "runs", "max_concurrent_runs"),  # a run only waits for its steps
    ("run_monitoring", "max_runtime_seconds"),  # the chart has no name for it; Kubernetes tells of a job that is gone
    ("run_monitoring", "max_resume_run_attempts"),  # the chart always writes it
    ("scheduler", "module"),  # the chart names Dagster's modules by their old names
    ("compute_logs", "module"),
}
SECRETS = {
    "apex-database": {"APEX_DATABASE_URL"},
    "apex-ib": {"IB_FLEX_TOKEN", "IB_FLEX_QUERY_ID"},
}
"""Secrets that people make, by what the README says they hold."""


PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)")


def pins(lock: str) -> dict[str, set[str]]:
    """The packages of a lock by their normal names, and their versions: one, or one for each platform."""
    found: dict[str, set[str]] = {}
    for line in (PROJECT_DIR / lock).read_text().splitlines():
        if told := PIN.match(line):
            found.setdefault(told[1].lower().replace("_", "-"), set()).add(told[2])
    return found


def needed() -> set[str]:
    """The packages that the image must hold: to run the program, its extras of the values, and to install it."""
    told = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())
    extras = told["project"]["optional-dependencies"]
    asked = [*told["project"]["dependencies"], *extras["celery"], *extras["kubernetes"]]
    return {re.split(r"[<>=!\[; ]", one)[0].lower().replace("_", "-") for one in (*asked, "hatchling", "editables")}


def test_the_locks_of_the_image_hold_everything_that_the_values_start() -> None:
    lines = (FOLDER / "Dockerfile").read_text()
    locks = re.findall(r"pip install --require-hashes -r (\S+)", lines)
    held = set().union(*(pins(lock) for lock in locks))
    assert needed() <= held
    assert all(re.search(rf"^COPY {re.escape(lock)} ", lines, re.MULTILINE) for lock in locks)
    assert needed() - set(pins("requirements.lock")) == {"dagster-k8s", "dagster-celery-k8s"}, "control"


def test_the_image_holds_the_versions_that_the_tests_ran_with() -> None:
    tried, held = pins("requirements-checking.lock"), pins("deploy/kubernetes/requirements.lock")
    assert {name: (told, tried.get(name)) for name, told in held.items() if told != tried.get(name)} == {}
    text = (FOLDER / "requirements.lock").read_text()
    assert text.count("--hash=sha256:") >= len(held)
    assert "://" not in text, "no index is named"


def values(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text())


VALUES = values("values.yaml")
CODE = VALUES["dagster-user-deployments"]["deployments"][0]
LAUNCHER = VALUES["runLauncher"]["config"]["celeryK8sRunLauncher"]
ALONE = values("values-k8s.yaml")["runLauncher"]["config"]["k8sRunLauncher"]


def unknown(told: Mapping[str, Any], chart: Mapping[str, Any]) -> set[str]:
    """Names of values that the chart does not know, down to the second level."""
    found = set(told) - set(chart)
    for section in set(told) & set(chart):
        if chart[section] is not FREE:
            found |= {f"{section}.{name}" for name in set(told[section]) - chart[section]}
    return found


def test_the_chart_knows_every_value() -> None:
    assert unknown(VALUES, CHART) == set()
    assert set(CODE) <= DEPLOYMENT
    assert set(LAUNCHER) <= CELERY
    assert all(set(queue) <= QUEUE for queue in LAUNCHER["workerQueues"])
    assert set(ALONE) <= RUN
    assert set(ALONE["runK8sConfig"]) <= {
        "containerConfig",
        "podSpecConfig",
        "podTemplateSpecMetadata",
        "jobSpecConfig",
        "jobMetadata",
    }
    assert unknown({"dagsterDaemon": {"runMonitorin": {}}, "concurency": {}}, CHART) == {
        "dagsterDaemon.runMonitorin",
        "concurency",
    }, "control"


def instance() -> dict[str, Any]:
    """The parts of dagster.yaml that the chart writes from these values."""
    monitoring, retries = VALUES["dagsterDaemon"]["runMonitoring"], VALUES["dagsterDaemon"]["runRetries"]
    concurrency, retention = VALUES["concurrency"], VALUES["retention"]
    postgres = {
        "postgres_db": {
            "username": VALUES["postgresql"]["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": VALUES["postgresql"]["postgresqlHost"],
            "db_name": VALUES["postgresql"]["postgresqlDatabase"],
            "port": VALUES["postgresql"]["service"]["port"],
            "scheme": VALUES["postgresql"]["postgresqlScheme"],
        }
    }
    return {
        "run_storage": {"module": "dagster_postgres.run_storage", "class": "PostgresRunStorage", "config": postgres},
        "run_launcher": {"module": "dagster_celery_k8s", "class": "CeleryK8sRunLauncher", "config": celery_launcher()},
        "run_monitoring": {MONITORING[name]: value for name, value in monitoring.items()},
        "run_retries": {RETRIES[name]: value for name, value in retries.items()},
        "scheduler": {
            "module": "dagster.core.scheduler",
            "class": VALUES["scheduler"]["type"],
            "config": {"max_tick_retries": VALUES["scheduler"]["config"]["daemonScheduler"]["maxTickRetries"]},
        },
        "compute_logs": {
            "module": "dagster.core.storage.noop_compute_log_manager",
            "class": VALUES["computeLogManager"]["type"],
        },
        "concurrency": {
            "pools": {
                "default_limit": concurrency["pools"]["defaultLimit"],
                "granularity": concurrency["pools"]["granularity"],
            },
            "runs": {"max_concurrent_runs": concurrency["runs"]["maxConcurrentRuns"]},
        },
        "retention": {kind: {"purge_after_days": retention[kind]["purgeAfterDays"]} for kind in ("schedule", "sensor")},
        "python_logs": {"managed_python_loggers": VALUES["pythonLogs"]["managedPythonLoggers"]},
        "telemetry": VALUES["telemetry"],
        **VALUES["additionalInstanceConfig"],
    }


def celery_launcher() -> dict[str, Any]:
    """The configuration of the run launcher, as the chart writes it."""
    return {
        "dagster_home": VALUES["global"]["dagsterHome"],
        "instance_config_map": "apex-dagster-instance",
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
        "job_namespace": "apex",
        "broker": {"env": "DAGSTER_CELERY_BROKER_URL"},
        "backend": {"env": "DAGSTER_CELERY_BACKEND_URL"},
        "config_source": LAUNCHER["configSource"],
        "env_config_maps": [{"env": "DAGSTER_K8S_PIPELINE_RUN_ENV_CONFIGMAP"}],
        "env_secrets": [VALUES["global"]["celeryConfigSecretName"]],
        "service_account_name": "apex-dagster",
        "image_pull_policy": LAUNCHER["imagePullPolicy"],
        "fail_pod_on_run_failure": LAUNCHER["failPodOnRunFailure"],
    }


def run_launcher() -> dict[str, Any]:
    """The same of values-k8s.yaml."""
    return {
        "job_namespace": "apex",
        "image_pull_policy": ALONE["imagePullPolicy"],
        "service_account_name": "apex-dagster",
        "dagster_home": VALUES["global"]["dagsterHome"],
        "instance_config_map": "apex-dagster-instance",
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
        "resources": ALONE["resources"],
        "run_k8s_config": {
            "container_config": ALONE["runK8sConfig"]["containerConfig"],
            "pod_spec_config": ALONE["runK8sConfig"]["podSpecConfig"],
            "job_spec_config": ALONE["runK8sConfig"]["jobSpecConfig"],
        },
    }


def accepts(schema: Any, told: Mapping[str, Any]) -> bool:
    """Whether a schema of Dagster's configuration has nothing against it."""
    return bool(validate_config(Field(schema).config_type, told).success)


def test_dagster_accepts_the_instance_that_the_chart_makes_of_them() -> None:
    checked = validate_config(dagster_instance_config_schema(), instance())
    assert checked.success, checked.errors
    wrong = {**instance(), "run_monitoring": {"enabled": True, "poll_seconds": 60}}
    assert not validate_config(dagster_instance_config_schema(), wrong).success, "control"


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """What two instances do not say alike, beside what belongs to the chart."""
    both = flat(one), flat(other)
    paths = {path for tree in both for path in tree if path[0] not in OF_THE_CHART}
    return {path for path in paths if both[0].get(path) != both[1].get(path)}


def test_the_instance_that_the_chart_makes_of_them_does_what_the_one_of_one_machine_does() -> None:
    own = yaml.safe_load((PROJECT_DIR / "dagster.yaml").read_text())
    assert differences(own, instance()) == DIFFERENT, "copy what changed in dagster.yaml to values.yaml"
    forgotten = {**instance(), "run_retries": {"enabled": True, "max_retries": 2}}
    again = ("run_retries", "retry_on_asset_or_op_failure")
    assert differences(own, forgotten) == {*DIFFERENT, again}, "control: a refused token would be tried again"


def test_dagster_accepts_both_run_launchers() -> None:
    assert accepts(CeleryK8sRunLauncher.config_type(), celery_launcher())
    assert accepts(K8sRunLauncher.config_type(), run_launcher())
    assert not accepts(CeleryK8sRunLauncher.config_type(), {**celery_launcher(), "queues": []}), "control"
    assert not accepts(K8sRunLauncher.config_type(), {**run_launcher(), "resources": 4}), "control"


def test_there_is_a_worker_for_every_queue_that_steps_are_put_into() -> None:
    queues = {asset.op.tags.get(QUEUE_TAG, ANY_WORKER) for asset in ASSETS}
    assert {queue["name"] for queue in LAUNCHER["workerQueues"]} == queues
    of_brokers = [queue for queue in LAUNCHER["workerQueues"] if queue["name"] != ANY_WORKER]
    assert all(queue["replicaCount"] == 1 for queue in of_brokers)


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """A pod of each part of the values that says how its pods are."""
    for name, part in (
        ("code", CODE),
        ("worker", LAUNCHER),
        ("webserver", VALUES["dagsterWebserver"]),
        ("daemon", VALUES["dagsterDaemon"]),
    ):
        container = {
            "name": name,
            "image": f"{part['image']['repository']}:{part['image']['tag']}",
            "imagePullPolicy": part["image"]["pullPolicy"],
            "securityContext": part["securityContext"],
            "resources": part["resources"],
            "volumeMounts": part.get("volumeMounts", []),
            "env": [{"name": key, "value": value} for key, value in part.get("env", {}).items()],
            "envFrom": [{"secretRef": secret} for secret in part.get("envSecrets", [])],
        }
        spec = {
            "securityContext": part["podSecurityContext"],
            "containers": [container],
            "volumes": part.get("volumes", []),
        }
        yield name, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """The jobs that dagster-k8s makes of a run: by the values of Celery, and by those without it."""
    code = {
        "env_secrets": [secret["name"] for secret in CODE["envSecrets"]],
        "volumes": CODE["volumes"],
        "volume_mounts": CODE["volumeMounts"],
        "env": [{"name": key, "value": value} for key, value in CODE["env"].items()],
    }
    alone = {name: run_launcher()[name] for name in ("resources", "run_k8s_config")}
    for name, told in (("with-celery", code), ("alone", {**code, **alone})):
        context = K8sContainerContext.create_from_config({"k8s": told})
        config = DagsterK8sJobConfig(
            job_image=f"{CODE['image']['repository']}:{CODE['image']['tag']}",
            dagster_home=VALUES["global"]["dagsterHome"],
            instance_config_map="apex-dagster-instance",
            postgres_password_secret=VALUES["global"]["postgresqlSecretName"],
        )
        command = ["dagster", "api", "execute_run"]
        job = construct_dagster_k8s_job(config, command, f"run-{name}", context.run_k8s_config)
        made: Any = kubernetes.client.ApiClient().sanitize_for_serialization(job)
        yield name, made


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """The files that are applied as they stand."""
    for path in (FOLDER / "migrate-job.yaml", FOLDER / "network-policy.yaml"):
        for number, document in enumerate(yaml.safe_load_all(path.read_text())):
            yield f"{path.stem}-{number}", document


ALL = dict((*pods(), *jobs(), *manifests()))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ALL)
def test_kubernetes_accepts_what_is_made_of_them(name: str, version: str) -> None:
    kubernetes_validate.validate(ALL[name], version, strict=True)


def test_kubernetes_would_refuse_a_misspelt_name() -> None:
    """The control of the test above."""
    wrong = yaml.safe_load(yaml.safe_dump(ALL["code"]))
    wrong["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalations"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("name", ["code", "worker", "webserver", "daemon"])
def test_no_pod_is_root_or_may_become_it(name: str) -> None:
    spec = ALL[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_job_of_a_run_is_given_what_the_values_say() -> None:
    spec = ALL["alone"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["securityContext"] == ALONE["runK8sConfig"]["containerConfig"]["securityContext"]
    assert spec["securityContext"] == ALONE["runK8sConfig"]["podSpecConfig"]["securityContext"]
    assert container["resources"] == ALONE["resources"]
    for name in ("alone", "with-celery"):
        (container,) = ALL[name]["spec"]["template"]["spec"]["containers"]
        assert {source["secretRef"]["name"] for source in container["envFrom"]} == set(SECRETS)


def test_no_secret_stands_in_the_files_and_every_setting_is_one_that_is_read() -> None:
    for path in FOLDER.iterdir():
        assert not re.search(r"(?i)(password|token|secret|_url)\w*:[ \t]*[\"']?[^\s\"'#|]*://", path.read_text()), path
        assert not re.search(r"(?i)(password|flex_token):[ \t]+[\"']?\w+", path.read_text()), path
    assert re.search(r"(?i)(password|flex_token):[ \t]+[\"']?\w+", "redis:\n  password: hush"), "control"
    named = {secret["name"] for secret in CODE["envSecrets"]}
    assert named == set(SECRETS)
    readme = (FOLDER / "README.md").read_text()
    assert all(word in readme for name, held in SECRETS.items() for word in (name, *held))
    settings = {name for name in CODE["env"] if not name.startswith("DAGSTER_")}
    assert settings | set().union(*SECRETS.values()) <= set(FILE_KEYS.values())
