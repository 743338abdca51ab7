//! `dbmail user …`

use std::fmt::Write as _;

use clap::Args;
use dbmail_core::lmtp::grammar;
use dbmail_core::store::Timestamp;
use dbmail_store::{NewUser, User};
use serde::Serialize;

use super::{
    admin_failure, confirm, open, open_or_set_up, password_from_stdin, print, settings_of_command,
};
use crate::cli::Confirmation;
use crate::config::{Config, size};
use crate::exit::{Exit, Failure};
use crate::password::{self, Cost};

/// Longest name, in octets: that of an address (RFC 5321 §4.5.3.1.3).
const NAME_BYTES_MAX: usize = 254;

/// A user to add.
#[derive(Args, Clone, Debug)]
pub struct UserAdd {
    /// The name to log in with; also an address for mail when it holds an @
    pub name: String,
    /// Read the password from the first line of standard input
    #[arg(
        long,
        required_unless_present = "no_password",
        conflicts_with = "no_password"
    )]
    pub password_stdin: bool,
    /// The user has no password and can't log in until one is set
    #[arg(long)]
    pub no_password: bool,
    /// The most mail the user may keep, such as 500M or 2G; without it there is no limit
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub quota: Option<u64>,
    /// Another address whose mail the user gets; may be given several times
    #[arg(long = "alias", value_name = "ADDRESS")]
    pub aliases: Vec<String>,
}

fn parse_size(text: &str) -> Result<u64, String> {
    size(text).map_err(|why| format!("{text:?} {why}"))
}

/// A user as JSON shows it.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    enabled: bool,
    addresses: &'a [String],
    quota_bytes: Option<u64>,
    bytes: u64,
    messages: u64,
    mailboxes: u64,
    created: String,
}

impl<'a> From<&'a User> for Shown<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            name: &user.name,
            enabled: user.enabled,
            addresses: &user.addresses,
            quota_bytes: user.quota,
            bytes: user.bytes,
            messages: user.messages,
            mailboxes: user.mailboxes,
            created: time(user.created),
        }
    }
}

/// RFC 3339, whole seconds.
pub(super) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0)
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// A value as JSON, on lines of its own.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|why| Failure::new(Exit::Software, format!("JSON can't be written: {why}.")))
}

/// `dbmail user add`
///
/// # Errors
/// When the name or an address is taken or can't be, or the store can't be used.
pub async fn user_add(config: &Config, add: UserAdd) -> Result<(), Failure> {
    check_name(&add.name)?;
    let aliases = add
        .aliases
        .iter()
        .map(|alias| address(alias))
        .collect::<Result<_, _>>()?;
    let store = open_or_set_up(config, settings_of_command(config)).await?;
    let password_hash = if add.no_password {
        None
    } else {
        Some(hashed(password_from_stdin()?)?)
    };
    let user = new_user(add.name, password_hash, add.quota, aliases);
    let name = user.name.clone();
    store
        .user_add(user)
        .await
        .map_err(|error| admin_failure(&error))?;
    store.close().await;
    print(&format!("User {name} was added.\n"))
}

/// A name that a client can send and a person can read back: no space or control character; an address when it
/// holds an @.
fn check_name(name: &str) -> Result<(), Failure> {
    let unfit = |c: char| c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(unfit) {
        return Err(Failure::new(
            Exit::Data,
            format!(
                "{name:?} can't be a user's name: it has 1 to {NAME_BYTES_MAX} octets, and no space."
            ),
        ));
    }
    if name.contains('@') {
        address(name)?;
    }
    Ok(())
}

/// An address as LMTP will know it: without quotation marks.
fn address(written: &str) -> Result<String, Failure> {
    match grammar::address(written.as_bytes()) {
        Ok(mailbox) if mailbox.domain.is_some() => Ok(mailbox.address()),
        Ok(_) | Err(_) => Err(Failure::new(
            Exit::Data,
            format!("{written:?} is not an address such as anna@example.org."),
        )),
    }
}

/// What the store is told: the name is also an address when it holds an @.
#[must_use]
pub fn new_user(
    name: String,
    password_hash: Option<String>,
    quota_bytes: Option<u64>,
    aliases: Vec<String>,
) -> NewUser {
    let mut addresses = Vec::with_capacity(aliases.len() + 1);
    if name.contains('@') {
        addresses.push(name.clone());
    }
    for alias in aliases {
        if !addresses
            .iter()
            .any(|known: &String| known.eq_ignore_ascii_case(&alias))
        {
            addresses.push(alias);
        }
    }
    NewUser {
        name,
        password_hash,
        addresses,
        quota_bytes,
    }
}

fn hashed(password: Vec<u8>) -> Result<String, Failure> {
    password::hash(&password, Cost::RECOMMENDED)
        .map_err(|why| Failure::new(Exit::Data, super::sentence(&why.to_string())))
}

