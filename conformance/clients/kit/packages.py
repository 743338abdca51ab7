"""Debian packages, installed where a program was asked to."""

import os
import subprocess

# Somebody else may be installing: wait for the lock so long.
APT = ["apt-get", "-o", "DPkg::Lock::Timeout=600", "-qq"]
DOVECOT = ("dovecot-imapd", "dovecot-lmtpd")


def install(*packages):
    """Installs these by apt-get (as root)."""
    if not packages:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*APT, "update"], check=True)
    subprocess.run([*APT, "install", "-y", "--no-install-recommends", *packages],
                   check=True, env=environment, stdout=subprocess.DEVNULL)
