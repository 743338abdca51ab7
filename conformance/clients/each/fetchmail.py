"""fetchmail: fetches by IMAP, hands over to a program or by LMTP."""

import os
import signal
import subprocess

from kit import samples
from kit.samples import utf7
from kit.steps import Client, expect, same, step


class Fetchmail(Client):
    name = "fetchmail"
    binary = "fetchmail"
    package = "fetchmail"
    # It calls running as root discouraged, and that is not what is tested.
    unprivileged = "nobody"

    def config(self, how, tls="plain", folder="INBOX"):
        """A configuration whose user entry ends with `how`."""
        port = self.target.imaps[1] if tls == "tls" else self.target.imap[1]
        trust = f"sslcertck sslcertfile {self.target.authority}" if self.target.authority else ""
        protection = {"plain": "sslproto ''", "tls": f"ssl {trust}",
                      "starttls": f"sslproto 'auto' {trust}"}[tls]
        self.write("mda", f"#!/bin/sh\nexec cat >> {self.home}/got\n", 0o700)
        return self.write("config", f"""
set no bouncemail
set no syslog
set idfile "{self.home}/ids"
set pidfile "{self.home}/pid"
poll {self.target.tls_name} protocol imap port {port} timeout 30
    auth password
    user "{self.user}" password "{self.password}" folder "{folder}" {protection} {how}
""")

    def fetch(self, how, *options, codes=(0,), **more):
        config = self.config(how, **more)
        return self.command("fetchmail", "-f", config, "--nodetach", *options, codes=codes)

    def taken(self):
        """What the delivery program got since the last look."""
        path = self.home / "got"
        data = path.read_bytes() if path.exists() else b""
        path.unlink(missing_ok=True)
        return data

    def expect_taken(self, *messages):
        got = self.taken()
        for message in messages:
            body = message.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
            expect(samples.subject(message).encode() in got and body in got,
                   f"{samples.subject(message)!r} did not come whole:\n{got[:2000]!r}")

    @step("--check counts without fetching (exit code 0)")
    def checks(self):
        self.deliver(*samples.delivered())
        said = self.fetch("mda '/bin/false'", "--check")
        expect("8 messages" in said, said)

    @step("fetches all over TLS and keeps them; then there is nothing new (exit code 1)")
    def keeps(self):
        expect(self.target.imaps is not None, "no port of IMAP with TLS was given")
        how = f"mda '{self.home}/mda' keep"
        said = self.fetch(how, tls="tls")
        expect("8 messages" in said, said)
        self.expect_taken(*samples.delivered())
        same(8, len(self.bodies("INBOX")), "kept on the server")
        expect(all("\\Seen" in flags for flags in self.flags("INBOX").values()), "not all \\Seen")
        self.fetch(how, codes=(1,))
        same(b"", self.taken(), "fetched again")

    @step("fetches all again over STARTTLS and deletes them")
    def flushes(self):
        self.fetch(f"mda '{self.home}/mda' fetchall no keep", tls="starttls")
        self.expect_taken(*samples.delivered())
        same([], self.bodies("INBOX"), "left on the server")

    @step("fetches from a folder with a non-ASCII name")
    def folder(self):
        self.append(utf7(samples.GREEK), samples.forwarded())
        self.fetch(f"mda '{self.home}/mda' no keep", folder=utf7(samples.GREEK).decode())
        self.expect_taken(samples.forwarded())
        same([], self.bodies(utf7(samples.GREEK)), "left on the server")

    @step("fetches from one folder and delivers by LMTP")
    def lmtp(self):
        if isinstance(self.target.lmtp, str):
            host = self.target.lmtp
        else:
            host = f"{self.target.lmtp[0]}/{self.target.lmtp[1]}"
        self.append("Queue", *samples.delivered())
        self.fetch(f"is '{self.user}' here lmtp smtphost '{host}' smtpname '{self.user}' no keep",
                   folder="Queue")
        same([], self.bodies("Queue"), "left in the folder")
        bodies = self.bodies("INBOX")
        same(len(samples.delivered()), len(bodies), "delivered")
        for wanted, got in zip(samples.delivered(), bodies):
            body = wanted.partition(b"\r\n\r\n")[2]
            expect(got.endswith(b"\r\n\r\n" + body) or got.endswith(body),
                   f"{samples.subject(wanted)!r} came otherwise")

    @step("--idle: takes what is delivered while it waits, and ends on SIGTERM")
    def idles(self):
        self.taken()
        config = self.config(f"mda '{self.home}/mda' fetchall no keep idle")
        options = {"user": self.unprivileged} if os.geteuid() == 0 else {}
        process = subprocess.Popen(
            ["fetchmail", "-f", str(config), "--nodetach", "-v"], cwd=self.home,
            env=self.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        try:
            self.wait("INBOX is empty", lambda: not self.bodies("INBOX"))
            self.taken()
            for n in (1, 2):
                message = samples.message(f"while idle {n}")
                self.deliver(message)
                self.wait(f"message {n} is fetched", lambda: (self.home / "got").exists())
                self.wait("INBOX is empty", lambda: not self.bodies("INBOX"))
                self.expect_taken(message)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                said = process.communicate(timeout=20)[0].decode(errors="replace")
            except subprocess.TimeoutExpired:
                process.kill()
                said = process.communicate()[0].decode(errors="replace")
        expect("IDLE" in said, f"it never sent IDLE\n{said}")
