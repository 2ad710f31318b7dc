"""A browser's `fetch`, from a page of another origin."""

import functools
import http.server
import json
import pathlib
import queue
import subprocess
import tempfile
import threading

import fields
from pages import PAGES

# From the start of the browser to the report of its page, which waits for about five seconds.
PATIENCE = 60


class Site(http.server.ThreadingHTTPServer):
    """Where the page comes from; it posts here what it has seen."""

    def __init__(self):
        folder = pathlib.Path(__file__).parent
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        self.reports = queue.Queue()
        self.origin = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers["Content-Length"])
        self.server.reports.put(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def seen_by(browser, site, api):
    """Opens the page in this browser and returns its report."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile("w+") as log:
        # The sandbox needs what containers lack, and the page is our own.
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        arguments += ["--disable-background-networking", "--no-proxy-server", f"--user-data-dir={profile}"]
        page = f"{site.origin}/page.html?api={api}"
        process = subprocess.Popen([browser, *arguments, page], stdout=log, stderr=log)
        try:
            return site.reports.get(timeout=PATIENCE)
        except queue.Empty:
            log.seek(0)
            raise AssertionError(f"no report within {PATIENCE} s; the browser says: {log.read()[-2000:]}") from None
        finally:
            process.terminate()
            process.wait(timeout=10)


def version(browser):
    return subprocess.run([browser, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def with_browser(program, site, server, check):
    """What a script of a page sees through CORS."""
    preflights = int(server.get("/preflights", {}).body)
    seen = {}

    def opened():
        seen.update(seen_by(program, site, f"http://127.0.0.1:{server.port}"))
        assert "error" not in seen, seen["error"]
        return ", ".join(seen)

    check("fetch", opened)
    preflights = int(server.get("/preflights", {}).body) - preflights
    check("fetch, simple", lambda: fetched(seen["simple"], "/both"))
    check("fetch, preflighted", lambda: fetched(seen["preflighted"], "/both"))
    check("fetch, preflights", counted, preflights)
    check("fetch, problem details", lambda: fetched_problem(seen["simple"][2], "both"))
    check("fetch, 503", lambda: fetched(seen["unavailable"], "/recovering"))


def fetched(seen, path):
    """A script reads the same fields, but for those that are not exposed, and what it is told to wait is enough."""
    statuses = [answer["status"] for answer in seen]
    assert statuses == PAGES[path].statuses, statuses
    for answer in seen:
        told = answer["fields"]
        assert told["Date"] is None, "Date is not exposed"
        assert (told["Retry-After"] is None) == (answer["status"] == 200), told
        if answer["status"] == 503:
            continue
        policies = fields.limits(told["RateLimit-Policy"], ["q", "w"])
        assert policies == PAGES[path].policies, policies
        ((remaining, _),) = fields.limits(told["RateLimit"], ["r", "t"]).values()
        assert remaining == int(told["X-RateLimit-Remaining"]), told
        assert int(told["X-RateLimit-Limit"]) == 2 and int(told["X-RateLimit-Reset"]) >= 1, told
    remaining = [answer["fields"]["X-RateLimit-Remaining"] for answer in seen]
    waits = [f"told {it['fields']['Retry-After']} s and waited {it['waited']:.3f} s" for it in seen if "waited" in it]
    return ", ".join([f"{statuses}", f"remaining {remaining}", *waits])


def fetched_problem(answer, policy):
    told = json.loads(answer["text"])
    assert told["status"] == answer["status"] and told["violated-policies"] == [policy], told
    return told["title"]


def counted(preflights):
    """As there were some, the numbers of the preflighted requests show that these take nothing."""
    assert preflights >= 1, "there was no preflight"
    return f"{preflights}, none of which took quota"
