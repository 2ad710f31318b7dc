"""Writes periods.csv: the starts of calendar periods, from the time zones of Python instead of those of RateGuard.

Each line has a time zone, a unit, the first start, the number of periods, the last end, and a hash of all starts. Times
are in seconds since 1970. The end of the range is in the past, so that only a correction of the history of a zone
changes the file: run `python3 periods.py > periods.csv` then.
"""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

ZONES = [
    "UTC",
    "Africa/Casablanca",
    "America/Havana",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Casey",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Kwajalein",
]
STEP = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
# The fields of a local time that are equal at all times of a period.
UNITS = {
    "hour": lambda at: (at.year, at.month, at.day, at.hour),
    "day": lambda at: (at.year, at.month, at.day),
    "week": lambda at: at.isocalendar()[:2],
    "month": lambda at: (at.year, at.month),
    "year": lambda at: (at.year,),
}


def starts(zone, units, begin, end):
    """Returns the times at which the local clock shows each period for the first time."""
    latest = {unit: UNITS[unit](begin.astimezone(zone)) for unit in units}
    found = {unit: [] for unit in units}
    time = begin
    while time < end:
        before, time = time, time + STEP
        local = time.astimezone(zone)
        for unit in units:
            period = UNITS[unit](local)
            if period > latest[unit]:
                first = time
                if local.minute != 0 or local.hour != 0 and unit != "hour":
                    # The period did not start at a whole step, or its start was skipped.
                    first = before + SECOND
                    while UNITS[unit](first.astimezone(zone)) <= latest[unit]:
                        first += SECOND
                found[unit].append(int(first.timestamp()))
                latest[unit] = period
    return found


def utc(year):
    return datetime(year, 1, 2, tzinfo=timezone.utc)


for name in ZONES:
    found = starts(ZoneInfo(name), ["day", "week", "month", "year"], utc(1992), utc(2025))
    found |= starts(ZoneInfo(name), ["hour"], utc(2009), utc(2013))
    for unit, times in found.items():
        digest = 0
        for start in times[:-1]:
            digest = (digest * 31 + start) % 2**64
        print(f"{name},{unit},{times[0]},{len(times) - 1},{times[-1]},{digest}")
