#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| dbmail_spec::harness::imap_sentence(data));
