"""Breaks a rendered overlay in one way at a time, and sees that its rule, or the schema, says so.

  test_rules.py RENDERED.yaml     of the production overlay, which has everything
"""

import copy
import sys

import yaml

import crds
import rules


def find(objects, kind, name=None):
    return next(one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"]))


def app_pod(objects):
    return rules.pod(find(objects, "Deployment", "journey"))


def the_sidecar(objects):
    return app_pod(objects)["initContainers"][0]


def app(objects):
    return app_pod(objects)["containers"][0]


def toml(objects, old, new):
    data = find(objects, "ConfigMap")["data"]
    changed = data[rules.CONFIG_KEY].replace(old, new)
    if changed == data[rules.CONFIG_KEY]:
        raise ValueError(f"the configuration has no {old}")
    data[rules.CONFIG_KEY] = changed


def no_sidecar(objects):
    del app_pod(objects)["initContainers"]


def both_ports_named_http(objects):
    app(objects)["ports"][0]["name"] = "http"


def service_to_the_app(objects):
    find(objects, "Service")["spec"]["ports"][0]["targetPort"] = "app-http"


def drain_after(objects, time):
    the_sidecar(objects)["lifecycle"]["preStop"]["exec"]["command"][3] = time


def env_of(container, name):
    return next(entry for entry in container["env"] if entry["name"] == name)



# (what is broken, how, and what must be said of it)
CASES = [
    ("no sidecar", no_sidecar, "no Deployment has the sidecar"),
    ("a label and no sidecar", no_sidecar, "journey asks for a sidecar"),
    ("not restarted", lambda o: the_sidecar(o).pop("restartPolicy"), "restartPolicy is not Always"),
    ("not the first", lambda o: app_pod(o)["initContainers"].insert(0, {"name": "migrate"}), "comes before the sidecar"),
    ("no startup probe", lambda o: the_sidecar(o).pop("startupProbe"), "has no startupProbe"),
    ("a probe of the app", lambda o: the_sidecar(o)["startupProbe"]["httpGet"].update(path="/app"), "something else than /readyz"),
    ("liveness by readiness", lambda o: the_sidecar(o)["livenessProbe"]["httpGet"].update(path="/readyz"), "than /livez"),
    ("two ports of one name", both_ports_named_http, "two containers have a port named http"),
    ("two owners of a target", both_ports_named_http, "its port http is that of ['interlock', 'app']"),
    ("two ports of one number", lambda o: app(o)["ports"][0].update(containerPort=8080), "have the port 8080"),
    ("past the sidecar", service_to_the_app, "leads past the sidecar"),
    ("a service for nobody", lambda o: find(o, "Service")["spec"].update(selector={"a": "b"}), "selects no pods"),
    ("a name of another's", lambda o: app(o)["readinessProbe"]["tcpSocket"].update(port="http"), "which is not its own"),
    ("an app that goes at once", lambda o: app(o).pop("lifecycle"), "doesn't outlive the sidecar"),
    ("a sidecar that goes last", lambda o: the_sidecar(o).pop("lifecycle"), "no preStop that drains it"),
    ("not process 1", lambda o: app_pod(o).update(shareProcessNamespace=True), "is not process 1"),
    ("one that goes at once", lambda o: drain_after(o, "0s"), "endpoints may take"),
    ("one that goes too late", lambda o: drain_after(o, "9s"), "doesn't outlive the sidecar"),
    ("too little grace", lambda o: app_pod(o).update(terminationGracePeriodSeconds=30), "are too few"),
    ("too long a drain", lambda o: toml(o, 'drain = "15s"', 'drain = "1m"'), "doesn't outlive the sidecar"),
    ("another port", lambda o: toml(o, "0.0.0.0:8080", "0.0.0.0:8081"), "listens on 0.0.0.0:8081"),
    ("another app", lambda o: toml(o, "127.0.0.1:5000", "127.0.0.1:5001"), "no container listens on 5001"),
    ("probes that can't reach", lambda o: the_sidecar(o)["env"].pop(0), "the admin plane listens on 127.0.0.1"),
    ("metrics for tokens alone", lambda o: env_of(the_sidecar(o), "INTERLOCK__ADMIN__OPEN").update(value='["probes"]'), "admin.open lacks"),
    ("no tokens", lambda o: the_sidecar(o)["volumeMounts"].pop(1), "tokens.toml is named, and nothing is mounted"),
    ("no Redis password", lambda o: the_sidecar(o)["volumeMounts"].pop(0), "password is named, and nothing is mounted"),
    ("no volume", lambda o: app_pod(o)["volumes"].pop(), "there is no volume interlock-state"),
    ("no ConfigMap", lambda o: o.remove(find(o, "ConfigMap")), "there is no ConfigMap"),
    ("a budget for nobody", lambda o: find(o, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update(a="b"), "selects no pods"),
    ("a scrape of no port", lambda o: find(o, "PodMonitor")["spec"]["podMetricsEndpoints"][0].update(port="adm"), "scrapes the port adm"),
    ("no app label", lambda o: find(o, "PodMonitor")["spec"]["podMetricsEndpoints"][0].pop("relabelings"), "set the label app"),
    ("callers kept out", lambda o: find(o, "NetworkPolicy")["spec"]["ingress"].pop(0), "keeps callers from"),
    ("a way past", lambda o: find(o, "NetworkPolicy")["spec"]["ingress"][0]["ports"].append({"port": 5000}), "leaves a way past"),
    ("a misspelt field", lambda o: find(o, "PodMonitor")["spec"].update(podTargetLabel=["a"]), "'podTargetLabel' was unexpected"),
    ("a deep one", lambda o: find(o, "PodMonitor")["spec"]["podMetricsEndpoints"][0].update(intervall="1s"), "'intervall' was"),
    ("no duration", lambda o: find(o, "PodMonitor")["spec"]["podMetricsEndpoints"][0].update(interval="15 s"), "does not match"),
    ("another type", lambda o: find(o, "PodMonitor")["spec"]["podMetricsEndpoints"][0].update(honorLabels="yes"), "is not valid"),
    ("another version", lambda o: find(o, "PodMonitor").update(apiVersion="monitoring.coreos.com/v2"), "there is no schema"),
]


def main():
    with open(sys.argv[1], encoding="utf-8") as rendered:
        whole = [one for one in yaml.safe_load_all(rendered) if one]
    known, missed = crds.validators(), []
    for name, spoil, said in CASES:
        objects = copy.deepcopy(whole)
        spoil(objects)
        found = [*rules.offences(objects), *crds.offences(objects, known)]
        if not any(said in offence for offence in found):
            missed.append(f"{name}: nothing says \"{said}\": {found}")
    for line in missed:
        print(f"test_rules.py: {line}", file=sys.stderr)
    print(f"rules: {len(CASES) - len(missed)} of {len(CASES)} broken overlays were noticed")
    sys.exit(1 if missed else 0)


main()