/// `dbmail user list`
///
/// # Errors
/// When the store can't be used.
pub async fn user_list(config: &Config, as_json: bool) -> Result<(), Failure> {
    let store = open(config).await?;
    let users = store
        .user_list()
        .await
        .map_err(|error| admin_failure(&error))?;
    store.close().await;
    if as_json {
        let shown: Vec<Shown<'_>> = users.iter().map(Shown::from).collect();
        return print(&json(&shown)?);
    }
    let mut text = format!(
        "{:<40} {:>8} {:>14} {:>14}  state\n",
        "user", "messages", "bytes", "quota"
    );
    for user in &users {
        let quota = user
            .quota
            .map_or_else(|| "-".to_owned(), |quota| quota.to_string());
        let state = if user.enabled { "enabled" } else { "disabled" };
        let _ = writeln!(
            text,
            "{:<40} {:>8} {:>14} {quota:>14}  {state}",
            user.name, user.messages, user.bytes
        );
    }
    print(&text)
}

/// `dbmail user show`
///
/// # Errors
/// When there is no such user, or the store can't be used.
pub async fn user_show(config: &Config, name: &str, as_json: bool) -> Result<(), Failure> {
    let store = open(config).await?;
    let user = store
        .user_show(name)
        .await
        .map_err(|error| admin_failure(&error))?;
    store.close().await;
    let Some(user) = user else {
        return Err(no_such_user(name));
    };
    if as_json {
        return print(&json(&Shown::from(&user))?);
    }
    let quota = user
        .quota
        .map_or_else(|| "none".to_owned(), |quota| format!("{quota} octets"));
    print(&format!(
        "name       {}\nstate      {}\naddresses  {}\nquota      {quota}\nmail       {} messages, {} octets, in {} mailboxes\ncreated    {}\n",
        user.name,
        if user.enabled { "enabled" } else { "disabled" },
        if user.addresses.is_empty() {
            "none".to_owned()
        } else {
            user.addresses.join(", ")
        },
        user.messages,
        user.bytes,
        user.mailboxes,
        time(user.created),
    ))
}

pub(super) fn no_such_user(name: &str) -> Failure {
    Failure::new(Exit::NoUser, format!("There is no user {name}."))
}

/// `dbmail user passwd`
///
/// # Errors
/// When there is no such user, the password can't be, or the store can't be used.
pub async fn user_password(config: &Config, name: &str) -> Result<(), Failure> {
    let store = open(config).await?;
    let hash = hashed(password_from_stdin()?)?;
    store
        .user_password(name, &hash)
        .await
        .map_err(|error| admin_failure(&error))?;
    store.close().await;
    print(&format!("The password of {name} was changed.\n"))
}

/// `dbmail user delete`
///
/// # Errors
/// When there is no such user, it is not confirmed, or the store can't be used.
pub async fn user_delete(
    config: &Config,
    name: &str,
    confirmation: Confirmation,
) -> Result<(), Failure> {
    let store = open(config).await?;
    let user = store
        .user_show(name)
        .await
        .map_err(|error| admin_failure(&error))?;
    let Some(user) = user else {
        return Err(no_such_user(name));
    };
    let what = format!("Deleting {} with {} messages", user.name, user.messages);
    confirm(confirmation, &what)?;
    store
        .user_delete(name)
        .await
        .map_err(|error| admin_failure(&error))?;
    store.close().await;
    print(&format!("User {} was deleted.\n", user.name))
}

/// `dbmail user enable` and `disable`
///
/// # Errors
/// When there is no such user, or the store can't be used.
pub async fn user_enable(config: &Config, name: &str, enabled: bool) -> Result<(), Failure> {
    let store = open(config).await?;
    store
        .user_enable(name, enabled)
        .await
        .map_err(|error| admin_failure(&error))?;
    store.close().await;
    let state = if enabled { "enabled" } else { "disabled" };
    print(&format!("User {name} is {state}.\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_an_at_is_the_first_address_once() {
        let user = new_user(
            "anna@example.org".into(),
            None,
            None,
            vec!["sales@example.org".into(), "Anna@Example.org".into()],
        );
        assert_eq!(user.addresses, ["anna@example.org", "sales@example.org"]);
        assert_eq!(
            new_user("otto".into(), None, None, vec![]).addresses,
            Vec::<String>::new()
        );
    }

    #[test]
    fn names_and_addresses_are_checked() {
        for good in [
            "anna",
            "anna@example.org",
            "j\u{fc}rgen@example.org",
            "a.b+c@x.example",
        ] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a\nb", "a@@b", "@example.org", "a@", "a@b c"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(address("anna@example.org").unwrap(), "anna@example.org");
        assert_eq!(
            address("\"anna b\"@example.org").unwrap(),
            "anna b@example.org"
        );
        assert!(address("anna").is_err());
    }

    #[test]
    fn times_are_shown_by_rfc_3339() {
        assert_eq!(
            time(Timestamp(1_700_000_000_123_456)),
            "2023-11-14T22:13:20Z"
        );
    }
}
