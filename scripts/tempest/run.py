"""Runs Tempest's tests of a package in this process and prints one line of JSON for each: usage `run.py PACKAGE [PATTERN…]`.

Tempest's own client waits ten seconds before each deletion of a subnet, for services that take time to give ports back; ours do not, so it does not wait.
A class that is skipped or fails as a whole counts as many tests as it has.
"""

import json
import logging
import re
import sys
import time
import traceback
import types
import unittest


# Where a suite's tests are, in it.
IN_API = r'/(?:tempest|neutron_tempest_plugin)/(api/[^"]*)'


def say(**fields):
    print(json.dumps(fields), flush=True)


def do_not_wait():
    from tempest.lib.services.network import subnets_client

    subnets_client.time = types.SimpleNamespace(sleep=lambda seconds: None, time=time.time)


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


def cause(err):
    """The exception's last lines, where Tempest has the answer of the server; `err` is as sys.exc_info() gives it."""
    text = "".join(traceback.format_exception_only(err[0], err[1])).strip()
    frames = [frame for frame in traceback.extract_tb(err[2]) if re.search(IN_API, frame.filename)]
    where = f"{re.search(IN_API, frames[-1].filename).group(1)}:{frames[-1].lineno}" if frames else ""
    return where, text


class Lines(unittest.TestResult):
    def __init__(self, ids):
        super().__init__()
        self.ids = ids
        self.told = set()

    def tell(self, test, outcome, where="", why=""):
        name = test.id()
        found = re.match(r"^(setUpClass|tearDownClass|setUpModule|tearDownModule) \((.*)\)$", name)
        # What befalls a class befalls each of its tests that has not ended yet.
        names = [name] if found is None else [one for one in self.ids if one.startswith(found.group(2) + ".")]
        fresh = [one for one in names if one not in self.told]
        if found is not None and not fresh:
            say(test=name, outcome=outcome, where=where, why=why, of_class=True)
        for one in fresh:
            self.told.add(one)
            say(test=one, outcome=outcome, where=where, why=why)

    def addSuccess(self, test):
        self.tell(test, "passed")

    def addSkip(self, test, reason=None, details=None):
        if reason is None and details is not None:
            reason = details["reason"].as_text()
        self.tell(test, "skipped", why=str(reason))

    def addError(self, test, err=None, details=None):
        self.fault(test, err, details)

    def addFailure(self, test, err=None, details=None):
        self.fault(test, err, details)

    def fault(self, test, err, details):
        if err is not None:
            where, why = cause(err)
        else:
            text = next((each.as_text() for name, each in (details or {}).items() if name.startswith("traceback")), "")
            lines = text.strip().splitlines()
            places = re.findall(r'File "[^"]*' + IN_API + r'", line (\d+)', text)
            where = ":".join(places[-1]) if places else ""
            last = max((at for at, line in enumerate(lines) if line[:1] not in ("", " ")), default=0)
            why = "\n".join(lines[last:])
        self.tell(test, "failed", where, why)

    addExpectedFailure = addSuccess
    addUnexpectedSuccess = addSuccess


def main():
    logging.disable(logging.CRITICAL)
    package, patterns = sys.argv[1], [re.compile(each) for each in sys.argv[2:]]
    do_not_wait()
    loader = unittest.TestLoader()
    place = __import__(package, fromlist=["__path__"]).__path__[0]
    top = place.removesuffix("/" + package.replace(".", "/"))
    suite = loader.discover(place, top_level_dir=top)
    tests = [test for test in each(suite) if not patterns or any(one.search(test.id()) for one in patterns)]
    for fault in loader.errors:
        say(test=package, outcome="failed", where="", why=fault)
    say(listed=len(tests))
    tests.sort(key=lambda test: (type(test).__module__, type(test).__name__))
    unittest.TestSuite(tests).run(Lines([test.id() for test in tests]))


main()
