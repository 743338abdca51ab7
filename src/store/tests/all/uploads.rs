//! Messages of any size and form go in and come out octet for octet.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use dbmail_core::limits::{CHUNK_BYTES, INLINE_UPLOAD_BYTES_MAX};
use dbmail_core::store::{Answer, FetchItems, Outcome, Refusal, Request, Timestamp, Uid, UidSet};
use dbmail_store::{Clock, Settings};
use dbmail_testcontainers::Kind;

use super::world::{World, everything, kind, on_each};

/// Octets that do not shrink, the same for the same seed.
fn noise(seed: u8, size: usize) -> Vec<u8> {
    let mut octets = vec![0; size];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut octets);
    octets
}

/// A multipart message with these bodies.
fn multipart(subject: &str, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = format!(
        "Received: from a by b\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"=b=\"\r\n\r\npreamble\r\n"
    )
    .into_bytes();
    for body in bodies {
        octets.extend(b"--=b=\r\nContent-Type: application/octet-stream\r\n\r\n");
        octets.extend(body);
        octets.extend(b"\r\n");
    }
    octets.extend(b"--=b=--\r\nepilogue");
    octets
}

async fn comes_back(world: &World, octets: &[u8], slice: usize) {
    let uid = world.append_slices(octets, slice).await.expect("appended");
    let messages = world
        .fetch("INBOX", &UidSet::range(uid, uid), FetchItems::default())
        .await;
    let message = messages.first().expect("the message");
    assert_eq!(message.content_size, octets.len() as u64);
    let back = world.content(message.content, message.content_size).await;
    assert!(
        back == octets,
        "{} octets in slices of {slice} came back otherwise",
        octets.len()
    );
}

#[test]
fn long_messages_come_back_as_they_were() {
    on_each(async || {
        let world = World::new().await;
        let text = |size: usize| {
            b"lorem ipsum dolor sit amet\r\n"
                .iter()
                .copied()
                .cycle()
                .take(size)
                .collect()
        };
        for octets in [
            multipart("one part of some chunks", &[noise(1, 3 * CHUNK_BYTES + 17)]),
            multipart(
                "parts of every length",
                &[
                    noise(2, 16_383),
                    noise(3, 16_384),
                    text(700_000),
                    noise(4, CHUNK_BYTES),
                ],
            ),
            multipart(
                "many short parts, more than may be held",
                &vec![text(15_000); 100],
            ),
            multipart(
                "long and short in turn",
                &(0..80)
                    .map(|n| {
                        if n % 2 == 0 {
                            noise(5, 20_000)
                        } else {
                            text(15_000)
                        }
                    })
                    .collect::<Vec<_>>(),
            ),
            noise(6, INLINE_UPLOAD_BYTES_MAX + 1),
            [
                b"Subject: a header of 300 kB\r\n".repeat(10_000),
                b"\r\nbody".to_vec(),
            ]
            .concat(),
            text(2_000_000),
        ] {
            for slice in [64 * 1024, 10_001] {
                comes_back(&world, &octets, slice).await;
            }
        }
        let counters = world.store.counters();
        assert_eq!(counters.opaque, 0);
        assert_eq!(world.count("upload"), 0);
    });
}

#[test]
fn messages_around_every_limit_come_back_as_they_were() {
    on_each(async || {
        let world = World::new().await;
        for size in [
            0,
            1,
            16_383,
            16_384,
            65_535,
            65_536,
            65_537,
            INLINE_UPLOAD_BYTES_MAX - 1,
            INLINE_UPLOAD_BYTES_MAX,
        ] {
            comes_back(&world, &noise(7, size), 4_096).await;
            let mut message = b"Subject: x\r\n\r\n".to_vec();
            message.extend(noise(8, size));
            comes_back(&world, &message, 4_096).await;
        }
        assert_eq!(world.store.counters().opaque, 0);
    });
}

#[test]
fn a_slice_anywhere_is_that_slice_of_the_message() {
    on_each(async || {
        let world = World::new().await;
        let octets = multipart(
            "slices",
            &[
                noise(1, 2 * CHUNK_BYTES),
                b"short".to_vec(),
                noise(2, 40_000),
            ],
        );
        world.append(&octets).await;
        let message = world
            .fetch("INBOX", &everything(), FetchItems::default())
            .await
            .remove(0);
        let size = octets.len();
        for (start, end) in [
            (0, 10),
            (0, 0),
            (100, 300),
            (size - 5, size),
            (CHUNK_BYTES - 3, CHUNK_BYTES + 200_000),
            (size, size + 5),
            (9, 3),
        ] {
            let request = Request::Read {
                content: message.content,
                start: start as u64,
                end: end as u64,
            };
            let Answer::Octets(got) = world.ask(request).await.expect("octets") else {
                panic!("no octets");
            };
            let (start, end) = (start.min(size), end.min(size));
            assert_eq!(got, octets[start..end.max(start)], "{start}..{end}");
        }
    });
}

