#!/usr/bin/env python3
"""Runs test programs that cargo has built, a few at a time, the long ones first.

Most of them wait most of their time, for a timer, a broker, a process that was killed; one after the other they would take
as long as all their waits together. Reads the messages of `cargo test --no-run --message-format=json` from the files that
the arguments name. Each program's output is printed in one piece when it has ended, and kept in DIRECTORY.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

# At the same time. More would only make those that wait for a CPU look like those that hang.
LANES = 4
# The ones that take longest, in this order; whatever begins last should be short.
FIRST = ["incidents", "upkeep_kafka", "chaos", "storage", "simulation", "runtime_kafka", "log_contract_kafka", "runtime_embedded", "beacon_core"]
# They break their broker, so they start their own unless the caller has one.
OWN_KAFKA = {"incidents", "chaos"}
# Runs of one program that are worth a lane each: what to call them, and their arguments.
# Incidents that are compared with one calm run, which a program makes once.
CALM = ["broker_restart", "killed_worker", "lost_disk", "zombie"]
PARTS = {
    "incidents": [
        ("kafka, under load", ["--skip", "embedded", *CALM]),
        ("kafka", ["--skip", "embedded", *(word for name in CALM for word in ("--skip", name))]),
        ("embedded", ["embedded"]),
    ],
    "chaos": [("", ["--nocapture"])],
}


class Program:
    def __init__(self, message, part, arguments, features):
        self.target = message["target"]["name"]
        self.path = message["executable"]
        manifest = pathlib.Path(message["manifest_path"]).parent
        self.package = manifest.name
        self.directory = str(manifest)
        kind = message["target"]["kind"][0]
        label = self.target if kind == "test" else f"{self.target} ({kind})"
        self.name = " ".join(filter(None, [f"{self.package}: {label}", part, features]))
        self.arguments = arguments

    def rank(self):
        return (FIRST.index(self.target) if self.target in FIRST else len(FIRST), self.name)


def programs(files):
    found = []
    for file in files:
        features = "without C++" if pathlib.Path(file).name.startswith("pure") else ""
        for line in pathlib.Path(file).read_text().splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("reason") != "compiler-artifact" or not message.get("executable"):
                continue
            if not message["profile"]["test"]:
                continue
            for part, arguments in PARTS.get(message["target"]["name"], [("", [])]):
                found.append(Program(message, part, arguments, features))
    return sorted(found, key=Program.rank)


def run(program, directory, total, done, lock):
    environment = dict(os.environ, CARGO_MANIFEST_DIR=program.directory)
    if program.target in OWN_KAFKA:
        callers = environment.pop("BEACON_CALLERS_KAFKA", "")
        environment.pop("KAFKA_BOOTSTRAP_SERVERS", None)
        if callers:
            environment["KAFKA_BOOTSTRAP_SERVERS"] = callers
    log = directory / (program.name.replace(" ", "_").replace("/", "_").replace(":", "") + ".log")
    started = time.monotonic()
    with open(log, "wb") as output:
        ended = subprocess.run(
            [program.path, *program.arguments],
            cwd=program.directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )
    seconds = time.monotonic() - started
    with lock:
        done.append(program.name)
        text = log.read_text(errors="replace")
        verdict = "ok" if ended.returncode == 0 else f"FAILED (exit code {ended.returncode})"
        print(f"\n-- {program.name}: {verdict} after {seconds:.0f} s ({len(done)} of {total})\n{text}", flush=True)
    return program.name, ended.returncode, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", metavar="DIRECTORY", type=pathlib.Path, required=True, help="where output is kept")
    parser.add_argument("messages", nargs="+", metavar="FILE", help="what cargo said")
    arguments = parser.parse_args()
    chosen = programs(arguments.messages)
    if not chosen:
        print("cargo has built no test program", file=sys.stderr)
        return 1
    done, lock = [], threading.Lock()
    with concurrent.futures.ThreadPoolExecutor(LANES) as lanes:
        futures = [lanes.submit(run, program, arguments.logs, len(chosen), done, lock) for program in chosen]
        results = [future.result() for future in futures]
    print("\n-- the longest: " + ", ".join(f"{name} {seconds:.0f} s" for name, _, seconds in sorted(results, key=lambda r: -r[2])[:8]))
    failed = [name for name, code, _ in results if code != 0]
    if failed:
        print("-- failed: " + "; ".join(failed))
    return 1 if failed else 0


sys.exit(main())
