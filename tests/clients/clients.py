"""Asks a server with RateGuard as clients do that know nothing of it: `clients.py SERVER [BROWSER]`."""

import functools
import importlib.metadata
import platform
import sys
import time

import urllib3

import browser
import fields
import patience
from pages import NAMED, PAGES, look
from server import Report, Server

PROBLEM = {"Accept": "application/problem+json"}


def in_a_row(server, path):
    """Requests that are answered as they have to be, with fields that are right."""
    expected, client, waits = PAGES[path].statuses, server.new_client(), []
    for place, status in enumerate(expected):
        answer = server.get(path, client)
        assert answer.status == status, f"request {place + 1} is answered {answer.status} instead of {status}"
        look(path, answer)
        if answer.is_denial:
            wait = answer.number("Retry-After")
            waits.append(wait)
            if expected[place + 1 : place + 2] == [200]:
                time.sleep(wait)
    told = answer.headers.get("RateLimit-Policy")
    return f"{expected}, Retry-After {waits}" + (f", {told}" if told else "")


def problem(server, path, before, kind, violated):
    """The body of the request after so many others."""
    client = server.new_client() | PROBLEM
    for _ in range(before):
        server.get(path, client)
    answer = server.get(path, client)
    look(path, answer)
    return fields.problem(answer, kind, violated)


def patient(server, path, before, expected, retries):
    pool = patience.Pool(server.port, functools.partial(look, path))
    return patience.is_patient(pool, path, server.new_client(), before, expected, retries)


def with_python(server, check):
    for path in PAGES:
        check(f"fields of {path}", in_a_row, server, path)

    for path, before, kind, violated in [
        ("/problems", 2, "quota-exceeded", ["problems"]),
        ("/named", 2, "quota-exceeded", [NAMED]),
        ("/several", 2, "quota-exceeded", ["several"]),
        ("/costly", 0, "quota-exceeded", ["costly"]),
        ("/ban", 2, "abnormal-usage-detected", ["ban"]),
        ("/unavailable", 0, "temporary-reduced-capacity", None),
    ]:
        check(f"problem details of {path}", problem, server, path, before, kind, violated)

    for path, before, expected in [
        ("/customary", [200, 200], [429, 200]),
        ("/draft", [200, 200], [429, 200]),
        ("/several", [200, 200], [429, 200]),
        ("/bucket", [200, 200], [429, 200]),
        ("/ban", [200, 429], [429, 200]),
        ("/recovering", [], [503, 503, 200]),
    ]:
        retries = urllib3.Retry(total=5, status_forcelist=[429, 503], respect_retry_after_header=True)
        check(f"urllib3.Retry on {path}", patient, server, path, before, expected, retries)
    # A response to a request that can never pass has no wait, so urllib3 does not retry it unless it is forced to.
    check("urllib3.Retry by default on /costly", patient, server, "/costly", [], [429], urllib3.Retry(total=5))


def main(binary, program=None):
    packages = ", ".join(f"{it} {importlib.metadata.version(it)}" for it in ("http-sf", "urllib3"))
    print(f"Python {platform.python_version()}, {packages}", flush=True)
    site, report = browser.Site(), Report()
    server = Server(binary, site.origin)
    try:
        with_python(server, report.check)
        if program:
            print(browser.version(program), flush=True)
            browser.with_browser(program, site, server, report.check)
    finally:
        server.end()
    print(f"clients: {report.passed} passed, {report.failed} failed")
    sys.exit(report.failed > 0)


main(*sys.argv[1:])
