//! Database servers in containers.

use std::time::Duration;

use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{ContainerSummary, PortBinding};
use testcontainers::bollard::query_parameters::{
    KillContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;
use testcontainers::core::{IntoContainerPort, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt, ReuseDirective};
use tokio::time::{Instant, sleep};

use crate::Kind;
use crate::names::random;
use crate::sql::answers_in_clear;

/// The administrator's password in containers of ours, which only this machine reaches.
const PASSWORD: &str = "dbmail-test";
/// How long a container may take until its server answers: a slow machine makes a data directory in a minute.
const START: Duration = Duration::from_secs(180);
/// How often a server that starts is asked.
const ASK: Duration = Duration::from_millis(100);
/// How much mail the tests may have in a server that keeps its data in memory; the largest needs some hundred MiB.
const MEMORY_BYTES: i64 = 4 << 30;
/// How many lines of a server that has ended are told.
const LAST_WORDS_MAX: usize = 4;
/// The label of every container of ours: [`SHARED`] or [`OWN`].
const LABEL: &str = "dbmail.databases";
const SHARED: &str = "shared";
const OWN: &str = "own";

/// What a container of a kind is started with.
pub(crate) struct Recipe {
    pub(crate) kind: Kind,
    image: &'static str,
    image_variable: &'static str,
    pub(crate) url_variable: &'static str,
    port: u16,
    password_variable: &'static str,
    /// Faster, and not safe against loss of power.
    quick: &'static [&'static str],
    /// Where the data is, which is kept in memory when it need not be safe. MySQL waits for a disk when it makes a table,
    /// whatever its settings are.
    data: &'static str,
}

const POSTGRES: Recipe = Recipe {
    kind: Kind::Postgres,
    image: "postgres:17",
    image_variable: "DBMAIL_TEST_POSTGRES_IMAGE",
    url_variable: "DBMAIL_TEST_POSTGRES",
    port: 5432,
    password_variable: "POSTGRES_PASSWORD",
    quick: &[
        "-c",
        "fsync=off",
        "-c",
        "full_page_writes=off",
        "-c",
        "max_connections=500",
    ],
    data: "/var/lib/postgresql/data",
};
const MARIADB: Recipe = Recipe {
    kind: Kind::MariaDb,
    image: "mariadb:11.8",
    image_variable: "DBMAIL_TEST_MARIADB_IMAGE",
    url_variable: "DBMAIL_TEST_MARIADB",
    port: 3306,
    password_variable: "MARIADB_ROOT_PASSWORD",
    quick: &[
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--skip-log-bin",
        "--skip-name-resolve",
        "--max-connections=500",
    ],
    data: "/var/lib/mysql",
};
const MYSQL: Recipe = Recipe {
    kind: Kind::MySql,
    image: "mysql:9.7",
    image_variable: "DBMAIL_TEST_MYSQL_IMAGE",
    url_variable: "DBMAIL_TEST_MYSQL",
    port: 3306,
    password_variable: "MYSQL_ROOT_PASSWORD",
    quick: &[
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--skip-log-bin",
        "--skip-name-resolve",
        "--max-connections=500",
    ],
    data: "/var/lib/mysql",
};

pub(crate) fn recipe(kind: Kind) -> Result<&'static Recipe, String> {
    match kind {
        Kind::Sqlite => Err("SQLite has no server".to_owned()),
        Kind::Postgres => Ok(&POSTGRES),
        Kind::MariaDb => Ok(&MARIADB),
        Kind::MySql => Ok(&MYSQL),
    }
}

impl Recipe {
    fn image(&self) -> String {
        std::env::var(self.image_variable).unwrap_or_else(|_| self.image.to_owned())
    }

    /// Where the data is kept in memory. Another image than the usual one, be it from another registry, may have its data
    /// elsewhere, and may refuse to start when something is where it once was, as that of PostgreSQL 18 does.
    fn memory(&self, image: &str) -> Option<&'static str> {
        let usual = image.rsplit('/').next() == Some(self.image);
        usual.then_some(self.data)
    }

    /// The name of the container that all processes share. Another image or other arguments make another name, so that
    /// nobody finds a server that is not as asked.
    fn shared_name(&self, image: &str) -> String {
        let mut text = image.to_owned();
        for part in self.quick.iter().copied().chain(self.memory(image)) {
            text.push('\n');
            text.push_str(part);
        }
        format!(
            "dbmail-databases-{}-{:08x}",
            self.kind.name(),
            digest(&text)
        )
    }
}

/// FNV-1a: the same in every build, which the standard library's hashes don't promise.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |digest, octet| {
        (digest ^ u32::from(octet)).wrapping_mul(0x0100_0193)
    })
}

