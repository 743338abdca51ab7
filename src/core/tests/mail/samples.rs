//! The sample messages that lie beside the repository.

use std::path::PathBuf;

use crate::laws;

/// A sample: its file name and its bytes.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// All samples, each as it is and, where that differs, with CRLF line ends. `None`, said by name, where there are none; in CI they must be readable where `../shared` is.
pub(crate) fn samples(test: &str) -> Option<Vec<Sample>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("DBMAIL_MAIL_SAMPLES")
        .map_or_else(|| root.join("../shared/mail-samples"), PathBuf::from);
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) => {
            assert!(
                !(ci && root.join("../shared").exists()),
                "{}: {error}",
                folder.display()
            );
            eprintln!("SKIPPED {test}: no samples in {}", folder.display());
            return None;
        }
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
    files.sort();
    assert!(!files.is_empty(), "no samples in {}", folder.display());
    let mut samples = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&file).unwrap();
        let crlf = with_crlf(&bytes);
        if crlf != bytes {
            samples.push(Sample {
                name: format!("{name} with CRLF"),
                bytes: crlf,
            });
        }
        samples.push(Sample { name, bytes });
    }
    Some(samples)
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    for &byte in bytes {
        if byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

#[test]
fn the_laws_hold_for_all_samples() {
    let Some(samples) = samples("the_laws_hold_for_all_samples") else {
        return;
    };
    for (number, sample) in samples.iter().enumerate() {
        let cuts = [1 + number % 7, 61, 997, 4096, 3 + number % 31];
        let run = std::panic::catch_unwind(|| laws::hold(&sample.bytes, &cuts));
        assert!(run.is_ok(), "{}", sample.name);
    }
}
