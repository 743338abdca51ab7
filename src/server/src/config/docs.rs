//! The configuration as text: the page for operators, and what `check-config` prints.

use std::fmt::Write as _;

use super::{KEYS, Key, Kind, Loaded, SECTIONS, masked_url};

/// The page `docs/operate/configuration.md`.
#[must_use]
pub fn documentation() -> String {
    let mut page = String::from(
        "# Configuration\n\
         \n\
         <!-- Made from the key table in src/server/src/config/keys.rs; a test keeps it fresh:\n\
         DBMAIL_UPDATE_DOCS=1 cargo test -p dbmail configuration_page -->\n\
         \n\
         `dbmail --config FILE …` reads a TOML file; without the option, `/etc/dbmail/dbmail.toml` when it is there. Every key\n\
         is also an environment variable, which goes before the file. Where neither sets a key, its default holds.\n\
         `dbmail check-config` shows what is in effect and where each value came from. An unknown key is an error.\n\
         \n\
         A list is a TOML array of strings; in a variable its values are separated by commas, and an empty one is an empty list.\n\
         Sizes take K, M, G and T (of 1,024); times take s, m, h and d.\n",
    );
    for (section, about) in SECTIONS {
        let _ = write!(page, "\n## [{section}]\n\n{about}\n");
        for key in KEYS.iter().filter(|key| key.section == *section) {
            let _ = write!(
                page,
                "\n### {}\n\n- TOML: `{}`\n- variable: `{}`\n- value: {}\n\n{}\n",
                key.path(),
                written(key, key.default).replace('\n', " "),
                key.variable(),
                key.kind.name(),
                key.doc,
            );
        }
    }
    page
}

/// A key with its value as TOML.
fn written(key: &Key, text: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let value = if key.kind.is_list() {
        let items: Vec<String> = text
            .split(',')
            .map(str::trim)
            .filter(|i| !i.is_empty())
            .map(quoted)
            .collect();
        format!("[{}]", items.join(", "))
    } else if key.kind.is_bare() {
        text.to_owned()
    } else if key.kind == Kind::Url {
        quoted(&masked_url(text))
    } else {
        quoted(text)
    };
    format!("{} = {value}", key.name)
}

/// The configuration in effect as TOML, with the origin of each value; secrets are masked.
#[must_use]
pub fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    for (section, _) in SECTIONS {
        let _ = writeln!(
            text,
            "{}[{section}]",
            if text.is_empty() { "" } else { "\n" }
        );
        for (key, (value, origin)) in KEYS.iter().zip(&loaded.values) {
            if key.section == *section {
                let _ = writeln!(text, "{}  # {origin}", written(key, value));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::load_text;
    use super::*;

    #[test]
    fn the_configuration_page_is_fresh() {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate/configuration.md");
        if std::env::var_os("DBMAIL_UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, documentation()).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            page == documentation(),
            "docs/operate/configuration.md is stale: run DBMAIL_UPDATE_DOCS=1 cargo test -p dbmail configuration_page"
        );
    }

    #[test]
    fn the_effective_configuration_reads_back_as_itself() {
        let text = "[database]\nurl = \"sqlite:/a\\\"b\"\n[lmtp]\nlisten = [\"unix:/x\", \"127.0.0.1:24\"]";
        let first = load_text(text, Path::new("x.toml"), []).unwrap();
        let shown = effective(&first);
        assert!(
            shown.contains("# x.toml") && shown.contains("# default"),
            "{shown}"
        );
        // IMAPS written out without a certificate would be a demand for it.
        let again = load_text(
            &shown.replace("\"127.0.0.1:1993\"", ""),
            Path::new("y.toml"),
            [],
        )
        .unwrap();
        for ((key, a), b) in KEYS.iter().zip(&first.values).zip(&again.values) {
            if key.name != "tls_listen" {
                assert_eq!(a.0, b.0, "{}", key.path());
            }
        }
    }
}
