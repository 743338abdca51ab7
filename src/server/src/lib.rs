//! The program: listeners, TLS, configuration, the directory of users, metrics, administration. It runs the
//! sessions of `dbmail_core` on streams and carries their questions to `dbmail_store`.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod directory;
pub mod exit;
pub mod http;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod password;
pub mod serve;
pub mod sessions;
pub mod shell;
pub mod tls;
