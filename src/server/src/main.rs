//! The program `dbmail`.

/// Answers are many small buffers that one thread fills and another sends; the C library's allocator spent a tenth
/// of a large FETCH on them (docs/measured).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    dbmail::cli::main()
}