/// A container that all processes share, and that stays for the next run. Called under the lock of its kind.
pub(crate) async fn shared(recipe: &'static Recipe) -> Result<String, String> {
    let image = recipe.image();
    let name = recipe.shared_name(&image);
    let mut asked = request(recipe, &image, recipe.quick, None)
        .with_container_name(&name)
        .with_label(LABEL, SHARED)
        .with_reuse(ReuseDirective::Always);
    if let Some(folder) = recipe.memory(&image) {
        asked = asked.with_mount(Mount::tmpfs_mount(folder).with_size_bytes(MEMORY_BYTES));
    }
    let started = started(recipe, asked).await;
    match started {
        Ok((_, url)) => Ok(url),
        Err(error) => {
            // The next to ask begins anew. There may be none, when it could not be made.
            drop(removed(&name).await);
            Err(format!("there is no container of {image}: {error}"))
        }
    }
}

/// A durable container that one test has to itself, on a port that stays the same.
pub(crate) async fn own(
    recipe: &'static Recipe,
    arguments: &[&str],
) -> Result<(ContainerAsync<GenericImage>, String), String> {
    let image = recipe.image();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.map_err(|error| error.to_string())?.port();
    let name = format!(
        "dbmail-databases-{OWN}-{}-{:016x}",
        recipe.kind.name(),
        random()
    );
    let asked = request(recipe, &image, arguments, Some(port))
        .with_container_name(&name)
        .with_label(LABEL, OWN)
        // Who has it removes it, by `removed`, which waits until it is gone.
        .with_reuse(ReuseDirective::Always);
    match started(recipe, asked).await {
        Ok(started) => Ok(started),
        Err(error) => {
            drop(removed(&name).await);
            Err(format!("there is no container of {image}: {error}"))
        }
    }
}

async fn started(
    recipe: &Recipe,
    request: ContainerRequest<GenericImage>,
) -> Result<(ContainerAsync<GenericImage>, String), String> {
    let container = request.start().await.map_err(|error| error.to_string())?;
    let port = container.get_host_port_ipv4(recipe.port.tcp()).await;
    let url = match port {
        Ok(port) => url(recipe.kind, port),
        // A server that ended at once has no ports.
        Err(error) => {
            return Err(last_words(&container)
                .await
                .unwrap_or_else(|| error.to_string()));
        }
    };
    until_it_answers(recipe.kind, &url, &container).await?;
    Ok((container, url))
}

fn request(
    recipe: &Recipe,
    image: &str,
    arguments: &[&str],
    host_port: Option<u16>,
) -> ContainerRequest<GenericImage> {
    let (name, tag) = image_and_tag(image);
    let port = format!("{}/tcp", recipe.port);
    GenericImage::new(name, tag)
        .with_exposed_port(recipe.port.tcp())
        .with_env_var(recipe.password_variable, PASSWORD)
        .with_cmd(arguments.iter().copied())
        .with_startup_timeout(START)
        .with_host_config_modifier(move |host| {
            // Reached from this machine alone.
            let here = PortBinding {
                host_ip: Some("127.0.0.1".to_owned()),
                host_port: host_port.map(|port| port.to_string()),
            };
            host.publish_all_ports = Some(false);
            host.port_bindings = Some([(port.clone(), Some(vec![here]))].into());
        })
}

/// `registry:5000/postgres` has no tag: a colon before a slash is a port's.
fn image_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        Some(_) | None => (image, "latest"),
    }
}

/// Without TLS: with it a connection takes twenty times as long, and a test makes many.
fn url(kind: Kind, port: u16) -> String {
    match kind {
        Kind::Postgres => {
            format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable")
        }
        Kind::Sqlite | Kind::MariaDb | Kind::MySql => {
            format!("mysql://root:{PASSWORD}@127.0.0.1:{port}/mysql?ssl-mode=disabled")
        }
    }
}

/// Waits until a server that starts answers; a server that has ended will not.
pub(crate) async fn until_it_answers(
    kind: Kind,
    url: &str,
    container: &ContainerAsync<GenericImage>,
) -> Result<(), String> {
    let end = Instant::now() + START;
    loop {
        let Err(error) = answers_in_clear(kind, url, PASSWORD).await else {
            return Ok(());
        };
        if let Some(words) = last_words(container).await {
            return Err(words);
        }
        if Instant::now() > end {
            let seconds = START.as_secs();
            return Err(format!(
                "it does not answer within {seconds} seconds: {error}"
            ));
        }
        sleep(ASK).await;
    }
}

/// What a server that has ended said last; nothing when it runs.
async fn last_words(container: &ContainerAsync<GenericImage>) -> Option<String> {
    if container.is_running().await.unwrap_or(true) {
        return None;
    }
    let said = container.stderr_to_vec().await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    Some(format!("the server ended: {}", reason(&said)))
}

