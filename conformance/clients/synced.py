#!/usr/bin/env python3
"""Shows that a sync lies between the last write of a commit and each 250: the server runs under strace while one client
delivers; at the moment when `250 2.0.0 <…>` is written to it, everything that was written to SQLite's log since
the delivery before must have been synced, and something must have been written.

    synced.py BINARY [--count 200]
"""

import argparse
import pathlib
import re
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from kit import servers, wire

CALLS = "pwrite64,pwritev,write,writev,sendto,sendmsg,fdatasync,fsync"
LINE = re.compile(r"^(\d+)\s+(?:(\w+)\((.*)|<\.\.\. (\w+) resumed>(.*))$")


def judge(lines):
    """The replies that came with all written and synced, and what is wrong with the others."""
    step = written = synced = told = good = 0
    open_sync = {}
    wrong = []
    for line in lines:
        found = LINE.match(line)
        if not found:
            continue
        step += 1
        thread, call, rest, resumed, ending = found.groups()
        if call in ("pwrite64", "pwritev") and "-wal>" in rest:
            # Not safe from the moment on when it begins.
            written = step
        elif call in ("fdatasync", "fsync") and "-wal>" in rest:
            # Makes safe what was written before it began, once it has ended well.
            if rest.rstrip().endswith("= 0"):
                synced = max(synced, step)
            else:
                open_sync[thread] = step
        elif resumed in ("fdatasync", "fsync") and thread in open_sync:
            began = open_sync.pop(thread)
            if ending.rstrip().endswith("= 0"):
                synced = max(synced, began)
        elif call in ("write", "writev", "sendto", "sendmsg") and "250 2.0.0 <" in rest:
            if written <= told:
                wrong.append(f"nothing was written before: {line[:120]}")
            elif synced < written:
                wrong.append(f"written and not synced before: {line[:120]}")
            else:
                good += 1
            told = step
    return good, wrong


def known_answers():
    """The judge itself can fail: traces that it must take and must not take."""
    write = '7 pwrite64(9</d/mail.db-wal>, "x"..., 4) = 4'
    sync = "7 fdatasync(9</d/mail.db-wal>) = 0"
    begun, ended = "7 fdatasync(9</d/mail.db-wal> <unfinished ...>", "7 <... fdatasync resumed>) = 0"
    reply = '8 sendto(3<socket:[1]>, "250 2.0.0 <a> Delivered"..., 4) = 4'
    assert judge([write, sync, reply]) == (1, [])
    assert judge([write, begun, ended, reply]) == (1, [])
    for unsafe in ([write, reply, sync], [sync, write, reply], [write, begun, reply, ended],
                   [begun, write, ended, reply], [reply]):
        assert judge(unsafe)[0] == 0, unsafe


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    known_answers()
    with servers.Dbmail(options.binary) as server:
        trace = server.folder / "trace"
        tracer = subprocess.Popen(
            ["strace", "-f", "-y", "-s", "80", "-e", f"trace={CALLS}", "-o", str(trace),
             "-p", str(server.process.pid)], stderr=subprocess.DEVNULL)
        time.sleep(2)
        client = wire.Lmtp(("127.0.0.1", server.lmtp), timeout=60)
        recipient = server.users[0][0]
        for number in range(options.count):
            # Some are staged: over 256 KiB.
            size = 400_000 if number % 20 == 0 else 3_000
            body = b"0123456789abcdef" * (size // 18) + b"\r\n"
            message = b"Received: from here; %d\r\nSubject: %d\r\n\r\n%s" % (number, number, body)
            client.envelope(b"sync@example.org", [recipient])
            client.send(b"DATA\r\n")
            client.expect(b"354")
            client.send(wire.dot_stuffed(message)[0])
            client.expect(b"250")
        client.quit()
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        good, wrong = judge(trace.read_text(errors="replace").splitlines())
    for what in wrong[:10]:
        print(f"FAIL {what}")
    missing = options.count - good - len(wrong)
    if missing:
        print(f"FAIL {missing} replies were not seen in the trace")
    print(f"{good} passed, {len(wrong) + missing} failed")
    return 0 if good == options.count else 1


if __name__ == "__main__":
    sys.exit(main())
