#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| dbmail_spec::harness::search(data));
