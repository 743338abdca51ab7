"""IMAP and LMTP over raw sockets: what is sent is exactly what the caller wrote.

Nothing here repairs, retries or hides: a server's answer is kept as bytes, and whatever
does not fit the grammar raises `WireError` with the text that did not fit.
"""

import re
import socket
import ssl
import threading

RECV_BYTES = 1 << 18
LITERAL_AT_END = re.compile(rb"\{(\d+)\+?\}\r\n\Z")


class WireError(Exception):
    """The peer said something unexpected, or nothing at all."""


def connect(where, timeout=60, context=None, name="localhost"):
    """A connected socket to `(host, port)` or to the path of a Unix socket."""
    if isinstance(where, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(where)
    else:
        sock = socket.create_connection(where, timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        sock = context.wrap_socket(sock, server_hostname=name)
    return sock


def tls_context(authority=None):
    """A client's TLS context that trusts the certificates of the file `authority` alone."""
    if authority:
        return ssl.create_default_context(cafile=authority)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Stream:
    """A buffered socket with lines and counted octets."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.at = 0

    def _fill(self):
        if self.at and self.at >= len(self.buffer) // 2:
            del self.buffer[:self.at]
            self.at = 0
        data = self.sock.recv(RECV_BYTES)
        if not data:
            raise WireError("connection closed by the server")
        self.buffer += data

    def line(self):
        """One line, its CRLF included."""
        start = self.at
        while True:
            end = self.buffer.find(b"\n", start)
            if end >= 0:
                out = bytes(self.buffer[self.at:end + 1])
                self.at = end + 1
                return out
            start_offset = len(self.buffer) - self.at
            self._fill()
            start = self.at + start_offset

    def octets(self, count):
        """Exactly `count` octets."""
        while len(self.buffer) - self.at < count:
            self._fill()
        out = bytes(self.buffer[self.at:self.at + count])
        self.at += count
        return out

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Text(bytes):
    """A string (quoted or literal) in an answer, as opposed to an atom."""


def response_parts(stream):
    """One response: its text pieces and the literals between them, in turn."""
    parts = []
    while True:
        line = stream.line()
        parts.append(line)
        found = LITERAL_AT_END.search(line)
        if not found:
            return parts
        parts.append(stream.octets(int(found[1])))


class Parser:
    """Reads values (atoms, numbers, strings, NIL, lists) out of the parts of a response."""

    ATOM_END = b" ()\r\n\""

    def __init__(self, parts):
        self.parts = parts
        self.part = 0
        self.text = parts[0]
        self.at = 0

    def fail(self, what):
        around = self.text[max(0, self.at - 40):self.at + 60]
        raise WireError(f"{what} at {around!r}")

    def peek(self):
        return self.text[self.at:self.at + 1]

    def spaces(self):
        while self.peek() == b" ":
            self.at += 1

    def literal(self):
        self.part += 2
        value = self.parts[self.part - 1]
        self.text = self.parts[self.part]
        self.at = 0
        return Text(value)

    def quoted(self):
        self.at += 1
        out = bytearray()
        while True:
            c = self.peek()
            if c in (b"", b"\r", b"\n"):
                self.fail("a quoted string without an end")
            self.at += 1
            if c == b'"':
                return Text(out)
            if c == b"\\":
                c = self.peek()
                if c not in (b'"', b"\\"):
                    self.fail("a backslash before a character that needs none")
                self.at += 1
            out += c

    def atom(self):
        start = self.at
        depth = 0
        while self.at < len(self.text):
            c = self.text[self.at:self.at + 1]
            if c in (b"\r", b"\n"):
                break
            if c == b"[":
                depth += 1
            elif c == b"]" and depth:
                depth -= 1
            elif not depth and c in self.ATOM_END:
                break
            self.at += 1
        if start == self.at:
            self.fail("no value")
        atom = self.text[start:self.at]
        return None if atom.upper() == b"NIL" else atom

    def value(self):
        c = self.peek()
        if c == b"(":
            return self.list()
        if c == b'"':
            return self.quoted()
        if c == b"{":
            return self.literal()
        return self.atom()

    def list(self):
        self.at += 1
        out = []
        while True:
            self.spaces()
            c = self.peek()
            if c == b")":
                self.at += 1
                return out
            if c in (b"", b"\r", b"\n"):
                self.fail("a list without an end")
            out.append(self.value())

    def rest(self):
        """All values up to the end of the response."""
        out = []
        while True:
            self.spaces()
            if self.peek() in (b"", b"\r", b"\n"):
                return out
            out.append(self.value())


def parse(parts):
    """The values of an untagged response, without its `*`."""
    parser = Parser(parts)
    if not parser.text.startswith(b"* "):
        raise WireError(f"not an untagged response: {parser.text[:80]!r}")
    parser.at = 2
    return parser.rest()


def pairs(items):
    """A FETCH list as a dict: upper-case name -> value."""
    if len(items) % 2:
        raise WireError(f"an odd number of values in {items!r}"[:200])
    return {items[i].upper(): items[i + 1] for i in range(0, len(items), 2)}


class Reply:
    """What one command got: its untagged responses (as parts) and its tagged line."""

    def __init__(self, untagged, tagged):
        self.untagged = untagged
        self.tagged = tagged

    @property
    def status(self):
        return self.tagged.split(b" ", 2)[1].upper()

    @property
    def ok(self):
        return self.status == b"OK"

    def fetches(self):
        """`(sequence number, {item: value})` of every FETCH in the answer."""
        out = []
        for parts in self.untagged:
            if re.match(rb"\* \d+ FETCH ", parts[0], re.I):
                values = parse(parts)
                out.append((int(values[0]), pairs(values[2])))
        return out

    def lines(self, word):
        """The untagged responses that begin with `word` (or with a number and `word`)."""
        wanted = re.compile(rb"\* (?:\d+ )?" + re.escape(word) + rb"\b", re.I)
        return [parts for parts in self.untagged if wanted.match(parts[0])]

    def text(self):
        return b"".join(b"".join(parts) for parts in self.untagged) + self.tagged


def quote(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class Imap(Stream):
    """An IMAP connection."""

    def __init__(self, where, user=None, password=None, timeout=60, context=None):
        super().__init__(connect(where, timeout, context))
        self.serial = 0
        self.greeting = self.line()
        if user is not None:
            self.must(b"LOGIN " + quote(user) + b" " + quote(password))

    def tag(self):
        self.serial += 1
        return b"t%d" % self.serial

    def finish(self, tag):
        """Reads up to the tagged line of `tag`."""
        untagged = []
        while True:
            parts = response_parts(self)
            if parts[0].startswith(b"* ") or parts[0].startswith(b"+ "):
                if parts[0].upper().startswith(b"* BYE") and tag is not None:
                    untagged.append(parts)
                    continue
                untagged.append(parts)
            elif tag is None or parts[0].startswith(tag + b" "):
                return Reply(untagged, parts[0])
            else:
                raise WireError(f"waiting for {tag!r}, got {parts[0][:200]!r}")

    def run(self, command):
        """Sends one command line (no literals) and returns its `Reply`, OK or not."""
        tag = self.tag()
        self.send(tag + b" " + command + b"\r\n")
        return self.finish(tag)

    def must(self, command):
        """`run`, and WireError unless OK."""
        reply = self.run(command)
        if not reply.ok:
            raise WireError(f"{command[:80]!r}: {reply.tagged!r}")
        return reply

    def wait_continue(self):
        while True:
            line = self.line()
            if line.startswith(b"+"):
                return
            if not line.startswith(b"* "):
                raise WireError(f"no continuation: {line!r}")

    def append(self, box, message, options=b""):
        """APPEND by a synchronising literal; the Reply, or the refusal of the literal."""
        tag = self.tag()
        self.send(tag + b" APPEND " + quote(box) + b" " + options + b"{%d}\r\n" % len(message))
        untagged = []
        while True:
            line = self.line()
            if line.startswith(b"+"):
                break
            if line.startswith(tag):
                return Reply(untagged, line)
            untagged.append([line])
        self.send(message + b"\r\n")
        return self.finish(tag)

    def select(self, box, word=b"SELECT"):
        """SELECT; the number of messages."""
        reply = self.must(word + b" " + quote(box))
        found = [parts for parts in reply.lines(b"EXISTS")]
        if not found:
            raise WireError("no EXISTS in the answer to SELECT")
        return int(found[-1][0].split()[1])

    def uids(self):
        """The UIDs of the selected mailbox, ascending."""
        return sorted(int(items[b"UID"])
                      for _, items in self.must(b"UID FETCH 1:* (UID)").fetches())

    def body(self, uid, section=b""):
        """The octets of one section of one message."""
        reply = self.must(b"UID FETCH %d (UID BODY.PEEK[%s])" % (uid, section))
        for _, items in reply.fetches():
            if items.get(b"UID") == b"%d" % uid:
                return bytes(items[b"BODY[" + section.upper() + b"]"])
        raise WireError(f"UID {uid} was not fetched")

    def body_part(self, uid, offset, count):
        """The octets of BODY[]<offset.count>."""
        reply = self.must(b"UID FETCH %d (UID BODY.PEEK[]<%d.%d>)" % (uid, offset, count))
        for _, items in reply.fetches():
            if b"BODY[]<%d>" % offset in items:
                return bytes(items[b"BODY[]<%d>" % offset])
        raise WireError(f"BODY[]<{offset}> of UID {uid} was not fetched")

    def pipeline(self, commands, window=2000):
        """Sends many commands without waiting, and yields a Reply for each, in order.

        A thread of its own sends, so that a server that stops reading while its answers
        wait (as it should) does not stop us. `window` bounds what is under way.
        """
        commands = list(commands)
        room = threading.Semaphore(window)
        tags = [self.tag() for _ in commands]
        trouble = []

        def sender():
            try:
                pending = bytearray()
                for tag, command in zip(tags, commands):
                    if not room.acquire(blocking=False):
                        self.send(pending)
                        pending.clear()
                        room.acquire()
                    pending += tag + b" " + command + b"\r\n"
                    if len(pending) > 1 << 16:
                        self.send(pending)
                        pending.clear()
                self.send(pending)
            except OSError as error:
                trouble.append(error)

        thread = threading.Thread(target=sender, daemon=True)
        thread.start()
        for tag in tags:
            try:
                yield self.finish(tag)
            except OSError as error:
                raise WireError(f"{error} (sender: {trouble})") from error
            room.release()
        thread.join()

    def logout(self):
        try:
            self.run(b"LOGOUT")
        except (WireError, OSError):
            pass
        self.close()


def dot_stuffed(message):
    """The message as DATA carries it, and what a server has then been given.

    Only CRLF begins a line. A message that does not end with CRLF gets one: DATA can't
    carry it otherwise.
    """
    given = message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    wire = given.replace(b"\r\n.", b"\r\n..")
    if wire.startswith(b"."):
        wire = b"." + wire
    return wire + b".\r\n", given


class Lmtp(Stream):
    """An LMTP connection."""

    def __init__(self, where, timeout=120):
        super().__init__(connect(where, timeout))
        self.expect(b"220")
        self.send(b"LHLO client.example.test\r\n")
        self.features = [line[4:].strip().upper() for line in self.expect(b"250").splitlines()]

    def reply(self):
        """One reply, all its lines."""
        text = b""
        while True:
            line = self.line()
            text += line
            if line[3:4] != b"-":
                return text

    def expect(self, code):
        reply = self.reply()
        if not reply.startswith(code):
            raise WireError(f"LMTP said {reply!r} where {code!r} was due")
        return reply

    def envelope(self, sender, recipients, options=b""):
        """MAIL and RCPTs, pipelined."""
        data = b"MAIL FROM:<" + sender + b">" + options + b"\r\n"
        for recipient in recipients:
            data += b"RCPT TO:<" + recipient.encode() + b">\r\n"
        self.send(data)
        self.expect(b"250")
        for _ in recipients:
            self.expect(b"250")

    def data(self, sender, recipients, message):
        """Delivers by DATA; the replies, one a recipient."""
        self.envelope(sender, recipients)
        self.send(b"DATA\r\n")
        self.expect(b"354")
        self.send(dot_stuffed(message)[0])
        return [self.reply() for _ in recipients]

    def bdat(self, sender, recipients, message, chunk=None, options=b""):
        """Delivers by BDAT, in chunks of `chunk` octets; the replies, one a recipient."""
        self.envelope(sender, recipients, options)
        chunk = chunk or max(len(message), 1)
        pieces = [message[i:i + chunk] for i in range(0, len(message), chunk)] or [b""]
        for piece in pieces[:-1]:
            self.send(b"BDAT %d\r\n" % len(piece) + piece)
            self.expect(b"250")
        self.send(b"BDAT %d LAST\r\n" % len(pieces[-1]) + pieces[-1])
        return [self.reply() for _ in recipients]

    def quit(self):
        self.send(b"QUIT\r\n")
        self.expect(b"221")
        self.close()
