//! Conformance from outside. What there is stands in `clients/`: real mail clients, every mail sample, hostile peers, crashes
//! and syncs, run against any server (`clients/README.md`). The suite by clauses of the RFCs, a program of this crate, is not
//! written yet, and nothing here claims it.