#[test]
fn one_body_in_many_messages_is_stored_once() {
    on_each(async || {
        let world = World::new().await;
        let (short, long) = (noise(1, 100_000), noise(2, 600_000));
        for n in 0..4 {
            world
                .append(&multipart(
                    &format!("short {n}"),
                    std::slice::from_ref(&short),
                ))
                .await;
            world
                .append(&multipart(
                    &format!("long {n}"),
                    std::slice::from_ref(&long),
                ))
                .await;
            world
                .append(&multipart(
                    &format!("both {n}"),
                    &[short.clone(), long.clone()],
                ))
                .await;
        }
        assert_eq!(world.count("part WHERE state = 1"), 2);
        assert_eq!(world.count("part"), 2);
        assert_eq!(world.count("part_chunk WHERE ordinal < 65536"), 3);
    });
}

#[test]
fn a_long_stretch_without_a_part_is_packed_and_comes_back() {
    on_each(async || {
        let world = World::new().await;
        let text = |size: usize| {
            let lines = (0..)
                .flat_map(|n| format!("{n} lines of a text, one like the other\r\n").into_bytes());
            let head = b"Received: from a by b\r\nSubject: text\r\n\r\n"
                .iter()
                .copied();
            head.chain(lines.take(size)).collect::<Vec<u8>>()
        };
        comes_back(&world, &text(4_000), 1_000).await;
        assert_eq!(
            world.count("segment WHERE coding <> 0"),
            0,
            "short ones are kept as they are"
        );
        for size in [4_096, 16_383] {
            comes_back(&world, &text(size), 1_000).await;
        }
        // Staged, because of the part; the text before it is too short for one.
        comes_back(
            &world,
            &multipart("staged", &[text(15_000), noise(1, 2 * CHUNK_BYTES)]),
            65_536,
        )
        .await;
        assert_eq!(world.count("segment WHERE coding = 2"), 3);
        assert_eq!(
            world.count("segment WHERE coding = 2 AND length(octets) > seg_size / 3"),
            0
        );
        let uid = world.append(&text(15_000)).await;
        let messages = world
            .fetch("INBOX", &UidSet::range(uid, uid), FetchItems::default())
            .await;
        let content = messages.first().expect("the message").content;
        let middle = world
            .ask(Request::Read {
                content,
                start: 9_000,
                end: 9_100,
            })
            .await;
        let wanted = Bytes::copy_from_slice(&text(15_000)[9_000..9_100]);
        assert_eq!(middle, Ok(Answer::Octets(wanted)));
    });
}

#[test]
fn a_chunk_lies_in_rows_that_fill_the_pages_of_the_database() {
    on_each(async || {
        let world = World::new().await;
        for (place, size) in (0..).zip([100 * 1024, CHUNK_BYTES + 20_000]) {
            comes_back(&world, &multipart("chunks", &[noise(place, size)]), 65_536).await;
            assert_eq!(world.count(&format!("part WHERE packed_size = {size}")), 1);
        }
        let tails = match kind() {
            Kind::Sqlite => 0,
            Kind::Postgres => 12 + 64 + 2,
            Kind::MySql | Kind::MariaDb => 3,
        };
        assert_eq!(world.count("part_chunk WHERE tail IS NOT NULL"), tails);
    });
}

#[test]
fn an_upload_that_is_dropped_leaves_nothing_unfinished() {
    on_each(async || {
        let mut world = World::new().await;
        let mut upload = world.store.upload();
        for slice in multipart("dropped", &[noise(1, 3_000_000)])
            .chunks(100_000)
            .take(25)
        {
            upload
                .write(Bytes::copy_from_slice(slice))
                .await
                .expect("taken");
        }
        assert_eq!(
            (world.count("upload"), world.count("part WHERE state = 0")),
            (1, 1)
        );
        drop(upload);
        // On a server a store registers when it is opened.
        let newest = world.number("SELECT max(id) FROM front_end");
        world.reopen().await;
        assert_eq!(
            (
                world.count("upload"),
                world.count("part"),
                world.count(&format!("front_end WHERE id <= {newest}"))
            ),
            (0, 0, 0)
        );
    });
}

#[test]
fn a_message_over_the_limit_is_refused_while_it_comes() {
    on_each(async || {
        let world = World::with(|s| Settings {
            message_bytes_max: 1_000_000,
            ..s
        })
        .await;
        let refused = world.append_slices(&noise(1, 1_000_001), 65_536).await;
        assert_eq!(refused, Err(Refusal::Limit("the message is too large")));
        comes_back(&world, &noise(1, 1_000_000), 65_536).await;
    });
}

