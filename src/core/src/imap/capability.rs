//! The table of extensions: what is advertised, and when.

use super::session::{Config, TlsState};

/// What decides on a capability.
#[derive(Clone, Copy, Debug)]
struct Standing<'a> {
    config: &'a Config,
    authenticated: bool,
}

impl Standing<'_> {
    /// LOGIN and AUTHENTICATE would be let through.
    fn may_login(self) -> bool {
        !self.authenticated && self.config.login_allowed()
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Extension {
    /// As advertised.
    pub capability: &'static str,
    /// Where it is specified.
    pub rfc: &'static str,
    shown: fn(Standing<'_>) -> bool,
}

const fn always(capability: &'static str, rfc: &'static str) -> Extension {
    Extension {
        capability,
        rfc,
        shown: |_| true,
    }
}

/// Every extension. A row is here only when all of it works.
pub static EXTENSIONS: [Extension; 21] = [
    always("IMAP4rev1", "RFC 3501"),
    Extension {
        capability: "STARTTLS",
        rfc: "RFC 3501 §6.2.1",
        shown: |standing| !standing.authenticated && standing.config.tls == TlsState::Available,
    },
    Extension {
        capability: "LOGINDISABLED",
        rfc: "RFC 3501 §6.2.3",
        shown: |standing| !standing.authenticated && !standing.may_login(),
    },
    Extension {
        capability: "AUTH=PLAIN",
        rfc: "RFC 4616",
        shown: |standing| standing.may_login(),
    },
    always("SASL-IR", "RFC 4959"),
    always("LITERAL+", "RFC 7888"),
    always("ID", "RFC 2971"),
    always("IDLE", "RFC 2177"),
    always("NAMESPACE", "RFC 2342"),
    always("CHILDREN", "RFC 3348"),
    always("UNSELECT", "RFC 3691"),
    always("UIDPLUS", "RFC 4315"),
    always("MOVE", "RFC 6851"),
    always("ESEARCH", "RFC 4731"),
    always("SEARCHRES", "RFC 5182"),
    always("WITHIN", "RFC 5032"),
    always("LIST-EXTENDED", "RFC 5258"),
    always("LIST-STATUS", "RFC 5819"),
    always("SPECIAL-USE", "RFC 6154"),
    always("CREATE-SPECIAL-USE", "RFC 6154"),
    always("STATUS=SIZE", "RFC 8438"),
];

/// The capabilities as they are now.
#[must_use]
pub fn list(config: &Config, authenticated: bool) -> Vec<&'static str> {
    let standing = Standing {
        config,
        authenticated,
    };
    EXTENSIONS
        .iter()
        .filter(|extension| (extension.shown)(standing))
        .map(|extension| extension.capability)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tls: TlsState, plaintext_login_allowed: bool, authenticated: bool) -> String {
        let config = Config {
            tls,
            plaintext_login_allowed,
            ..Config::default()
        };
        list(&config, authenticated).join(" ")
    }

    #[test]
    fn login_is_offered_only_where_it_is_allowed() {
        let plain = shown(TlsState::Available, false, false);
        assert!(plain.contains(" STARTTLS LOGINDISABLED ") && !plain.contains("AUTH="));
        let loopback = shown(TlsState::Available, true, false);
        assert!(loopback.contains(" STARTTLS AUTH=PLAIN ") && !loopback.contains("LOGINDISABLED"));
        let encrypted = shown(TlsState::Active, false, false);
        assert!(encrypted.contains("AUTH=PLAIN") && !encrypted.contains("STARTTLS"));
        let bare = shown(TlsState::None, false, false);
        assert!(bare.contains("LOGINDISABLED") && !bare.contains("STARTTLS"));
    }

    #[test]
    fn what_one_extension_demands_of_the_others_is_advertised_with_it() {
        for authenticated in [false, true] {
            let all = shown(TlsState::Active, true, authenticated);
            let has = |name: &str| all.split(' ').any(|one| one == name);
            // RFC 7888 §6: never both.
            assert!(has("LITERAL+") && !has("LITERAL-"));
            // RFC 5182 §2.1; RFC 5819 §2; RFC 6154 §3.
            assert!(!has("SEARCHRES") || has("ESEARCH"));
            assert!(!has("LIST-STATUS") || has("LIST-EXTENDED"));
            assert!(!has("CREATE-SPECIAL-USE") || has("SPECIAL-USE"));
            let names: std::collections::BTreeSet<_> = all.split(' ').collect();
            assert_eq!(names.len(), all.split(' ').count(), "each once");
        }
    }

    #[test]
    fn after_login_nothing_about_login_is_offered() {
        let after = shown(TlsState::Active, true, true);
        assert!(!after.contains("AUTH=") && !after.contains("LOGINDISABLED"));
        assert!(after.starts_with("IMAP4rev1 "));
    }
}
