//! Database servers for the tests: those that the environment names, or containers.

use std::sync::OnceLock;
use std::time::SystemTime;

use testcontainers::{ContainerAsync, GenericImage};

use crate::container::{
    Recipe, all, killed, own, recipe, removed, shared, swept, until_it_answers,
};
use crate::lock::Lock;
use crate::names::{LEFT_AFTER, seconds};
use crate::sql::{self, answers, apart};
use crate::{Database, Kind};

/// The administrator's URL of a server of that kind; started when need be. The same for every process of a test run.
pub(crate) fn administrator(kind: Kind) -> Result<String, String> {
    // One for each kind: they start at the same time.
    static KNOWN: [OnceLock<Result<String, String>>; Kind::ALL.len()] =
        [const { OnceLock::new() }; Kind::ALL.len()];
    let known = KNOWN.get(kind as usize).ok_or("a kind without a place")?;
    known.get_or_init(|| found(recipe(kind)?)).clone()
}

fn found(recipe: &'static Recipe) -> Result<String, String> {
    let kind = recipe.kind;
    let mut lock = Lock::on(kind)?;
    let url = match std::env::var(recipe.url_variable) {
        Ok(url) => {
            let answer = apart(answers(kind, &url));
            let of = |error| format!("of the server that {} names: {error}", recipe.url_variable);
            answer.map_err(of)?;
            url
        }
        Err(_) => apart(shared(recipe))?,
    };
    let now = SystemTime::now();
    if lock.sweeps(now) {
        // What can't be dropped is no reason to fail.
        match apart(sql::swept(kind, &url, now)) {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => eprintln!(
                "dropped what was left on {}: {}",
                kind.name(),
                gone.join(", ")
            ),
            Err(error) => eprintln!("left on {}: {error}", kind.name()),
        }
    }
    Ok(url)
}

/// A server that a test has to itself, durable as in production, which may be killed and started again: its port stays
/// the same. Gone with its data when this is dropped.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    url: String,
    container: ContainerAsync<GenericImage>,
}

impl Server {
    /// Whether there can be one: a container engine answers.
    ///
    /// # Errors
    /// Why none does.
    pub fn engine() -> Result<(), String> {
        apart(all()).map(drop)
    }

    /// Starts one.
    ///
    /// # Errors
    /// Why it can't be had: there is no container engine, or none of SQLite.
    pub fn durable(kind: Kind) -> Result<Self, String> {
        Self::durable_with(kind, &[])
    }

    /// Starts one; the arguments go to the server.
    ///
    /// # Errors
    /// As [`durable`](Self::durable), and what the server says to the arguments.
    pub fn durable_with(kind: Kind, arguments: &[&str]) -> Result<Self, String> {
        let recipe = recipe(kind)?;
        apart(async {
            // Those of tests that were killed.
            let hour_ago = seconds(SystemTime::now()).saturating_sub(LEFT_AFTER.as_secs());
            swept(hour_ago, false).await?;
            let (container, url) = own(recipe, arguments).await?;
            Ok(Self {
                kind,
                url,
                container,
            })
        })
    }

    /// The administrator's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A fresh database on this server.
    ///
    /// # Errors
    /// Why it can't be made.
    pub fn database(&self) -> Result<Database, String> {
        Database::on(self.kind, &self.url)
    }

    /// Kills it, as `kill -9` does; returns when it is dead.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<(), String> {
        apart(killed(&self.container))
    }

    /// Starts it again, on what is on its disk; returns when it answers.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn start(&self) -> Result<(), String> {
        apart(async {
            let started = self.container.start().await;
            started.map_err(|error| error.to_string())?;
            until_it_answers(self.kind, &self.url, &self.container).await
        })
    }

    /// Kills it and starts it again.
    ///
    /// # Errors
    /// As [`kill`](Self::kill) and [`start`](Self::start).
    pub fn crash(&self) -> Result<(), String> {
        self.kill()?;
        self.start()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = apart(removed(self.container.id())) {
            eprintln!("a server's container stays: {error}");
        }
    }
}
