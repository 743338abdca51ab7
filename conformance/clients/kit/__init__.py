"""What the black-box checks of this folder share: a raw IMAP and LMTP client, servers, steps."""
