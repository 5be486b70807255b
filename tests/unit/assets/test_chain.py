"""The compose file and the Helm values: every file, service, volume, port and key that they name exists, and what can run here runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest
import yaml

from radiosonde.assets import BACKENDS, AssetOptions
from radiosonde.cli import main
from radiosonde.config import Objectives

OPTIONS = {
    "default": AssetOptions(),
    "labels": AssetOptions(by=("job", "namespace", "cluster"), objectives=Objectives(failures=0.001, p99=0.3)),
    "datasource": AssetOptions(datasource="Mimir (prod): 1", dashboards="https://grafana.example"),
}
SERVICE_KEYS = {
    "build", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "init", "mem_limit", "ports",
    "restart", "ulimits", "volumes",
}  # fmt: skip
"""Keys of a service that this project uses; each is one of the Compose Specification."""
RESTARTS = r"unless-stopped|on-failure:\d+"
SECRET = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}|\$\{env:[A-Z_]+\}|\$[A-Z_]+")
"""A variable that must be set: of Compose, of the Collector, of Grafana."""


def files(backend: str, options: AssetOptions) -> dict[str, str]:
    """Return the files of a backend by path."""
    (found,) = (each for each in BACKENDS if each.name == backend)
    return {asset.path: asset.content for asset in found.make(options)}


@pytest.fixture(scope="module", params=OPTIONS.values(), ids=OPTIONS)
def options(request) -> AssetOptions:
    """Return options of assets."""
    return request.param


@pytest.fixture(scope="module")
def chain(options) -> dict[str, str]:
    """Return the files of the compose backend by path."""
    return files("compose", options)


@pytest.fixture(scope="module")
def composed(chain) -> dict:
    """Return the compose file."""
    return yaml.safe_load(chain["compose.yaml"])


def mounts(service: dict) -> list[list[str]]:
    """Return source, target and mode of the volumes of a service."""
    return [each.split(":") for each in service["volumes"]]


def test_services_have_only_known_keys_and_pinned_images(composed):
    """Keys are the specification's, an image has an exact tag or is built, and everything but the views goes on."""
    assert composed.keys() == {"name", "services", "volumes"}
    for name, service in composed["services"].items():
        assert service.keys() <= SERVICE_KEYS, name
        assert ("image" in service) != ("build" in service), name
        if "image" in service:
            assert re.fullmatch(r"[\w./-]+:v?\d+(\.\d+){1,3}", service["image"]), name
        assert re.fullmatch(RESTARTS, service["restart"]), name


def test_ports_are_unique_and_open_to_this_machine_alone(composed):
    """A port is bound once, and to 127.0.0.1."""
    ports = [port for service in composed["services"].values() for port in service.get("ports", ())]
    assert sorted(ports) == [f"127.0.0.1:{port}:{port}" for port in (3000, 4317, 4318, 8123, 9090, 9093)]


def test_every_volume_is_declared_and_every_mounted_file_is_written(composed, chain):
    """A bind mount names a file or a folder of the assets, read-only; a named volume is declared and used."""
    folders = {str(parent) for path in chain for parent in PurePosixPath(path).parents}
    named = set()
    for service in composed["services"].values():
        for source, target, *mode in mounts(service):
            assert target.startswith("/")
            if source.startswith("./"):
                assert source[2:] in chain or source[2:] in folders, source
                assert mode == ["ro"]
            else:
                named.add(source)
                assert mode == []
    assert named == set(composed["volumes"])


def test_every_file_in_a_command_is_mounted(composed):
    """A path that a command reads lies in a volume of its own service."""
    for name, service in composed["services"].items():
        words = [*service.get("command", ()), *service.get("entrypoint", ())]
        for word in words:
            for path in re.findall(r"(?:^|=)(/\S+)", word):
                assert any(PurePosixPath(path).is_relative_to(target) for _, target, *_ in mounts(service)), (
                    name,
                    word,
                )


