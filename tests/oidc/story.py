"""Do tokens of a real identity provider open what they should, and nothing else?

Usage: story.py CONNECT_JSON ISSUER [SCHEMA]

The gateway is configured for ISSUER (see run); tokens come from its token endpoint, once by hand and once by the ADBC
driver itself. Prints `N passed, 0 failed`; exit status 1 if anything failed.
"""

import json
import os
import sys
import time
import traceback
import urllib.parse
import urllib.request
import warnings

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
from adbc_driver_flightsql import DatabaseOptions


class Enclave:
    """What connect.json says, and its identity provider."""

    def __init__(self, path, issuer, schema):
        with open(path, encoding="utf-8") as file:
            self.fields = json.load(file)
        with open(os.path.join(os.path.dirname(os.path.abspath(path)), self.fields["ca"]), encoding="utf-8") as file:
            self.ca = file.read()
        self.issuer, self.schema = issuer, schema

    def token(self, caller, audience="urn:sekisho"):
        form = {
            "grant_type": "client_credentials",
            "client_id": caller,
            "client_secret": f"secret of {caller}",
            "resource": audience,
            "scope": "ask",
        }
        with urllib.request.urlopen(self.issuer + "/token", urllib.parse.urlencode(form).encode()) as answer:
            return json.load(answer)["access_token"]

    def ask(self, **how):
        options = {
            DatabaseOptions.TLS_ROOT_CERTS.value: self.ca,
            DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true",
            **how,
        }
        with flightsql.connect(self.fields["flight"], db_kwargs=options, autocommit=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute(f"SET sekisho.permit = '{self.fields['permit']}'")
                cursor.execute("SET sekisho.epsilon = 0.01")
                cursor.execute(f"SELECT COUNT(*) AS n FROM {self.schema}.person")
                return cursor.fetch_arrow_table().num_rows

    def ask_with(self, token):
        return self.ask(**{DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer " + token})


def refusal(work, code):
    """This work must end in this refusal."""
    try:
        work()
    except adbc_driver_manager.Error as error:
        assert code in str(error), error
        return str(error)
    raise AssertionError(f"was not refused with {code}")


def a_token_of_the_provider_opens_its_account(enclave):
    token = enclave.token("analyst")
    assert enclave.ask_with(token) == 1
    assert enclave.ask_with(token) == 1, "the same session again"


def the_driver_fetches_the_token_itself(enclave):
    how = {
        DatabaseOptions.OAUTH_FLOW.value: "client_credentials",
        DatabaseOptions.OAUTH_TOKEN_URI.value: enclave.issuer + "/token",
        DatabaseOptions.OAUTH_CLIENT_ID.value: "analyst",
        DatabaseOptions.OAUTH_CLIENT_SECRET.value: "secret of analyst",
        DatabaseOptions.OAUTH_SCOPE.value: "ask",
    }
    assert enclave.ask(**how) == 1


def without_a_second_factor_it_opens_nothing(enclave):
    assert "second factor" in refusal(lambda: enclave.ask_with(enclave.token("one-factor")), "token_not_accepted")


def an_account_that_is_not_here_is_none(enclave):
    assert "account" in refusal(lambda: enclave.ask_with(enclave.token("nobody")), "token_not_accepted")


def a_claim_makes_nobody_an_auditor(enclave):
    assert "role" in refusal(lambda: enclave.ask_with(enclave.token("ambitious")), "token_not_accepted")


def a_token_for_another_door_or_tampered_with_is_worth_nothing(enclave):
    refusal(lambda: enclave.ask_with(enclave.token("analyst", "urn:elsewhere")), "not_signed_in")
    header, body, signature = enclave.token("analyst").split(".")
    refusal(lambda: enclave.ask_with(f"{header}.{body}.{signature[:-8]}AAAAAAAA"), "not_signed_in")
    refusal(lambda: enclave.ask_with(f"{header}.{body}."), "not_signed_in")


def new_keys_of_the_provider_are_found(enclave):
    with urllib.request.urlopen(urllib.request.Request(enclave.issuer + "/rotate", method="POST")) as answer:
        assert answer.status == 200
    # Keys are looked up at most every half minute.
    time.sleep(31)
    assert enclave.ask_with(enclave.token("analyst")) == 1


STORIES = [
    a_token_of_the_provider_opens_its_account,
    the_driver_fetches_the_token_itself,
    without_a_second_factor_it_opens_nothing,
    an_account_that_is_not_here_is_none,
    a_claim_makes_nobody_an_auditor,
    a_token_for_another_door_or_tampered_with_is_worth_nothing,
    new_keys_of_the_provider_are_found,
]


def main():
    """Runs every story; one that fails does not hide the next."""
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    enclave = Enclave(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else "demo")
    failed = 0
    for story in STORIES:
        try:
            story(enclave)
            print(f"ok      {story.__name__}")
        except Exception:  # every kind of failure counts the same here
            failed += 1
            print(f"FAILED  {story.__name__}")
            traceback.print_exc()
    print(f"{len(STORIES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
