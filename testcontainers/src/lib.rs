//! Databases for the tests.