def test_services_wait_for_services_that_can_be_waited_for(composed):
    """A service waits for one that exists, has a health check where that is asked for, and waits not for itself."""
    services = composed["services"]
    order: list[str] = []
    while len(order) < len(services):
        ready = [
            name
            for name, each in services.items()
            if name not in order and set(each.get("depends_on", ())) <= set(order)
        ]
        assert ready, f"in a circle, or for a service that is not there: {services.keys() - set(order)}"
        order += ready
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert ("healthcheck" in services[other]) == (how["condition"] == "service_healthy"), other


def test_addresses_between_services_name_a_service_and_a_port_it_has(composed, chain):
    """Each host and port that one service reaches another at is a service, and a port that its configuration opens."""
    collector = yaml.safe_load(chain["otel-collector/collector.yaml"])
    opened = {int(port) for port in re.findall(r"0\.0\.0\.0:(\d+)", str(collector))}
    ports = {"collector": opened, "prometheus": {9090}, "alertmanager": {9093}, "clickhouse": {9000}}
    assert ports.keys() <= composed["services"].keys()
    own = ("compose.yaml", "prometheus/prometheus.yml", "grafana/provisioning/datasources/radiosonde.yaml")
    pattern = rf"\b({'|'.join(ports)}):(\d{{4,5}})\b"
    reached = {(host, int(port)) for path in own for host, port in re.findall(pattern, chain[path])}
    (views,) = (each for each in yaml.safe_load(chain[own[2]])["datasources"] if each["name"] == "ClickHouse")
    reached.add((views["jsonData"]["host"], views["jsonData"]["port"]))
    assert {host for host, _ in reached} == ports.keys()
    assert all(port in ports[host] for host, port in reached), reached


def test_no_secret_is_written_down(chain):
    """Every password is a variable without a default, in each file of the chain."""
    found = 0
    for path, text in chain.items():
        if path.endswith((".yaml", ".yml")):
            for line in re.findall(r"(?i)^\s*\w*password\w*: (.+)$", text, re.MULTILINE):
                found += 1
                assert SECRET.fullmatch(line.strip('"')), (path, line)
    assert found >= 6


def test_variables_of_a_configuration_are_in_the_environment_of_its_service(composed, chain):
    """What the Collector's and Grafana's files read from the environment is set there."""
    for service, path, pattern in (
        ("collector", "otel-collector/collector.yaml", r"\$\{env:(\w+)\}"),
        ("grafana", "grafana/provisioning/datasources/radiosonde.yaml", r"\$([A-Z_]+)"),
    ):
        read = set(re.findall(pattern, chain[path]))
        assert read
        assert read <= composed["services"][service]["environment"].keys()


def test_prometheus_scrapes_the_collector_alone_and_keeps_its_labels(chain):
    """A server that is scraped too would be counted twice; without honor_labels all processes were one job."""
    (scrape,) = yaml.safe_load(chain["prometheus/prometheus.yml"])["scrape_configs"]
    assert scrape["honor_labels"] is True
    exporter = yaml.safe_load(chain["otel-collector/collector.yaml"])["exporters"]["prometheus"]["endpoint"]
    assert scrape["static_configs"] == [{"targets": ["collector:" + exporter.rpartition(":")[2]]}]


def test_grafana_loads_every_dashboard_from_the_folder_of_its_provider(composed, chain):
    """All dashboards of the assets are mounted under names of their own, where the provider looks."""
    (provider,) = yaml.safe_load(chain["grafana/provisioning/dashboards/radiosonde.yaml"])["providers"]
    mounted = {source[2:]: target for source, target, *_ in mounts(composed["services"]["grafana"]) if "json" in source}
    assert mounted.keys() == {path for path in chain if path.endswith(".json")}
    assert len(set(mounted.values())) == len(mounted)
    assert {str(PurePosixPath(target).parent) for target in mounted.values()} == {provider["options"]["path"]}


def test_first_lines_say_that_nothing_was_run(chain, options):
    """Each file of the chain alone begins with what was not tried."""
    own = [path for path in chain if path.split("/")[0] in ("compose.yaml", "model") or "provisioning" in path]
    heads = [chain[path].partition("\n")[0] for path in [*own, "prometheus/prometheus.yml"]]
    heads += [text.partition("\n")[0] for text in files("helm", options).values()]
    assert len(heads) == 9
    assert all(re.match(r"# .*\bnever\b", head) for head in heads), heads


