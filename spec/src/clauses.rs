//! The ledger of clauses and the tests that show them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One file of `clauses/`: an RFC.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// `RFC 2033`
    pub rfc: String,
    /// Its title.
    pub title: String,
    /// What it demands.
    pub clause: Vec<Clause>,
    /// What becomes of each demand of the text (see [`crate::demands`]): section to the clauses that its demands are, in their order; or
    /// `client`; `words` where the RFC but explains the word; or `not served: ` and the reason. `None` where this is not written down yet.
    pub demands: Option<BTreeMap<String, Vec<String>>>,
}

/// One demand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// Unique among all ledgers.
    pub id: String,
    /// Section of the RFC.
    pub section: String,
    /// How much it is demanded.
    pub level: Level,
    /// In our own words.
    pub text: String,
    /// Where it stands here.
    pub status: Status,
    /// Why, when it is not tested.
    pub reason: Option<String>,
}

/// RFC 2119.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the RFC's own words")]
pub enum Level {
    Must,
    Should,
    May,
}

/// Where a clause stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Served, and shown by a test that names it.
    Tested,
    /// Deliberately otherwise; `reason` says why.
    Deviation,
    /// Not served yet, and not advertised.
    NotServed,
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All ledgers, by file name.
///
/// # Errors
/// What can't be read, and why.
pub fn ledgers() -> Result<Vec<Ledger>, String> {
    let folder = root().join("spec/clauses");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
            toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
        })
        .collect()
}

/// The clauses that tests name: id to the files that name it.
///
/// # Errors
/// What can't be read, and why.
pub fn named() -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    named_after("clause: ", |_| true)
}

/// The capabilities that tests name (`capability: NAME`, right above the test): name to the files that name it. LMTP's stand
/// there as `LMTP NAME`.
///
/// # Errors
/// What can't be read, and why.
pub fn capabilities() -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    named_after("// capability: ", |below| {
        let next = below.iter().find(|line| !line.starts_with("//"));
        next.is_some_and(|line| matches!(*line, "#[test]" | "#[tokio::test]"))
    })
}

/// What stands after a mark in the sources' lines, separated by commas, where what is below the line is fit.
fn named_after(
    mark: &str,
    fit: fn(&[&str]) -> bool,
) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut folders = vec![
        root().join("src"),
        root().join("conformance"),
        root().join("spec/tests"),
    ];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "py") {
                let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
                let shown = path
                    .strip_prefix(root())
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                let lines: Vec<&str> = text.lines().map(str::trim).collect();
                for (at, line) in lines.iter().enumerate() {
                    let Some((_, ids)) = line.split_once(mark) else {
                        continue;
                    };
                    if !fit(lines.get(at + 1..).unwrap_or_default()) {
                        continue;
                    }
                    for id in ids.split(',').map(|id| id.trim().trim_end_matches('.')) {
                        let files = named.entry(id.to_owned()).or_default();
                        files.insert(shown.clone());
                    }
                }
            }
        }
    }
    Ok(named)
}

/// `docs/conformance.md`, as it should be.
///
/// # Errors
/// What can't be read, and why.
pub fn matrix() -> Result<String, String> {
    let named = named()?;
    let mut page = String::from(
        "# Conformance\n\nMade from `spec/clauses/` and the tests by `cargo test -p dbmail-spec`; do not edit.\n\
         Renew it by `DBMAIL_WRITE_DOCS=1 cargo test -p dbmail-spec`.\n",
    );
    for ledger in ledgers()? {
        let tested = ledger
            .clause
            .iter()
            .filter(|c| c.status == Status::Tested)
            .count();
        // Writing to a String can't fail.
        let _ = write!(
            page,
            "\n## {}: {}\n\n{tested} of {} listed clauses tested. {}\n\n| clause | section | level | demand | shown by |\n| --- | --- | --- | --- | --- |\n",
            ledger.rfc,
            ledger.title,
            ledger.clause.len(),
            accounted(ledger.demands.as_ref())
        );
        for clause in &ledger.clause {
            let shown = match clause.status {
                Status::Tested => named
                    .get(&clause.id)
                    .map(|files| {
                        files
                            .iter()
                            .map(|f| format!("`{f}`"))
                            .collect::<Vec<_>>()
                            .join(", ")
                    })
                    .unwrap_or_default(),
                Status::Deviation => {
                    format!("deviation: {}", clause.reason.as_deref().unwrap_or(""))
                }
                Status::NotServed => "not served yet".to_owned(),
            };
            let level = format!("{:?}", clause.level).to_uppercase();
            let _ = writeln!(
                page,
                "| {} | {} | {level} | {} | {shown} |",
                clause.id, clause.section, clause.text
            );
        }
    }
    Ok(page)
}

/// How much of the text is accounted for.
fn accounted(demands: Option<&BTreeMap<String, Vec<String>>>) -> String {
    let Some(demands) = demands else {
        return "The demands of the text are not counted yet.".to_owned();
    };
    let fates: Vec<&str> = demands.values().flatten().map(String::as_str).collect();
    let count = |wanted: &str| fates.iter().filter(|fate| **fate == wanted).count();
    let (client, words) = (count("client"), count("words"));
    let refused: Vec<&str> = fates
        .iter()
        .filter_map(|fate| fate.strip_prefix("not served: "))
        .collect();
    let reasons: BTreeSet<&str> = refused.iter().copied().collect();
    let mut line = format!(
        "Of the {} MUST, MUST NOT, SHALL and REQUIRED of the text {} are clauses, {client} the client's, {words} explain the word, {} not served",
        fates.len(),
        fates.len() - client - words - refused.len(),
        refused.len()
    );
    if !reasons.is_empty() {
        line.push_str(": ");
        line.push_str(&reasons.into_iter().collect::<Vec<_>>().join("; "));
    }
    line.push('.');
    line
}
