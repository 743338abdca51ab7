//! Database servers for the tests: those that the environment names, or containers.

use std::fs::File;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::{Connection, Executor};
use testcontainers::bollard::models::PortBinding;
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt, ReuseDirective};
use tokio::runtime::Runtime;

use crate::Kind;

/// The administrator's password in containers of ours, which only this machine reaches.
const PASSWORD: &str = "dbmail-test";
/// How long a container may take until its server answers: a slow machine makes a data directory in a minute.
const START_SECONDS: u64 = 180;

/// What a container of a kind is started with.
struct Recipe {
    image: &'static str,
    tag: &'static str,
    image_variable: &'static str,
    url_variable: &'static str,
    port: u16,
    password_variable: &'static str,
    /// Faster, and not safe against loss of power, of which these tests have none.
    quick: &'static [&'static str],
}

const POSTGRES: Recipe = Recipe {
    image: "postgres",
    tag: "17",
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
        "max_connections=400",
    ],
};
const MARIADB: Recipe = Recipe {
    image: "mariadb",
    tag: "11.8",
    image_variable: "DBMAIL_TEST_MARIADB_IMAGE",
    url_variable: "DBMAIL_TEST_MARIADB",
    port: 3306,
    password_variable: "MARIADB_ROOT_PASSWORD",
    quick: &[
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--max-connections=400",
    ],
};
const MYSQL: Recipe = Recipe {
    image: "mysql",
    tag: "9.7",
    image_variable: "DBMAIL_TEST_MYSQL_IMAGE",
    url_variable: "DBMAIL_TEST_MYSQL",
    port: 3306,
    password_variable: "MYSQL_ROOT_PASSWORD",
    quick: &[
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--skip-log-bin",
        "--max-connections=400",
    ],
};

const fn recipe(kind: Kind) -> Option<&'static Recipe> {
    match kind {
        Kind::Sqlite => None,
        Kind::Postgres => Some(&POSTGRES),
        Kind::MariaDb => Some(&MARIADB),
        Kind::MySql => Some(&MYSQL),
    }
}

/// Runs something on a runtime of its own, on a thread of its own: a test may be on a runtime already.
pub(crate) fn apart<T: Send>(work: impl Future<Output = T> + Send) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        #[expect(clippy::expect_used, reason = "a test without a runtime fails")]
        Runtime::new().expect("a runtime for the databases of the tests")
    });
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| runtime.block_on(work));
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The administrator's URL of a server of that kind; started when need be. The same for every process of a test run.
pub(crate) fn administrator(kind: Kind) -> Result<String, String> {
    type Known = Mutex<Vec<(Kind, Result<String, String>)>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let known = KNOWN.get_or_init(Known::default);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, url)) = known.iter().find(|(known, _)| *known == kind) {
        return url.clone();
    }
    let url = found(kind);
    known.push((kind, url.clone()));
    url
}

fn found(kind: Kind) -> Result<String, String> {
    let recipe = recipe(kind).ok_or("SQLite has no server")?;
    if let Ok(url) = std::env::var(recipe.url_variable) {
        return apart(answers(kind, &url))
            .map(|()| url)
            .map_err(|error| format!("the server that {} names: {error}", recipe.url_variable));
    }
    // One process at a time: the first starts the container, the others find it.
    let path = std::env::temp_dir().join(format!("dbmail-test-{}.lock", kind.name()));
    let lock = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    lock.lock()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    apart(shared(kind, recipe))
}

/// A container that all processes share, and that stays for the next run.
async fn shared(kind: Kind, recipe: &'static Recipe) -> Result<String, String> {
    let name = format!("dbmail-test-{}", kind.name());
    let container = request(recipe, recipe.quick)
        .with_container_name(name)
        .with_reuse(ReuseDirective::Always)
        .start()
        .await
        .map_err(|error| format!("no container of {}: {error}", recipe.image))?;
    let url = url(kind, recipe, &container).await?;
    until_it_answers(kind, &url).await?;
    Ok(url)
}