@contextmanager
def started(command: list[str], health: list[str], folder: Path, **variables: str):
    """Run a server until its health check succeeds, for at most a minute."""
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **variables}) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while not is_healthy(health):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
            yield
        finally:
            process.kill()


def is_healthy(command: list[str]) -> bool:
    """Return whether a health check succeeds."""
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.fixture
def written(tmp_path) -> dict:
    """Return the services of a compose file that the command line wrote into the temporary folder."""
    assert main(["assets", "compose", "--out", str(tmp_path)]) == 0
    return yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize(
    ("service", "program", "port"),
    [("prometheus", "prometheus", 9090), ("alertmanager", "prometheus-alertmanager", 9093)],
    ids=["prometheus", "alertmanager"],
)
def test_command_and_health_check_work_with_the_mounted_files(
    service, program, port, written, tmp_path, require_program, free_port
):
    """The command of the service starts on the files it mounts, and its health check fails before and succeeds then."""
    wanted, address = written[service], f"127.0.0.1:{free_port}"
    alone = ["--cluster.listen-address="] if service == "alertmanager" else []
    command = [str(require_program(program)), f"--web.listen-address={address}", *alone]
    targets = {target: source for source, target, *_ in mounts(wanted)}
    for word in wanted["command"]:
        name, _, value = word.partition("=")
        command.append(f"{name}={tmp_path / targets[value]}" if value in targets else word)
    _, tool, *arguments = wanted["healthcheck"]["test"]
    health = [str(require_program(tool)), *(word.replace(f"127.0.0.1:{port}", address) for word in arguments)]
    assert not is_healthy(health)
    with started(command, health, tmp_path):
        pass


def test_model_server_becomes_healthy_and_the_watch_reads_its_store(written, tmp_path):
    """The stand-in fills the store that its health check asks for, and the command of the watch accepts it."""
    model, watch = written["model"], written["watch"]
    store, ours = model["environment"]["RADIOSONDE_STORE"], str(tmp_path / "models.sqlite")
    _, _, *check = model["healthcheck"]["test"]
    health = [sys.executable, *(word.replace(store, ours) for word in check)]
    assert not is_healthy(health)
    with started([sys.executable, str(tmp_path / "model/serve.py")], health, tmp_path, RADIOSONDE_STORE=ours):
        name, *words = [word.replace(store, ours) for word in watch["command"] if word != "--otlp"]
        assert name == "radiosonde"
        assert main([*words, "--dry-run"]) == 0
    assert "--otlp" in watch["command"]
    assert [source for source, *_ in mounts(watch)] == [source for source, *_ in mounts(model)]


def test_the_image_of_the_model_copies_and_starts_what_is_written(chain, composed):
    """The build context has the file that the Dockerfile copies, its argument is passed, and the store's folder exists."""
    text = chain["model/Dockerfile"]
    for service in (composed["services"][name] for name in ("model", "watch")):
        folder = service["build"]["context"][2:]
        copied = re.findall(r"^COPY (\S+) (\S+)$", text, re.MULTILINE)
        assert [f"{folder}/{source}" in chain for source, _ in copied] == [True]
        assert f'CMD ["python", "{copied[0][1]}"]' in text
        assert re.findall(r"^ARG (\w+)", text, re.MULTILINE) == list(service["build"]["args"])
        assert f"radiosonde {mounts(service)[0][1]}\n" in text


@pytest.fixture(scope="module")
def values(options) -> dict[str, dict]:
    """Return the values by file."""
    return {path: yaml.safe_load(text) for path, text in files("helm", options).items()}


