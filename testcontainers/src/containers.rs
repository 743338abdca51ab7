//! What the `databases` command does with the servers that all tests share.

use testcontainers::bollard::models::ContainerSummary;

use crate::container::{all, name, recipe, swept};
use crate::sql::apart;
use crate::{Kind, administrator};

/// A variable of the environment and the URL of the server that it is to name.
pub type Named = (&'static str, String);

/// Starts a server of each kind, all at once; says why one can't be had.
#[must_use]
pub fn start() -> Vec<(Kind, Result<Named, String>)> {
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Sqlite);
    let named = |kind| Ok((recipe(kind)?.url_variable, administrator(kind)?));
    std::thread::scope(|scope| {
        let threads: Vec<_> = kinds
            .map(|kind| (kind, scope.spawn(move || named(kind))))
            .collect();
        let broke = |_| Err("its thread broke off".to_owned());
        let joined = threads.into_iter();
        joined
            .map(|(kind, thread)| (kind, thread.join().unwrap_or_else(broke)))
            .collect()
    })
}

/// The containers of the tests: name, image and state of each.
///
/// # Errors
/// When no container engine answers.
pub fn list() -> Result<Vec<String>, String> {
    let all = apart(all())?;
    let line = |container: &ContainerSummary| {
        let name = name(container)?;
        let image = container.image.as_deref().unwrap_or("an unknown image");
        let status = container
            .status
            .as_deref()
            .unwrap_or("its state is unknown");
        Some(format!("{name}\t{image}\t{status}"))
    };
    Ok(all.iter().filter_map(line).collect())
}

/// Removes all containers of the tests; returns their names.
///
/// # Errors
/// When no container engine answers.
pub fn stop() -> Result<Vec<String>, String> {
    apart(swept(u64::MAX, true))
}
