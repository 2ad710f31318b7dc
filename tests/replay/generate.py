"""Writes an access log in the combined format, with a few busy clients and many others.

usage: generate.py FILE LINES
"""

import random
import sys
import time

START = 1_714_564_800  # 2024-05-01T12:00:00Z
CLIENTS = 200_000
LINES_PER_SECOND = 500


def address(number):
    if number % 10 == 0:
        return f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def main(path, lines):
    generator = random.Random(7)
    addresses = [address(number) for number in range(CLIENTS)]
    with open(path, "w", encoding="ascii") as log:
        for first in range(0, lines, LINES_PER_SECOND):
            now = time.gmtime(START + first // LINES_PER_SECOND)
            middle = time.strftime(' - - [%d/%b/%Y:%H:%M:%S +0000] "GET /items/', now)
            batch = []
            for number in range(first, min(first + LINES_PER_SECOND, lines)):
                # The logarithm of the index is uniform, so client 0 sends every 18th request.
                client = addresses[int(CLIENTS ** generator.random()) - 1]
                batch.append(f'{client}{middle}{number % 1000} HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11; Linux x86_64)"\n')
            log.write("".join(batch))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