/// What of a server's last words tells why it ended: its errors, or else the last of what it said.
fn reason(said: &str) -> String {
    let is_error = |line: &&str| line.contains("ERROR") || line.contains("FATAL");
    let mut lines: Vec<&str> = said.lines().filter(is_error).collect();
    if lines.is_empty() {
        lines = said.lines().collect();
    }
    let first = lines.len().saturating_sub(LAST_WORDS_MAX);
    lines.split_off(first).join("; ")
}

async fn engine() -> Result<Docker, String> {
    docker_client_instance()
        .await
        .map_err(|error| error.to_string())
}

/// Kills the server of a container as `kill -9` does, and returns when it is dead.
pub(crate) async fn killed(container: &ContainerAsync<GenericImage>) -> Result<(), String> {
    let engine = engine().await?;
    let killed = engine.kill_container(container.id(), None::<KillContainerOptions>);
    killed.await.map_err(|error| error.to_string())?;
    let end = Instant::now() + START;
    while container
        .is_running()
        .await
        .map_err(|error| error.to_string())?
    {
        if Instant::now() > end {
            return Err("a killed container runs on".to_owned());
        }
        sleep(ASK).await;
    }
    Ok(())
}

/// Removes a container with all its data.
pub(crate) async fn removed(name: &str) -> Result<(), String> {
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    let removed = engine().await?.remove_container(name, Some(options)).await;
    removed.map_err(|error| error.to_string())
}

/// The containers of ours, running or not.
pub(crate) async fn all() -> Result<Vec<ContainerSummary>, String> {
    let filters = [("label".to_owned(), vec![LABEL.to_owned()])].into();
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let all = engine().await?.list_containers(Some(options)).await;
    all.map_err(|error| error.to_string())
}

/// Removes the containers of ours that a test had to itself and that were made before a second since 1970: a test that
/// was killed left them. With `shared`, also those that all share. Returns their names.
pub(crate) async fn swept(before: u64, shared: bool) -> Result<Vec<String>, String> {
    let mut gone = Vec::new();
    for container in all().await? {
        let label = |value: &str| {
            let labels = container.labels.as_ref();
            labels.is_some_and(|labels| labels.get(LABEL).is_some_and(|label| label == value))
        };
        let made = container.created.unwrap_or(i64::MAX);
        let old = u64::try_from(made).is_ok_and(|made| made < before);
        if (label(OWN) && old) || (label(SHARED) && shared) {
            let Some(name) = name(&container) else {
                continue;
            };
            // Somebody else may be removing it.
            if removed(&name).await.is_ok() {
                gone.push(name);
            }
        }
    }
    Ok(gone)
}

/// A container's name.
pub(crate) fn name(container: &ContainerSummary) -> Option<String> {
    let name = container.names.as_ref()?.first()?;
    Some(name.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_image_is_another_container() {
        let name = POSTGRES.shared_name("postgres:17");
        assert!(name.starts_with("dbmail-databases-postgres-"));
        assert_eq!(POSTGRES.shared_name("postgres:17"), name);
        assert_ne!(POSTGRES.shared_name("postgres:18"), name);
    }

    #[test]
    fn other_arguments_are_another_container() {
        let durable = Recipe {
            quick: &[],
            ..POSTGRES
        };
        assert_ne!(
            durable.shared_name("postgres:17"),
            POSTGRES.shared_name("postgres:17")
        );
    }

    #[test]
    fn data_is_in_memory_where_it_is_known_to_be() {
        let usual = Some("/var/lib/postgresql/data");
        assert_eq!(POSTGRES.memory("postgres:17"), usual);
        assert_eq!(POSTGRES.memory("here:5000/library/postgres:17"), usual);
        assert_eq!(POSTGRES.memory("postgres:18"), None);
        assert_eq!(POSTGRES.memory("my-postgres:17"), None);
    }

    #[test]
    fn an_image_may_come_from_a_registry() {
        assert_eq!(image_and_tag("postgres:17"), ("postgres", "17"));
        assert_eq!(image_and_tag("postgres"), ("postgres", "latest"));
        assert_eq!(
            image_and_tag("here:5000/postgres"),
            ("here:5000/postgres", "latest")
        );
        assert_eq!(
            image_and_tag("here:5000/postgres:17"),
            ("here:5000/postgres", "17")
        );
    }

    #[test]
    fn a_server_that_ended_is_quoted_with_its_errors_or_else_its_last_words() {
        let said = "1 starts\n2 [ERROR] no such setting\n3 [ERROR] aborting\n4 bye";
        assert_eq!(
            reason(said),
            "2 [ERROR] no such setting; 3 [ERROR] aborting"
        );
        assert_eq!(reason("a\nb\nc\nd\ne"), "b; c; d; e");
        assert_eq!(reason(""), "");
    }

    #[test]
    fn the_digest_is_the_published_one() {
        assert_eq!(digest(""), 0x811c_9dc5);
        assert_eq!(digest("foobar"), 0xbf9c_f968);
    }
}
