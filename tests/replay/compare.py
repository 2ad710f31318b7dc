"""Replays a log with `rateguard`, and with a simple model that shares no code with it. Prints the speed and the memory.

usage: compare.py RATEGUARD LOG LIMIT SECONDS
"""

import calendar
import json
import re
import resource
import subprocess
import sys
import time
from collections import defaultdict, deque

LINE = re.compile(rb'(\S+) \S+ \S+ \[(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) \+0000\] "')
MONTHS = {name.encode(): number for number, name in enumerate(calendar.month_abbr) if name}


def model(path, limit, window):
    """Returns the numbers of requests, denied requests, keys, denied keys, and the highest use of a key."""
    admitted, recent, peaks = defaultdict(deque), defaultdict(deque), defaultdict(int)
    denied_keys, requests, denied, highest = set(), 0, 0, 0
    with open(path, "rb") as log:
        for line in log:
            ip, day, month, year, hour, minute, second = LINE.match(line).groups()
            now = calendar.timegm((int(year), MONTHS[month], int(day), int(hour), int(minute), int(second)))
            requests += 1
            times = admitted[ip]
            while times and times[0] + window <= now:
                times.popleft()
            if len(times) < limit:
                times.append(now)
            else:
                denied += 1
                denied_keys.add(ip)
            times = recent[ip]
            while times and times[0] + window <= now:
                times.popleft()
            times.append(now)
            peaks[ip] = max(peaks[ip], len(times))
    values = sorted(peaks.values())
    percentiles = [values[-(-len(values) * percent // 100) - 1] for percent in (50, 90, 99, 100)]
    return [requests, denied, len(peaks), len(denied_keys), percentiles]


def main(program, path, limit, seconds):
    arguments = [program, "replay", "--rate", f"{limit}/{seconds}s", "--key", "ip", "--json", path]
    start = time.monotonic()
    output = subprocess.run(arguments, check=True, capture_output=True).stdout
    elapsed = time.monotonic() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    result = json.loads(output)
    percentiles = [result["percentiles"][0][name] for name in ("p50", "p90", "p99", "max")]
    found = [result[name] for name in ("requests", "denied", "keys", "keys_denied")] + [percentiles]
    print(f"{result['requests'] / elapsed:,.0f} lines/s, at most {memory:,.0f} MB for {result['keys']:,} keys")
    expected = model(path, limit, seconds)
    names = "requests, denied, keys, denied keys, percentiles"
    if found != expected:
        sys.exit(f"expected {names} {expected}, found {found}")
    print(f"equal to the model: {names} {found}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
