"""Holds exported flags against flagd's evaluator: each entity has to get the variant there that is its path here.

  compare.py INTERLOCK    the binary; a sidecar of it is started, on ports that nobody uses
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from openfeature.contrib.tools.flagd.core.flagd_core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

FLAG = "journey-updates"
ENTITIES = [f"journey:{n}" for n in range(1_000)] + ["journey:blåbær", "journey:a/b", "journey:🫐"]
PERCENTAGES = ["0%", "0.01%", "12.34%", "25.5%", "50%", "99.99%", "100%"]
PINS = {"journey:7": "fixed", "journey:8": "legacy"}
# The longest that a start may take, in seconds.
STARTS_WITHIN = 30

CONFIG = """
[proxy]
listen = "127.0.0.1:{proxy}"
[legacy]
url = "http://127.0.0.1:1"
[admin]
listen = "127.0.0.1:{admin}"
[flags.{flag}]
entity = "journey:{{journeyId}}"
fixed = {{ strategy = "serialize" }}
[[flags.{flag}.routes]]
name = "journey-status"
methods = ["PUT"]
path = "/api/journeys/{{journeyId}}/status"
"""


def free_ports(count):
    """Ports that nobody uses. They are held until all are known, so that no two are the same."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def sidecar(interlock):
    """A running sidecar; where its admin plane is."""
    proxy, admin = free_ports(2)
    url = f"http://127.0.0.1:{admin}"
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "interlock.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(proxy=proxy, admin=admin, flag=FLAG))
        process = subprocess.Popen([interlock, "run", "--config", config], stderr=subprocess.DEVNULL)
        try:
            wait_until_ready(process, url)
            yield url
        finally:
            process.terminate()
            process.wait()


def wait_until_ready(process, url):
    give_up = time.monotonic() + STARTS_WITHIN
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            if answer.status == 200:
                return
        if process.poll() is not None or time.monotonic() > give_up:
            sys.exit(f"flagd: no sidecar at {url}")
        time.sleep(0.05)


def command(interlock, url, *arguments):
    run = subprocess.run([interlock, *arguments, "--admin", url], check=True, capture_output=True, text=True)
    return run.stdout


def path_of(url, entity):
    """What `interlock explain` asks for."""
    query = urllib.parse.urlencode({"entity": entity})
    with urllib.request.urlopen(f"{url}/api/v1/flags/{FLAG}/explain?{query}", timeout=10) as answer:
        return json.load(answer)["path"]


def differing(evaluator, url):
    """The entities that flagd gives another variant than their path."""
    variant = lambda entity: evaluator.resolve_string_value(FLAG, "none", EvaluationContext(entity)).value
    return [entity for entity in ENTITIES if variant(entity) != path_of(url, entity)]


def main(interlock):
    def changed(*arguments):
        command(interlock, url, "flag", *arguments, "--reason", "a check", "--wait")
        evaluator.set_flags(command(interlock, url, "flag", "export", FLAG, "--format", "flagd"))

    evaluator = FlagdCore()
    with sidecar(interlock) as url:
        for entity, path in PINS.items():
            changed("pin", FLAG, entity, path)
        for percent in PERCENTAGES:
            changed("set", FLAG, percent)
            wrong = differing(evaluator, url)
            if wrong:
                sys.exit(f"flagd: at {percent} {len(wrong)} entities differ, the first {wrong[:5]}")
        changed("kill", FLAG)
        # Of a disabled flag the caller's default is left.
        killed = evaluator.resolve_string_value(FLAG, "legacy", EvaluationContext(ENTITIES[0]))
        if (killed.value, str(killed.reason)) != ("legacy", "DISABLED"):
            sys.exit(f"flagd: a killed flag is {killed}")
    print(f"flagd: {len(ENTITIES)} entities agree at each of {', '.join(PERCENTAGES)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