#[test]
fn a_long_message_for_several_recipients_is_stored_once_with_a_prefix_for_each() {
    on_each(async || {
        let world = World::new().await;
        let octets = multipart("for all", &[noise(1, 500_000)]);
        let outcomes = world.deliver(&octets, &["INBOX", "Sent", "Drafts"]).await;
        assert!(
            outcomes
                .iter()
                .all(|o| matches!(o, Outcome::Stored { repeat: false, .. })),
            "{outcomes:?}"
        );
        assert_eq!(
            (
                world.count("content"),
                world.count("email"),
                world.count("message")
            ),
            (1, 3, 3)
        );
        let again = world.deliver(&octets, &["INBOX", "Sent", "Drafts"]).await;
        assert!(
            again
                .iter()
                .all(|o| matches!(o, Outcome::Stored { repeat: true, .. })),
            "{again:?}"
        );
        assert_eq!((world.count("content"), world.count("upload")), (1, 0));
        assert_eq!(world.store.counters().repeats, 3);
    });
}

#[test]
fn what_nobody_needs_is_collected_and_what_is_used_is_not() {
    on_each(async || {
        let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let clock = Arc::clone(&now);
        let world = World::with(|s| Settings {
            clock: Clock::new(move || Timestamp(clock.load(Ordering::Relaxed))),
            background_seconds: 1,
            ..s
        })
        .await;
        let kept = multipart("kept", &[noise(1, 600_000)]);
        world.append(&kept).await;
        world.deliver(&kept, &["INBOX"]).await;
        // A part that is finished, of an upload that is given up; and an upload whose session forgot it without a word.
        let mut upload = world.store.upload();
        upload
            .write(multipart("dropped", &[noise(2, 600_000), noise(3, 1_500_000)]).into())
            .await
            .expect("taken");
        std::mem::forget(upload);
        assert_eq!((world.count("upload"), world.count("delivery")), (1, 1));
        now.fetch_add(8 * 24 * 3_600_000_000, Ordering::Relaxed);
        for _ in 0..100 {
            if world.count("upload") + world.count("delivery") == 0 && world.count("part") == 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(
            (
                world.count("upload"),
                world.count("delivery"),
                world.count("part")
            ),
            (0, 0, 1)
        );
        let message = world
            .fetch(
                "INBOX",
                &UidSet::range(Uid::MIN, Uid::MIN),
                FetchItems::default(),
            )
            .await
            .remove(0);
        assert!(world.content(message.content, message.content_size).await == kept);
    });
}

/// The folder of samples; `None` when there is none, which is said.
fn samples() -> Option<PathBuf> {
    let given = std::env::var_os("DBMAIL_MAIL_SAMPLES").map(PathBuf::from);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let folder = given.unwrap_or_else(|| root.join("shared/mail-samples"));
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        !(std::env::var_os("CI").is_some_and(|ci| ci == "true") && root.join("shared").is_dir()),
        "the mail samples can't be read: {}",
        folder.display()
    );
    None
}

#[test]
fn every_mail_sample_comes_back_as_it_was() {
    on_each(async || {
        let Some(folder) = samples() else {
            eprintln!("skipped every_mail_sample_comes_back_as_it_was: no folder of mail samples");
            return;
        };
        let world = World::new().await;
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .expect("the samples")
            .map(|entry| entry.expect("a sample").path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .collect();
        paths.sort();
        assert!(paths.len() > 100, "only {} samples", paths.len());
        let mut expected: Vec<Vec<u8>> = Vec::new();
        for path in &paths {
            let octets = std::fs::read(path).expect("a sample");
            let mut crlf = Vec::with_capacity(octets.len());
            for (n, byte) in octets.iter().enumerate() {
                if *byte == b'\n' && (n == 0 || octets[n - 1] != b'\r') {
                    crlf.push(b'\r');
                }
                crlf.push(*byte);
            }
            for form in [octets, crlf] {
                world.append(&form).await;
                expected.push(form);
            }
        }
        let items = FetchItems {
            content: true,
            header: true,
            ..FetchItems::default()
        };
        let messages = world.fetch("INBOX", &everything(), items).await;
        assert_eq!(messages.len(), expected.len());
        for (message, expected) in messages.iter().zip(&expected) {
            let read = world.content(message.content, message.content_size).await;
            assert!(
                read == *expected,
                "uid {:?} came back otherwise",
                message.uid
            );
            if let Some(octets) = &message.octets {
                assert!(
                    octets == expected,
                    "uid {:?} came otherwise in its page",
                    message.uid
                );
            } else {
                assert!(expected.len() > 512 * 1024);
            }
            if let Some(header) = &message.header {
                assert_eq!(header.len() as u64, message.header_size);
                assert!(expected.starts_with(header));
            }
        }
        assert_eq!(world.store.counters().opaque, 0);
    });
}
