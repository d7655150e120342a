"""Do halts, roles, sessions and client certificates look right to stock Python clients?

Usage: administration.py CONNECT_JSON [SCHEMA]

Acts as the sample accounts of connect.json through pyarrow.flight, and asks through adbc-driver-flightsql. Certificates
are issued with the program named by SEKISHO_PROGRAM, for the enclave in whose directory connect.json lies; without that
variable the stories about them are skipped, which is said.
Prints `N passed, 0 failed`; exit status 1 if anything failed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow as pa
from adbc_driver_flightsql import DatabaseOptions
from pyarrow import flight

QUESTION = "SELECT COUNT(*) AS n FROM {}.person WHERE year_of_birth > {}"


class Enclave:
    """What connect.json says."""

    def __init__(self, path, schema):
        self.directory = os.path.dirname(os.path.abspath(path))
        with open(path, encoding="utf-8") as file:
            self.fields = json.load(file)
        with open(os.path.join(self.directory, self.fields["ca"]), "rb") as file:
            self.ca = file.read()
        self.schema = schema
        self.program = os.environ.get("SEKISHO_PROGRAM")

    def account(self, name):
        return next(a for a in self.fields["accounts"] if a["name"] == name)

    def sign_in(self, name, password=None):
        client = flight.connect(self.fields["flight"], tls_root_certs=self.ca)
        return client, client.authenticate_basic_token(name, password or self.account(name)["password"])

    def act(self, who, verb, body=None, signed=None):
        """One act of administration as this account."""
        client, token = signed or self.sign_in(who)
        action = flight.Action("sekisho." + verb, json.dumps(body).encode())
        options = flight.FlightCallOptions(headers=[token], timeout=60)
        return json.loads(next(iter(client.do_action(action, options))).body.to_pybytes())

    def connect(self, **more):
        """ADBC as the analyst, or with whatever is given instead of a password."""
        options = {DatabaseOptions.TLS_ROOT_CERTS.value: self.ca.decode(), DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"}
        if not more:
            analyst = self.account("analyst")
            more = {"username": analyst["name"], "password": analyst["password"]}
        return flightsql.connect(self.fields["flight"], db_kwargs={**options, **more}, autocommit=True)

    def ask(self, connection, year):
        with connection.cursor() as cursor:
            cursor.execute(f"SET sekisho.permit = '{self.fields['permit']}'")
            cursor.execute("SET sekisho.epsilon = 0.01")
            cursor.execute(QUESTION.format(self.schema, year))
            return cursor.fetch_arrow_table().num_rows


def refusal(work, code):
    """This work must end in this refusal."""
    try:
        work()
    except (flight.FlightError, pa.ArrowException, adbc_driver_manager.Error, OSError) as error:
        assert code in str(error), error
        return str(error)
    raise AssertionError(f"was not refused with {code}")


def a_halt_stops_the_analyst_until_two_people_lift_it(enclave):
    target = {"principal": "analyst"}
    with enclave.connect() as connection:
        assert enclave.ask(connection, 1950) == 1
        enclave.act("operator", "halt.on", {"target": target, "reason": "a story"})
        refusal(lambda: enclave.ask(connection, 1950), "halted")
        refusal(lambda: enclave.act("analyst", "halt.off", {"target": target}), "halted")
        assert enclave.act("auditor", "halt.off", {"target": target})["lifted"] is False
        refusal(lambda: enclave.act("auditor", "halt.off", {"target": target}), "second person")
        refusal(lambda: enclave.ask(connection, 1950), "halted")
        assert enclave.act("reviewer", "halt.off", {"target": target})["lifted"] is True
        assert enclave.ask(connection, 1950) == 1
    listed = [h for h in enclave.act("auditor", "halt.list") if h["target"] == target]
    assert listed and listed[-1]["lifted_by"] == "reviewer" and listed[-1]["asked_by"] == "auditor", listed


def an_auditor_is_made_by_two_auditors(enclave):
    name = f"auditor-{time.time_ns()}"
    password = "a long password of a story"
    enclave.act("auditor", "account.add", {"name": name, "roles": ["auditor"], "password": password})
    signed = enclave.sign_in(name, password)
    refusal(lambda: enclave.act(name, "account.list", signed=signed), "role_not_allowed")
    grant = {"name": name, "role": "auditor"}
    refusal(lambda: enclave.act("auditor", "account.grant", grant), "second holder")
    refusal(lambda: enclave.act("operator", "account.grant", grant), "role_not_allowed")
    assert enclave.act("auditor2", "account.grant", grant)["granted"] is True
    refusal(lambda: enclave.act(name, "account.list", signed=signed), "not_signed_in")
    signed = enclave.sign_in(name, password)
    assert any(a["name"] == name and a["roles"] == ["auditor"] for a in enclave.act(name, "account.list", signed=signed))
    new = "another long password of a story"
    enclave.act(name, "account.password", {"old": password, "new": new}, signed=signed)
    refusal(lambda: enclave.act(name, "account.list", signed=signed), "not_signed_in")
    refusal(lambda: enclave.sign_in(name, password), "not_signed_in")
    enclave.sign_in(name, new)
    enclave.act("operator", "account.disable", {"name": name})
    refusal(lambda: enclave.sign_in(name, new), "not_signed_in")


def sessions_are_listed_and_ended(enclave):
    signed = enclave.sign_in("analyst")
    own = enclave.act("analyst", "session.list", signed=signed)
    assert {s["account"] for s in own} == {"analyst"}, own
    this = next(s for s in own if s["this"])
    assert this["way"] == "password" and this["address"], this
    enclave.act("operator", "session.end", {"session": this["session"]})
    refusal(lambda: enclave.act("analyst", "session.list", signed=signed), "not_signed_in")


def guessing_is_slowed_down(enclave):
    name = f"nobody-{time.time_ns()}"
    for _ in range(10):
        refusal(lambda: enclave.sign_in(name, "a guess"), "not_signed_in")
    assert "seconds" in refusal(lambda: enclave.sign_in(name, "a guess"), "too_many_attempts")


def a_client_certificate_opens_the_account_that_registered_it(enclave):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "client.pem")
        issue = ["certificate", "issue", "analyst", "--dir", enclave.directory, "--out", out]
        done = subprocess.run([enclave.program, *issue], check=True, capture_output=True, text=True)
        fingerprint = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("fingerprint"))
        with open(out, encoding="utf-8") as file:
            certificate = file.read()
        with open(os.path.join(folder, "client.key"), encoding="utf-8") as file:
            key = file.read()
    shown = {
        DatabaseOptions.MTLS_CERT_CHAIN.value: certificate,
        DatabaseOptions.MTLS_PRIVATE_KEY.value: key,
    }

    def ask():
        with enclave.connect(**shown) as connection:
            return enclave.ask(connection, 1960)

    refusal(ask, "certificate_not_accepted")
    enclave.act("analyst", "certificate.add", {"fingerprint": fingerprint})
    assert ask() == 1
    listed = enclave.act("analyst", "certificate.list")
    assert any(c["fingerprint"] == fingerprint and c["revoked"] is None for c in listed), listed
    enclave.act("operator", "certificate.revoke", {"fingerprint": fingerprint})
    assert "revoked" in refusal(ask, "certificate_not_accepted")


STORIES = [
    a_halt_stops_the_analyst_until_two_people_lift_it,
    an_auditor_is_made_by_two_auditors,
    sessions_are_listed_and_ended,
    guessing_is_slowed_down,
]
WITH_PROGRAM = [a_client_certificate_opens_the_account_that_registered_it]


def main():
    """Runs every story; one that fails does not hide the next."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    enclave = Enclave(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "demo")
    stories = STORIES + (WITH_PROGRAM if enclave.program else [])
    for story in [] if enclave.program else WITH_PROGRAM:
        print(f"skipped {story.__name__}: SEKISHO_PROGRAM is not set")
    failed = 0
    for story in stories:
        try:
            story(enclave)
            print(f"ok      {story.__name__}")
        except Exception:  # every kind of failure counts the same here
            failed += 1
            print(f"FAILED  {story.__name__}")
            traceback.print_exc()
    print(f"{len(stories) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
