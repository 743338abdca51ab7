//! The store of DBMail: requests of `dbmail_core::store`, answered from an SQL database.
