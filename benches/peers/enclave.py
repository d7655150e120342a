"""How does a Sekisho enclave come to hold the records, and a permit for every session?

Standard library alone. Everything goes through the program's own verbs: init, ingest, serve, permit grant.
"""

import concurrent.futures
import json
import pathlib
import re
import signal
import socket
import subprocess
import time

# Deadlines close the time channel and change no figure; they would only make the comparison last longer.
IMMEDIATE = 'release = "immediate"'


class Enclave:
    """A served enclave; leaving it ends the gateway."""

    def __init__(self, program, folder, records, delta, say):
        self._program, self._folder, self._say = str(program), pathlib.Path(folder), say
        self._log = self._folder.with_suffix(".log")
        address = f"127.0.0.1:{_free_port()}"
        # population_max 100,000 makes the default δ of the data set 1e-6, the δ of every session here.
        self._run("init", "--dir", self._folder, "--with-sample-accounts", "--population-max", "100000", "--flight", address)
        self._configure()
        self.report = self._ingest(records)
        self._gateway = self._serve()
        with open(self._folder / "connect.json", encoding="utf-8") as file:
            self._connect = json.load(file)
        self._delta = delta

    def _configure(self):
        """Caps so wide that the permit's is the one that binds, and answers as soon as they are made."""
        file = self._folder / "sekisho.toml"
        text = re.sub(r"cap = \{ epsilon = [0-9.]+", "cap = { epsilon = 1000.0", file.read_text(encoding="utf-8"))
        text, changed = re.subn(r'^release = ".*"$', IMMEDIATE, text, flags=re.MULTILINE)
        if changed != 1:
            raise SystemExit(f"{file}: {changed} lines say when answers are released, expected one")
        file.write_text(text, encoding="utf-8")

    def _ingest(self, records):
        return self._run(
            "ingest", "--dir", self._folder, "--dataset", "demo", "--source", "synth", "--format", "omop-csv", records,
        )

    def _serve(self):
        with open(self._log, "w", encoding="utf-8") as log:
            gateway = subprocess.Popen([self._program, "serve", "--dir", self._folder], stdout=log, stderr=log)
        for _ in range(600):
            if "ready" in self._log.read_text(encoding="utf-8").split("\n"):
                return gateway
            if gateway.poll() is not None:
                break
            time.sleep(0.2)
        gateway.kill()
        gateway.wait()
        raise SystemExit(f"the gateway did not start:\n{self._log.read_text(encoding='utf-8')}")

    def job(self, sessions):
        """What the asking program needs: where, as whom, and a permit for every session."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            permits = list(pool.map(self._grant, range(len(sessions)), sessions))
        self._say(f"granted {len(permits)} permits, one a session")
        analyst = next(a for a in self._connect["accounts"] if "analyst" in a["roles"])
        ca = pathlib.Path(self._connect["ca"]).read_text(encoding="utf-8")
        return {
            "url": self._connect["flight"], "user": analyst["name"], "password": analyst["password"], "ca": ca,
            "permits": permits,
        }

    def _grant(self, number, session):
        permit = f"P-2000-{number + 1:04}"
        analyst = next(a["name"] for a in self._connect["accounts"] if "analyst" in a["roles"])
        self._run(
            "permit", "grant", "--connect", self._folder / "connect.json", "--id", permit, "--dataset", "demo",
            "--principal", analyst, "--purpose", "epidemiology", "--grant-all",
            "--epsilon", session["epsilon"], "--delta", self._delta,
        )
        return permit

    def _run(self, *arguments):
        done = subprocess.run(
            [self._program, *map(str, arguments)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            raise SystemExit(f"sekisho {' '.join(map(str, arguments))}: {done.stderr or done.stdout}")
        return done.stdout + done.stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._gateway.send_signal(signal.SIGTERM)
        try:
            self._gateway.wait(30)
        except subprocess.TimeoutExpired:
            self._gateway.kill()
            self._gateway.wait()


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
