//! The program `dbmail`.

fn main() -> std::process::ExitCode {
    dbmail::cli::main()
}
