"""How does a program that asks read what to ask, and write what it was answered?

Standard library alone. A program is called with two files: the job, which the script writes, and where its answers go,
one line of JSON a question.
"""

import csv
import json
import sys


class Job:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            fields = json.load(file)
        self.kinds = fields["kinds"]
        self.sessions = fields["sessions"]
        self.delta = fields["delta"]
        self.enclave = fields["enclave"]
        self._files = fields["tables"]

    def tables(self):
        """Every flat table: the names of its columns, and its rows as numbers."""
        read = {}
        for table, path in self._files.items():
            with open(path, encoding="utf-8", newline="") as file:
                lines = csv.reader(file)
                columns = next(lines)
                real = [column in ("value", "centred") for column in columns]
                read[table] = (columns, [[float(v) if r else int(v) for v, r in zip(line, real)] for line in lines])
        return read


class Answers:
    def __init__(self, path):
        self._file = open(path, "w", encoding="utf-8")

    def answer(self, session, first, end, answers, how=""):
        """`answers`: a value for each key; nothing for a key that was not answered."""
        line = {
            "kind": session["kind"], "epsilon": session["epsilon"], "size": session["size"], "number": session["number"],
            "window": [first, end], "how": how,
            "answers": [[list(key), float(value)] for key, value in answers.items() if value is not None],
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def job():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} JOB OUT")
    return Job(sys.argv[1]), Answers(sys.argv[2])