def test_values_hold_the_same_rules_routing_and_collector(values, options):
    """What is written into the values is what the other backends write into files, with the rules a resource each."""
    stack = values["kube-prometheus-stack.yaml"]
    rules = {
        f"radiosonde-{name.removesuffix('.yml')}": yaml.safe_load(files("prometheus", options)[name])
        for name in ("rules.yml", "alerts.yml")
    }
    assert stack["additionalPrometheusRulesMap"] == rules
    assert all(re.fullmatch(r"[a-z][a-z-]*", name) for name in rules)
    assert stack["alertmanager"]["config"] == yaml.safe_load(files("alertmanager", options)["alertmanager.yml"])
    collector = values["opentelemetry-collector.yaml"]
    assert collector["alternateConfig"] == yaml.safe_load(files("otel-collector", options)["collector.yaml"])


def test_values_agree_on_hosts_ports_and_secrets(values, options):
    """The scrape finds the Collector's service and port, its ports are those it listens at, and the secrets are one."""
    stack, collector, grafana = (
        values[f"{name}.yaml"] for name in ("kube-prometheus-stack", "opentelemetry-collector", "grafana")
    )
    (scrape,) = stack["prometheus"]["prometheusSpec"]["additionalScrapeConfigs"]
    opened = {name: port["containerPort"] for name, port in collector["ports"].items() if port["enabled"]}
    assert scrape["static_configs"] == [{"targets": [f"{collector['fullnameOverride']}:{opened['prometheus']}"]}]
    listens = {int(port) for port in re.findall(r"0\.0\.0\.0:(\d+)", str(collector["alternateConfig"]))}
    assert set(opened.values()) | {collector["livenessProbe"]["httpGet"]["port"]} == listens
    read = set(re.findall(r"\$\{env:(\w+)\}", str(collector["alternateConfig"])))
    assert read == {each["name"] for each in collector["extraEnvs"]}
    secrets = {each["valueFrom"]["secretKeyRef"]["name"] for each in collector["extraEnvs"] if "valueFrom" in each}
    assert secrets == {each["name"] for each in grafana["envFromSecrets"]}
    created = re.findall(r"create secret generic (\S+)", "".join(files("helm", options).values()))
    assert set(created) == {*secrets, grafana["admin"]["existingSecret"]}


def test_every_key_of_the_dashboards_config_map_is_a_file_of_the_assets(values, options):
    """The command that makes it names files of other backends, under names of their own, and it is mounted for the provider."""
    (command,) = re.findall(r"^# (kubectl create configmap .+)$", files("helm", options)["grafana.yaml"], re.MULTILINE)
    _, _, _, name, *arguments = shlex.split(command)
    pairs = [argument.removeprefix("--from-file=").split("=../") for argument in arguments]
    written = {f"{backend}/{path}" for backend in ("grafana", "clickhouse") for path in files(backend, options)}
    assert {path for _, path in pairs} == {path for path in written if path.endswith(".json")}
    assert len({key for key, _ in pairs}) == len(pairs)
    grafana = values["grafana.yaml"]
    (folder,) = grafana["dashboardsConfigMaps"]
    assert grafana["dashboardsConfigMaps"][folder] == name
    (provider,) = grafana["dashboardProviders"]["dashboardproviders.yaml"]["providers"]
    assert PurePosixPath(provider["options"]["path"]) == PurePosixPath("/var/lib/grafana/dashboards", folder)


def test_values_and_compose_file_use_the_same_images_and_data_sources(values, composed, chain):
    """Collector and Grafana have one version in both, and the data sources differ in their hosts alone."""
    collector, grafana = values["opentelemetry-collector.yaml"], values["grafana.yaml"]
    assert ":".join(collector["image"].values()) == composed["services"]["collector"]["image"]
    assert composed["services"]["grafana"]["image"].endswith(f":{grafana['image']['tag']}")
    theirs = yaml.safe_load(chain["grafana/provisioning/datasources/radiosonde.yaml"])
    ours = grafana["datasources"]["datasources.yaml"]
    for mine, other in zip(ours["datasources"], theirs["datasources"], strict=True):
        assert {**mine, "url": ""} == {**other, "url": ""}


def test_the_repository_holds_the_chain_where_the_other_backends_are():
    """The folder `integrations` is the output of the compose backend: nothing is there twice, and nothing is missing."""
    for path, content in files("compose", AssetOptions()).items():
        assert Path("integrations", path).read_text() == content, path
