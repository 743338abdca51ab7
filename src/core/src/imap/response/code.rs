//! Response codes.

use super::{flag_names, number};
use crate::store::{Keyword, ModSeq, SystemFlags, Uid, UidSet, UidValidity};

/// The code of a status response. RFC 3501 §7.1 unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Code<'a> {
    /// ALERT
    Alert,
    /// ALREADYEXISTS (RFC 5530)
    AlreadyExists,
    /// APPENDUID (RFC 4315)
    AppendUid(UidValidity, Uid),
    /// AUTHENTICATIONFAILED (RFC 5530)
    AuthenticationFailed,
    /// AUTHORIZATIONFAILED (RFC 5530)
    AuthorizationFailed,
    /// BADCHARSET, with those that are known.
    BadCharset(&'a [&'a str]),
    /// CANNOT (RFC 5530)
    Cannot,
    /// CAPABILITY
    Capability(&'a [&'a str]),
    /// CLIENTBUG (RFC 5530)
    ClientBug,
    /// CLOSED (RFC 7162)
    Closed,
    /// CONTACTADMIN (RFC 5530)
    ContactAdmin,
    /// COPYUID (RFC 4315). The sets have the same size, at least 1.
    CopyUid(UidValidity, &'a UidSet, &'a UidSet),
    /// CORRUPTION (RFC 5530)
    Corruption,
    /// EXPIRED (RFC 5530)
    Expired,
    /// EXPUNGEISSUED (RFC 5530)
    ExpungeIssued,
    /// HASCHILDREN (RFC 9051)
    HasChildren,
    /// HIGHESTMODSEQ (RFC 7162)
    HighestModSeq(ModSeq),
    /// INUSE (RFC 5530)
    InUse,
    /// LIMIT (RFC 5530)
    Limit,
    /// MODIFIED (RFC 7162), a set of numbers as text.
    Modified(&'a UidSet),
    /// NOMODSEQ (RFC 7162)
    NoModSeq,
    /// NONEXISTENT (RFC 5530)
    NonExistent,
    /// NOPERM (RFC 5530)
    NoPerm,
    /// OVERQUOTA (RFC 5530)
    OverQuota,
    /// PARSE
    Parse,
    /// PERMANENTFLAGS: the system flags, keywords, and whether `\*`: new keywords may be made.
    PermanentFlags(SystemFlags, &'a [Keyword], bool),
    /// PRIVACYREQUIRED (RFC 5530)
    PrivacyRequired,
    /// READ-ONLY
    ReadOnly,
    /// READ-WRITE
    ReadWrite,
    /// SERVERBUG (RFC 5530)
    ServerBug,
    /// TOOBIG (RFC 4469)
    TooBig,
    /// TRYCREATE
    TryCreate,
    /// UIDNEXT
    UidNext(Uid),
    /// UIDNOTSTICKY (RFC 4315)
    UidNotSticky,
    /// UIDVALIDITY
    UidValidity(UidValidity),
    /// UNAVAILABLE (RFC 5530)
    Unavailable,
    /// UNSEEN, a sequence number.
    Unseen(u32),
    /// USEATTR (RFC 6154)
    UseAttr,
}

impl Code<'_> {
    /// What stands between the brackets.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name().as_bytes());
        match self {
            Self::AppendUid(validity, uid) => numbers(out, &[validity.0, uid.number()]),
            Self::BadCharset([]) => {}
            Self::BadCharset(charsets) => {
                out.extend_from_slice(b" (");
                out.extend_from_slice(charsets.join(" ").as_bytes());
                out.push(b')');
            }
            Self::Capability(capabilities) => {
                for capability in *capabilities {
                    out.push(b' ');
                    out.extend_from_slice(capability.as_bytes());
                }
            }
            Self::CopyUid(validity, from, to) => {
                numbers(out, &[validity.0]);
                for set in [from, to] {
                    out.push(b' ');
                    uid_set(out, set);
                }
            }
            Self::HighestModSeq(modseq) => {
                out.push(b' ');
                number(out, modseq.0);
            }
            Self::Modified(set) => {
                out.push(b' ');
                uid_set(out, set);
            }
            Self::PermanentFlags(system, keywords, more) => {
                out.extend_from_slice(b" (");
                let any = flag_names(out, *system, keywords.iter());
                if *more {
                    out.extend_from_slice(if any { b" \\*" } else { b"\\*" });
                }
                out.push(b')');
            }
            Self::UidNext(uid) => numbers(out, &[uid.number()]),
            Self::UidValidity(validity) => numbers(out, &[validity.0]),
            Self::Unseen(seq) => numbers(out, &[*seq]),
            Self::Alert
            | Self::AlreadyExists
            | Self::AuthenticationFailed
            | Self::AuthorizationFailed
            | Self::Cannot
            | Self::ClientBug
            | Self::Closed
            | Self::ContactAdmin
            | Self::Corruption
            | Self::Expired
            | Self::ExpungeIssued
            | Self::HasChildren
            | Self::InUse
            | Self::Limit
            | Self::NoModSeq
            | Self::NonExistent
            | Self::NoPerm
            | Self::OverQuota
            | Self::Parse
            | Self::PrivacyRequired
            | Self::ReadOnly
            | Self::ReadWrite
            | Self::ServerBug
            | Self::TooBig
            | Self::TryCreate
            | Self::UidNotSticky
            | Self::Unavailable
            | Self::UseAttr => {}
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::AppendUid(..) => "APPENDUID",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::BadCharset(_) => "BADCHARSET",
            Self::Cannot => "CANNOT",
            Self::Capability(_) => "CAPABILITY",
            Self::ClientBug => "CLIENTBUG",
            Self::Closed => "CLOSED",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::CopyUid(..) => "COPYUID",
            Self::Corruption => "CORRUPTION",
            Self::Expired => "EXPIRED",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::HasChildren => "HASCHILDREN",
            Self::HighestModSeq(_) => "HIGHESTMODSEQ",
            Self::InUse => "INUSE",
            Self::Limit => "LIMIT",
            Self::Modified(_) => "MODIFIED",
            Self::NoModSeq => "NOMODSEQ",
            Self::NonExistent => "NONEXISTENT",
            Self::NoPerm => "NOPERM",
            Self::OverQuota => "OVERQUOTA",
            Self::Parse => "PARSE",
            Self::PermanentFlags(..) => "PERMANENTFLAGS",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::ServerBug => "SERVERBUG",
            Self::TooBig => "TOOBIG",
            Self::TryCreate => "TRYCREATE",
            Self::UidNext(_) => "UIDNEXT",
            Self::UidNotSticky => "UIDNOTSTICKY",
            Self::UidValidity(_) => "UIDVALIDITY",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unseen(_) => "UNSEEN",
            Self::UseAttr => "USEATTR",
        }
    }
}

/// Each after a space.
fn numbers(out: &mut Vec<u8>, values: &[u32]) {
    for value in values {
        out.push(b' ');
        number(out, (*value).into());
    }
}

/// `1:3,5`, ascending.
///
/// ```abnf
/// uid-set         = (uniqueid / uid-range) *("," uid-set)                 ; RFC 4315
/// ```
pub(super) fn uid_set(out: &mut Vec<u8>, set: &UidSet) {
    for (index, (first, last)) in set.ranges().enumerate() {
        range(out, index == 0, first, last);
    }
}

/// One range of a set: `,5:7`, without the comma where it is the first.
pub fn range(out: &mut Vec<u8>, is_first: bool, low: u32, high: u32) {
    if !is_first {
        out.push(b',');
    }
    number(out, low.into());
    if low != high {
        out.push(b':');
        number(out, high.into());
    }
}
