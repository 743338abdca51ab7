"""A client is a class with steps: methods that raise `Failure` when the client, or the server
seen by an independent session afterwards, did not do what the step's name says."""

import os
import pathlib
import re
import shutil
import subprocess
import time

from . import samples, wire

# Words that a client says when something is wrong. A step fails when one stands in its output,
# whatever the exit code.
TROUBLE = re.compile(
    r"\b(errors?|warnings?|warn|fail(?:s|ed|ure)?|can(?:'|no)?t|unknown|unexpected|invalid|denied"
    r"|refused|refusing|abort(?:ed|ing)?|traceback|exception|fatal|bug|missing|illegal|garbage"
    r"|disconnect(?:ed)?|mismatch|timeout|timed out)\b", re.I)
COMMAND_SECONDS = 90


class Failure(Exception):
    """What went wrong, with the transcript that shows it."""


def step(title):
    """Marks a method as a step with this title."""
    def mark(method):
        method.step = title
        return method
    return mark


def expect(true, text):
    if not true:
        raise Failure(text)


class Client:
    """The common ground of the clients: folders, commands, and a second look by raw sockets."""

    name = ""
    binary = None
    package = None
    # A client whose output quotes mail or settings may say these harmlessly.
    harmless = ()
    # Commands are run as this user when the script runs as root (some clients refuse root).
    unprivileged = None

    def __init__(self, target, user, work):
        self.target = target
        self.user, self.password = user
        self.home = pathlib.Path(work) / self.name
        self.home.mkdir(parents=True)
        if self.unprivileged and os.geteuid() == 0:
            shutil.chown(self.home, self.unprivileged)
        self.prepare()

    def prepare(self):
        """Before the first step."""

    @classmethod
    def steps(cls):
        return [m for m in vars(cls).values() if hasattr(m, "step")]

    @classmethod
    def present(cls):
        return cls.binary is None or shutil.which(cls.binary) is not None

    def write(self, name, text, mode=0o600):
        """A file in the client's home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text)
        path.chmod(mode)
        if self.unprivileged and os.geteuid() == 0:
            shutil.chown(path, self.unprivileged)
        return path

    def environment(self):
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
                "TERM": "xterm", "USER": "tester", "LOGNAME": "tester"}

    def command(self, *argv, codes=(0,), seconds=COMMAND_SECONDS, stdin=None, raw=False):
        """Runs the client; its output (bytes when `raw`, then only stderr is judged)."""
        options = {}
        if self.unprivileged and os.geteuid() == 0:
            options["user"] = self.unprivileged
        process = subprocess.Popen(
            [str(a) for a in argv], cwd=self.home, env=self.environment(),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Failure(f"{argv[0]} did not end within {seconds} s\n"
                          + (out + err).decode(errors="replace")) from None
        errors = err.decode(errors="replace")
        output = out.decode(errors="replace")
        shown = "$ " + " ".join(map(str, argv)) + "\n" + ("" if raw else output) + errors
        expect(process.returncode in codes, f"exit code {process.returncode}\n{shown}")
        self.judge(errors if raw else output + errors, shown)
        return out if raw else output + errors

    def judge(self, text, shown=None):
        """Fails on any line that speaks of trouble."""
        for line in text.splitlines():
            rest = line
            for pattern in self.harmless:
                rest = re.sub(pattern, "", rest)
            expect(not TROUBLE.search(rest), f"said: {line.strip()}\n{shown or text}")

    # --- the second look -------------------------------------------------------------------

    def session(self, box=None):
        """A raw session of the client's user."""
        imap = wire.Imap(self.target.imap, self.user, self.password)
        if box is not None:
            imap.select(box)
        return imap

    def deliver(self, *messages):
        """Delivers by raw LMTP."""
        lmtp = wire.Lmtp(self.target.lmtp)
        for message in messages:
            for reply in lmtp.data(samples.sender().encode(), [self.user], message):
                expect(reply.startswith(b"250"), f"LMTP: {reply!r}")
        lmtp.quit()

    def append(self, box, *messages, flags=b""):
        """Appends by a raw session; the box is made when it is not there."""
        with self.session() as imap:
            imap.run(b"CREATE " + wire.quote(box))
            for message in messages:
                reply = imap.append(box, message, b"(" + flags + b") ")
                expect(reply.ok, f"APPEND: {reply.tagged!r}")

    def content(self, box):
        """`[(body, flags)]` of a mailbox in order, \\Recent left out."""
        with self.session() as imap:
            if not imap.select(box, b"EXAMINE"):
                return []
            out = []
            for _, items in imap.must(b"FETCH 1:* (FLAGS BODY.PEEK[])").fetches():
                if b"BODY[]" not in items:
                    # Another session's change of flags, told in between.
                    continue
                flags = sorted(f for f in items[b"FLAGS"] if f.upper() != b"\\RECENT")
                out.append((bytes(items[b"BODY[]"]), flags))
            imap.logout()
            return out

    def bodies(self, box):
        return [body for body, _ in self.content(box)]

    def subjects(self, box):
        return [samples.subject(body) for body in self.bodies(box)]

    def flags(self, box):
        """`{subject: set of flags}`."""
        return {samples.subject(b): {f.decode() for f in flags} for b, flags in self.content(box)}

    def boxes(self, command=b"LIST"):
        """Names of all mailboxes (or of the subscribed), decoded."""
        with self.session() as imap:
            replies = imap.must(command + b' "" "*"').lines(command)
            return sorted(samples.from_utf7(bytes(wire.parse(parts)[3])) for parts in replies)

    def wait(self, text, true, seconds=20):
        """Waits until `true()`."""
        end = time.monotonic() + seconds
        while not true():
            expect(time.monotonic() < end, f"not within {seconds} s: {text}")
            time.sleep(0.1)


def trace_and(body, delivered):
    """Fails unless `body` is trace fields and then exactly what was delivered."""
    expect(body.endswith(delivered), "what is stored does not end with what was delivered\n"
           + difference(delivered, body[-len(delivered):]))
    prefix = body[:len(body) - len(delivered)]
    names = re.findall(rb"^([\x21-\x39\x3b-\x7e]+):", prefix, re.M)
    known = {b"return-path", b"delivered-to", b"received", b"x-original-to"}
    expect(prefix.endswith(b"\r\n") or not prefix, f"trace fields without an end: {prefix!r}")
    expect({n.lower() for n in names} <= known, f"not trace fields: {prefix!r}")


def difference(wanted, got):
    """The first place where two byte strings differ."""
    at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b),
              min(len(wanted), len(got)))
    return (f"lengths {len(wanted)} and {len(got)}, first difference at {at}:\n"
            f"  wanted {wanted[max(0, at - 30):at + 50]!r}\n  got    {got[max(0, at - 30):at + 50]!r}")


def same(wanted, got, what):
    expect(wanted == got, f"{what}: " + (
        difference(wanted, got) if isinstance(wanted, bytes) else f"wanted {wanted}\n got {got}"))
