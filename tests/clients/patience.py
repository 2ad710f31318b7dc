"""urllib3 with its own `Retry`: is it as patient as it has to be, and no more?"""

import time

import urllib3
from urllib3.connection import HTTPConnection

from server import StoreFuture

# A machine may be slow, but not by more than this; none may be early.
SLOWNESS = 5


class Pool(urllib3.HTTPConnectionPool):
    """Notes what is sent and answered, beside what urllib3 does by itself."""

    def __init__(self, port, look):
        super().__init__("127.0.0.1", port, timeout=10)
        self.sent = sent = []
        self.answers = answers = []

        class Connection(HTTPConnection):
            def request(self, *arguments, **options):
                sent.append(time.monotonic())
                super().request(*arguments, **options)

            def getresponse(self):
                response = super().getresponse()
                answers.append(StoreFuture(response.status, response.headers, b"", time.monotonic()))
                look(answers[-1])
                return response

        self.ConnectionCls = Connection


def is_patient(pool, path, client, before, expected, retries):
    """Sends so many requests that are simply answered, and one that has to be sent until these are its statuses."""
    for status in before:
        answer = pool.request("GET", path, headers=client, retries=False)
        assert answer.status == status, f"{answer.status} instead of {status}"
    del pool.sent[:], pool.answers[:]
    answer = pool.request("GET", path, headers=client, retries=retries)

    statuses = [answer.status for answer in pool.answers]
    assert statuses == expected and answer.status == expected[-1], f"{statuses} instead of {expected}"
    waits = []
    for denial, sent_again in zip(pool.answers, pool.sent[1:]):
        told, waited = denial.number("Retry-After"), sent_again - denial.at
        assert told <= waited <= told + SLOWNESS, f"sent again after {waited:.3f} s, when told {told}"
        waits.append(f"told {told} s and waited {waited:.3f} s")
    return ", ".join([f"{len(statuses)} sent {statuses}", *waits])
