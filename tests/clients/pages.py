"""What is known of the pages of the server, which is `tests/src/bin/header_fixture_server.rs`."""

import typing

import fields


class Page(typing.NamedTuple):
    dialects: str
    policies: dict  # the quota and the window in seconds of each, by name
    statuses: list  # of requests in a row; who is denied before a 200 waits first


NAMED = 'größe"\\%41'
BOTH = "customary draft"
TWO = [200, 200, 429, 200]
UNAVAILABLE_TWICE = [503, 503, 200]
PAGES = {
    "/customary": Page("customary", {"customary": (2, 2)}, TWO),
    "/epoch": Page("epoch", {"epoch": (2, 2)}, TWO),
    "/draft": Page("draft", {"draft": (2, 2)}, TWO),
    "/both": Page(BOTH, {"both": (2, 2)}, TWO),
    "/problems": Page(BOTH, {"problems": (2, 2)}, TWO),
    "/several": Page(BOTH, {"several": (2, 2), "several{2}": (3, 4)}, [200, 200, 429, 200, 429, 200]),
    "/named": Page(BOTH, {NAMED: (2, 2)}, TWO),
    "/bucket": Page("draft", {"bucket": (2, 4)}, TWO),
    # The second denial is a ban.
    "/ban": Page(BOTH, {"ban": (1, 2)}, [200, 429, 429, 200]),
    "/costly": Page(BOTH, {"costly": (5, 2)}, [429, 429]),
    "/unavailable": Page(BOTH, {"unavailable": (2, 2)}, [503, 503]),
    "/recovering": Page(BOTH, {"recovering": (2, 2)}, UNAVAILABLE_TWICE),
}


def look(path, answer):
    """All that has to be right in the fields of an answer of this page."""
    page = PAGES[path]
    fields.look(answer, page.policies, page.dialects)
    wait = answer.number("Retry-After")
    # A request that costs more than its limit never passes.
    is_waited_for = answer.is_denial and path != "/costly"
    assert (wait is not None) == is_waited_for, f"Retry-After: {wait} with {answer.status}"
