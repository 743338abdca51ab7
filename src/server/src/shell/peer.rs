//! Who is at the other end of a connection.

use std::net::IpAddr;

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A program at this address.
    Address(IpAddr, u16),
    /// A program on this machine, by a Unix socket.
    Unix,
    /// This program itself.
    Inside,
}

impl Peer {
    /// Whether the peer is on this machine.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        match self {
            Self::Address(ip, _) => ip.to_canonical().is_loopback(),
            Self::Unix | Self::Inside => true,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(ip, port) => write!(f, "{}", std::net::SocketAddr::new(*ip, *port)),
            Self::Unix => f.write_str("unix socket"),
            Self::Inside => f.write_str("inside"),
        }
    }
}