fn request(
    recipe: &'static Recipe,
    arguments: &[&str],
) -> testcontainers::ContainerRequest<GenericImage> {
    let image = std::env::var(recipe.image_variable);
    let image = image.unwrap_or_else(|_| format!("{}:{}", recipe.image, recipe.tag));
    let (name, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
    let port = format!("{}/tcp", recipe.port);
    GenericImage::new(name, tag)
        .with_exposed_port(recipe.port.tcp())
        .with_env_var(recipe.password_variable, PASSWORD)
        .with_cmd(arguments.iter().copied())
        .with_startup_timeout(Duration::from_secs(START_SECONDS))
        .with_host_config_modifier(move |host| {
            // Reached from this machine alone.
            let here = PortBinding {
                host_ip: Some("127.0.0.1".to_owned()),
                host_port: None,
            };
            host.publish_all_ports = Some(false);
            host.port_bindings = Some([(port.clone(), Some(vec![here]))].into());
        })
}

async fn url(
    kind: Kind,
    recipe: &Recipe,
    container: &ContainerAsync<GenericImage>,
) -> Result<String, String> {
    let port = container.get_host_port_ipv4(recipe.port.tcp()).await;
    let port = port.map_err(|error| error.to_string())?;
    Ok(match kind {
        Kind::Postgres => format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"),
        Kind::Sqlite | Kind::MariaDb | Kind::MySql => {
            format!("mysql://root:{PASSWORD}@127.0.0.1:{port}/mysql")
        }
    })
}

async fn until_it_answers(kind: Kind, url: &str) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..START_SECONDS * 5 {
        match answers(kind, url).await {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(format!("it does not answer: {last}"))
}

async fn answers(kind: Kind, url: &str) -> Result<(), String> {
    run(kind, url, "SELECT 1").await
}

/// Runs a text as the administrator.
pub(crate) async fn run(kind: Kind, url: &str, text: &str) -> Result<(), String> {
    let text = sqlx::AssertSqlSafe(text.to_owned());
    let done = async {
        match kind {
            Kind::Postgres => {
                let mut link = sqlx::PgConnection::connect(url).await?;
                link.execute(text).await?;
                link.close().await
            }
            Kind::Sqlite | Kind::MariaDb | Kind::MySql => {
                let mut link = sqlx::MySqlConnection::connect(url).await?;
                link.execute(text).await?;
                link.close().await
            }
        }
    };
    let done: Result<(), sqlx::Error> = done.await;
    done.map_err(|error| error.to_string())
}

/// Empties all tables but some, and runs a text.
pub(crate) async fn empty(kind: Kind, url: &str, keep: &[&str], then: &str) -> Result<(), String> {
    const TABLES: &str = "SELECT CAST(table_name AS char(64)) FROM information_schema.tables \
                          WHERE table_type = 'BASE TABLE' AND table_schema = ";
    let goes = |table: &&String| !keep.contains(&table.trim_end());
    let done = async {
        match kind {
            Kind::Postgres => {
                let mut link = sqlx::PgConnection::connect(url).await?;
                let text = sqlx::AssertSqlSafe(format!("{TABLES}current_schema()"));
                let tables: Vec<String> = sqlx::query_scalar(text).fetch_all(&mut link).await?;
                let mut all = String::from("SET session_replication_role = replica; ");
                for table in tables.iter().filter(goes) {
                    all.push_str(&format!("DELETE FROM {table}; "));
                }
                all.push_str(then);
                link.execute(sqlx::AssertSqlSafe(all)).await?;
                link.close().await
            }
            Kind::Sqlite | Kind::MariaDb | Kind::MySql => {
                let mut link = sqlx::MySqlConnection::connect(url).await?;
                let text = sqlx::AssertSqlSafe(format!("{TABLES}database()"));
                let tables: Vec<String> = sqlx::query_scalar(text).fetch_all(&mut link).await?;
                link.execute("SET foreign_key_checks = 0").await?;
                for table in tables.iter().filter(goes) {
                    let delete = format!("DELETE FROM {table}");
                    link.execute(sqlx::AssertSqlSafe(delete)).await?;
                }
                link.execute(sqlx::AssertSqlSafe(then.to_owned())).await?;
                link.close().await
            }
        }
    };
    let done: Result<(), sqlx::Error> = done.await;
    done.map_err(|error| error.to_string())
}

/// The whole number that a text asks for.
pub(crate) async fn number(kind: Kind, url: &str, text: &str) -> Result<i64, String> {
    let text = sqlx::AssertSqlSafe(text.to_owned());
    let found = async {
        match kind {
            Kind::Postgres => {
                let mut link = sqlx::PgConnection::connect(url).await?;
                sqlx::query_scalar(text).fetch_one(&mut link).await
            }
            Kind::Sqlite | Kind::MariaDb | Kind::MySql => {
                let mut link = sqlx::MySqlConnection::connect(url).await?;
                sqlx::query_scalar(text).fetch_one(&mut link).await
            }
        }
    };
    let found: Result<i64, sqlx::Error> = found.await;
    found.map_err(|error| error.to_string())
}

/// A server of a test's own, durable as in production, that may be killed and started again.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    url: String,
    container: Option<ContainerAsync<GenericImage>>,
}

impl Server {
    /// Starts one. Its `arguments` go to the server.
    ///
    /// # Errors
    /// Why it can't be had.
    pub fn start(kind: Kind, arguments: &[&str]) -> Result<Self, String> {
        let recipe = recipe(kind).ok_or("SQLite has no server")?;
        // A port that is the same after a restart.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = free.map_err(|error| error.to_string())?.port();
        let inner = format!("{}/tcp", recipe.port);
        apart(async {
            let request = request(recipe, arguments).with_host_config_modifier(move |host| {
                let here = PortBinding {
                    host_ip: Some("127.0.0.1".to_owned()),
                    host_port: Some(port.to_string()),
                };
                host.publish_all_ports = Some(false);
                host.port_bindings = Some([(inner.clone(), Some(vec![here]))].into());
            });
            let container = request.start().await.map_err(|error| error.to_string())?;
            let url = url(kind, recipe, &container).await?;
            until_it_answers(kind, &url).await?;
            Ok(Self {
                kind,
                url,
                container: Some(container),
            })
        })
    }

    /// The administrator's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it, as `kill -9` does, and starts it again; returns when it answers.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn crash(&self) -> Result<(), String> {
        let Some(container) = &self.container else {
            return Err("there is no container".to_owned());
        };
        apart(async {
            let stopped = container.stop_with_timeout(Some(0)).await;
            stopped.map_err(|error| error.to_string())?;
            let started = container.start().await;
            started.map_err(|error| error.to_string())?;
            until_it_answers(self.kind, &self.url).await
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(container) = self.container.take() {
            // What stays is removed by hand: `docker ps` names it.
            drop(apart(container.rm()));
        }
    }
}
