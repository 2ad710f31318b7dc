"""The header fields of every answer, read with http_sf, which knows nothing of this project."""

import json
import time
import urllib.parse

import http_sf

X_RATELIMIT = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
# The names of the fields with one number each, and the dialects that write them; the value of a dialect is whether its
# reset is a Unix time.
NUMBERS = {X_RATELIMIT: {"customary": False, "epoch": True}}
DIALECTS = {"draft"}.union(*NUMBERS.values())
PROBLEMS = "https://iana.org/assignments/http-problem-types#"


def limits(value, parameters):
    """A list of Strings with these integer parameters, as in draft-ietf-httpapi-ratelimit-headers-11; by name."""
    told = {}
    for name, numbers in http_sf.parse(value.encode("ascii"), tltype="list"):
        assert type(name) is str, f"{name!r} is no String"
        assert list(numbers) == parameters, f"{numbers} instead of {parameters}"
        for number in numbers.values():
            assert type(number) is int and number >= 0, f"{number!r}"
        original = urllib.parse.unquote(name, errors="strict")
        assert original not in told, f"{original} is told twice"
        told[original] = tuple(numbers.values())
    assert told, "an empty list"
    return told


def look(answer, policies, dialects):
    """What has to be right of an answer by a page with these policies (quota and window by name)."""
    wait = answer.number("Retry-After")
    assert (answer.headers.get("Cache-Control") == "no-store") == answer.is_denial, "Cache-Control"
    assert wait is None or (answer.is_denial and wait >= 1), f"Retry-After: {wait} with {answer.status}"
    dialects = set(dialects.split())
    assert dialects <= DIALECTS, f"no check for the fields of {dialects - DIALECTS}"
    if answer.status == 503:
        dialects = set()  # nothing was decided, so there are no numbers

    values = [answer.headers.get(name) for name in ("RateLimit-Policy", "RateLimit")]
    if "draft" in dialects:
        told = limits(values[0], ["q", "w"])
        assert told == policies, f"{told} instead of {policies}"
        for name, (remaining, reset) in limits(values[1], ["r", "t"]).items():
            assert remaining <= policies[name][0], f"{remaining} remaining of {policies[name][0]}"
            assert wait is None or wait >= reset, f"Retry-After {wait} is before the reset in {reset}"
    else:
        assert values == [None, None], f"{values}"

    for names, writers in NUMBERS.items():
        numbers = [answer.number(name) for name in names]
        written = dialects & writers.keys()
        if not written:
            assert numbers == [None] * 3, f"{numbers}"
            continue
        limit, remaining, reset = numbers
        if any(writers[dialect] for dialect in written):
            reset -= int(time.time())
        assert any(limit == quota for quota, _ in policies.values()) and 0 <= remaining <= limit, f"{numbers}"
        assert 0 <= reset <= 10 and (wait is None or reset <= wait + 1), f"{numbers}, Retry-After {wait}"


def denying(answer):
    """The names in `RateLimit`, still percent-encoded. In a denial, they are those of the limits that denied."""
    return [name for name, _ in http_sf.parse(answer.headers["RateLimit"].encode("ascii"), tltype="list")]


def problem(answer, kind, violated):
    """Problem details (RFC 9457)."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.headers["Content-Type"]
    told = json.loads(answer.body)
    assert told["type"] == PROBLEMS + kind, told
    assert told["title"] and type(told["title"]) is str, told
    assert told["status"] == answer.status, told
    names = told.get("violated-policies")
    decoded = names and [urllib.parse.unquote(name, errors="strict") for name in names]
    assert decoded == violated, told
    if violated is not None:
        assert names == denying(answer), f"{names}, and RateLimit has {denying(answer)}"
    return f"{kind}, status {told['status']}, violated-policies {violated}"
