"""What has to hold for a rendered overlay, and what neither a schema nor a policy scanner sees.

  rules.py RENDERED.yaml...     prints what is wrong, and fails then

kustomize says nothing of a patch that matches nothing, and the API server little of a name that leads nowhere.
"""

import sys
import tomllib

import yaml

SIDECAR = "interlock"
CONFIG_KEY = "interlock.toml"
# In seconds: for callers to hear that a pod is gone, for the sidecar to end after its drain, and for the app's own end.
LEAVE = 5
SPARE = 5
APP_STOP = 30


class Overlay:
    """The objects of one rendering."""

    def __init__(self, objects):
        self.objects = [one for one in objects if one]

    def of(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def pods(self, selector):
        """The Deployments whose pods a selector takes."""
        labels = selector.get("matchLabels", {})
        return [one for one in self.of("Deployment") if labels.items() <= pod_labels(one).items()]


def pod_labels(deployment):
    return deployment["spec"]["template"]["metadata"].get("labels", {})


def pod(deployment):
    return deployment["spec"]["template"]["spec"]


def containers(deployment):
    """All of a pod, the sidecar among them."""
    return pod(deployment).get("initContainers", []) + pod(deployment)["containers"]


def sidecar(deployment):
    found = [one for one in pod(deployment).get("initContainers", []) if one["name"] == SIDECAR]
    return found[0] if found else None


def ports(container):
    return {port.get("name"): port["containerPort"] for port in container.get("ports", [])}


def probes(container):
    return {kind: container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe") if kind in container}


def seconds(text):
    """A duration of the configuration, in seconds; only the units that a drain is written in."""
    for unit, size in (("ms", 0.001), ("s", 1), ("m", 60)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * size
    raise ValueError(f"not a duration: {text}")


def sidecar_is_there(overlay):
    injected = [one for one in overlay.of("Deployment") if sidecar(one)]
    if not injected:
        yield "no Deployment has the sidecar: does the label interlock/inject stand in the base?"
    for one in overlay.of("Deployment"):
        asked = one["metadata"].get("labels", {}).get("interlock/inject") == "true"
        if asked and one not in injected:
            yield f"{one['metadata']['name']} asks for a sidecar and has none"


def sidecar_starts_first(overlay):
    for one in filter(sidecar, overlay.of("Deployment")):
        name, it = one["metadata"]["name"], sidecar(one)
        if it.get("restartPolicy") != "Always":
            yield f"{name}: the sidecar's restartPolicy is not Always: it would be waited for to end"
        if pod(one)["initContainers"][0] is not it:
            yield f"{name}: an init container comes before the sidecar, and can't call through it"
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind not in it:
                yield f"{name}: the sidecar has no {kind}"
        for kind, probe in probes(it).items():
            path = "/livez" if kind == "livenessProbe" else "/readyz"
            command = ["/interlock", "health"] + (["--live"] if kind == "livenessProbe" else [])
            if probe.get("httpGet", {}).get("path") != path and probe.get("exec", {}).get("command") != command:
                yield f"{name}: the sidecar's {kind} asks for something else than {path}"


def traffic_comes_through_it(overlay):
    for service in overlay.of("Service"):
        taken = overlay.pods({"matchLabels": service["spec"]["selector"]})
        if not taken:
            yield f"service {service['metadata']['name']} selects no pods"
        for one in taken:
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                owners = [c["name"] for c in containers(one) if target in (*ports(c).keys(), *ports(c).values())]
                if len(owners) != 1:
                    yield f"service {service['metadata']['name']}: its port {target} is that of {owners or 'nobody'}"
                elif sidecar(one) and owners != [SIDECAR]:
                    yield f"service {service['metadata']['name']}: its port {target} leads past the sidecar, to {owners[0]}"


def names_of_ports_lead_somewhere(overlay):
    for one in overlay.of("Deployment"):
        names = [name for c in containers(one) for name in ports(c) if name]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{one['metadata']['name']}: two containers have a port named {name}"
        numbers = [number for c in containers(one) for number in ports(c).values()]
        for number in sorted({number for number in numbers if numbers.count(number) > 1}):
            yield f"{one['metadata']['name']}: two containers have the port {number}"
        for container in containers(one):
            for kind, probe in probes(container).items():
                for how in ("httpGet", "tcpSocket"):
                    port = probe.get(how, {}).get("port")
                    if isinstance(port, str) and port not in ports(container):
                        yield f"{container['name']}: its {kind} asks for the port {port}, which is not its own"


def it_ends_in_order(overlay):
    for one in filter(sidecar, overlay.of("Deployment")):
        name = one["metadata"]["name"]
        hook = sidecar(one).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
        if hook[:3] != ["/interlock", "drain", "--after"]:
            yield f"{name}: the sidecar has no preStop that drains it: it would be told to end only after the app has"
            continue
        if pod(one).get("shareProcessNamespace"):
            yield f"{name}: with shareProcessNamespace the sidecar is not process 1, which its preStop signals"
        heard, drain = seconds(hook[3]), seconds(configuration(overlay, one)["proxy"]["drain"])
        if heard < LEAVE:
            yield f"{name}: the sidecar drains after {heard} s: endpoints may take {LEAVE} s to follow"
        sleeps = []
        for app in pod(one)["containers"]:
            sleep = app.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            sleeps.append(sleep)
            if sleep < heard + drain + SPARE:
                yield f"{name}: {app['name']} doesn't outlive the sidecar: {sleep} s of preStop for {heard} s, a drain of {drain} s and {SPARE} s to spare"
        grace = pod(one).get("terminationGracePeriodSeconds", 30)
        if grace < max(sleeps) + APP_STOP:
            yield f"{name}: {grace} s of grace are too few for {max(sleeps)} s of preStop and {APP_STOP} s of the app's end"


def configuration(overlay, deployment):
    """What the sidecar reads, from the ConfigMap that is mounted where its arguments say."""
    it = sidecar(deployment)
    path = it["args"][it["args"].index("--config") + 1]
    mounts = [m for m in it["volumeMounts"] if path == f"{m['mountPath']}/{CONFIG_KEY}"]
    volumes = {v["name"]: v for v in pod(deployment)["volumes"]}
    maps = {m["metadata"]["name"]: m for m in overlay.of("ConfigMap")}
    return tomllib.loads(maps[volumes[mounts[0]["name"]]["configMap"]["name"]]["data"][CONFIG_KEY])


def configuration_fits(overlay):
    for one in filter(sidecar, overlay.of("Deployment")):
        name, it = one["metadata"]["name"], sidecar(one)
        settings = configuration(overlay, one)
        environment = {entry["name"]: entry.get("value") for entry in it.get("env", [])}
        listen = environment.get("INTERLOCK__PROXY__LISTEN", settings["proxy"]["listen"])
        if int(listen.rsplit(":", 1)[1]) != ports(it).get("http"):
            yield f"{name}: the sidecar listens on {listen}, and its port http is {ports(it).get('http')}"
        legacy = int(settings["legacy"]["url"].rsplit(":", 1)[1])
        if legacy not in [number for app in pod(one)["containers"] for number in ports(app).values()]:
            yield f"{name}: no container listens on {legacy}, which legacy.url names"
        admin = environment.get("INTERLOCK__ADMIN__LISTEN", settings["admin"]["listen"])
        host, number = admin.rsplit(":", 1)
        over_network = "httpGet" in it["startupProbe"] or "admin" in ports(it)
        if over_network and (host == "127.0.0.1" or int(number) != ports(it).get("admin")):
            yield f"{name}: the probes ask over the network, and the admin plane listens on {admin}"
        opened = environment.get("INTERLOCK__ADMIN__OPEN", settings["admin"].get("open", []))
        if over_network and overlay.of("PodMonitor") and "metrics" not in str(opened):
            yield f"{name}: a PodMonitor scrapes without a token, and admin.open lacks \"metrics\""
        yield from files_are_mounted(name, it, settings, environment)


def files_are_mounted(name, it, settings, environment):
    mounted = [mount["mountPath"] for mount in it["volumeMounts"]]
    named = [value for key, value in settings["store"].items() if key.endswith("_file") or key == "snapshot"]
    named.append(environment.get("INTERLOCK__ADMIN__TOKENS_FILE", settings["admin"].get("tokens_file")))
    for path in filter(None, named):
        if path.rsplit("/", 1)[0] not in mounted:
            yield f"{name}: {path} is named, and nothing is mounted there"


def references_lead_somewhere(overlay):
    maps = {one["metadata"]["name"] for one in overlay.of("ConfigMap")}
    for one in overlay.of("Deployment"):
        volumes = {volume["name"]: volume for volume in pod(one).get("volumes", [])}
        for volume in volumes.values():
            name = volume.get("configMap", {}).get("name")
            if name and name not in maps:
                yield f"{one['metadata']['name']}: there is no ConfigMap {name}"
        for container in containers(one):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{container['name']}: there is no volume {mount['name']}"


def selectors_select(overlay):
    for kind, place in (("PodDisruptionBudget", "selector"), ("PodMonitor", "selector"), ("NetworkPolicy", "podSelector")):
        for one in overlay.of(kind):
            name = f"{kind} {one['metadata']['name']}"
            taken = overlay.pods(one["spec"][place])
            if not taken:
                yield f"{name} selects no pods"
            for deployment in filter(sidecar, taken):
                yield from reaches_the_sidecar(kind, name, one["spec"], ports(sidecar(deployment)))


def reaches_the_sidecar(kind, name, spec, its_ports):
    if kind == "PodMonitor":
        for endpoint in spec["podMetricsEndpoints"]:
            if endpoint["port"] not in its_ports:
                yield f"{name} scrapes the port {endpoint['port']}, which the sidecar doesn't have"
            if "app" not in [rule.get("targetLabel") for rule in endpoint.get("relabelings", [])]:
                yield f"{name} does not set the label app, by which the alerts group"
    if kind == "NetworkPolicy":
        let_in = {port["port"] for rule in spec["ingress"] for port in rule.get("ports", [])}
        if its_ports["http"] not in let_in:
            yield f"{name} keeps callers from the sidecar's port {its_ports['http']}"
        if let_in - {its_ports["http"], its_ports.get("admin", 9901)}:
            yield f"{name} leaves a way past the sidecar: {sorted(let_in)}"


RULES = (
    sidecar_is_there,
    sidecar_starts_first,
    traffic_comes_through_it,
    names_of_ports_lead_somewhere,
    references_lead_somewhere,
    it_ends_in_order,
    configuration_fits,
    selectors_select,
)


def offences(objects):
    overlay = Overlay(objects)
    found = []
    for rule in RULES:
        try:
            found += rule(overlay)
        except (KeyError, IndexError, ValueError) as error:
            found.append(f"{rule.__name__}: can't be told, as this is missing or malformed: {error!r}")
    return found


def main():
    failed = False
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as rendered:
            for offence in offences(yaml.safe_load_all(rendered)):
                print(f"{path}: {offence}", file=sys.stderr)
                failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
