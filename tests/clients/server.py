"""The server that answers, one request at a time, and what is told of it in the end."""

import dataclasses
import http.client
import itertools
import subprocess
import time


@dataclasses.dataclass
class StoreFuture:
    status: int
    headers: object  # a mapping that knows names in any case
    body: bytes
    at: float  # when it was there

    @property
    def is_denial(self):
        return self.status in (429, 503)

    def number(self, name):
        """A field that is an integer, or None."""
        value = self.headers.get(name)
        if value is None:
            return None
        assert value.isascii() and value.isdigit(), f"{name}: {value}"
        return int(value)


class Server:
    """Ends with the program: its standard input is a pipe from here."""

    def __init__(self, binary, origin):
        self.process = subprocess.Popen([binary, origin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.numbers = itertools.count(1)

    def new_client(self):
        """The fields of a client that has sent nothing yet."""
        return {"X-Client": f"client-{next(self.numbers)}"}

    def get(self, path, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        answer = StoreFuture(response.status, response.headers, response.read(), time.monotonic())
        connection.close()
        return answer

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


class Report:
    """A line for each check."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, function, *arguments):
        """What the function returns is told behind the name; a check fails if it raises."""
        try:
            seen = function(*arguments)
        except Exception as error:  # whatever a client makes of an answer is a finding
            self.failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
        else:
            self.passed += 1
            print(f"ok      {name}: {seen}", flush=True)
