"""How Python's email package takes messages apart, for tests/mail/second_opinion.rs.

Input: messages, each with its length before it as 4 bytes, big end first. Output: a line for each message, its nodes with a
space between, parents before children. A node is DEPTH:TYPE for one that holds others, DEPTH:TYPE:OCTETS:CRC32 for a leaf.
"""

import email
import struct
import sys
import zlib


def nodes(message, depth, out):
    kind = message.get_content_type().replace(" ", "_").replace(":", "_")
    # Not get_payload(): it decodes.
    payload = message._payload
    if isinstance(payload, list):
        out.append(f"{depth}:{kind}")
        for part in payload:
            nodes(part, depth + 1, out)
    else:
        body = (payload or "").encode("ascii", "surrogateescape")
        out.append(f"{depth}:{kind}:{len(body)}:{zlib.crc32(body)}")


def main():
    sys.setrecursionlimit(5000)
    while length := sys.stdin.buffer.read(4):
        message = sys.stdin.buffer.read(struct.unpack(">I", length)[0])
        out = []
        nodes(email.message_from_bytes(message), 0, out)
        print(" ".join(out).encode("ascii", "backslashreplace").decode("ascii"))


main()
