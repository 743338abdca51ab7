//! The executable specification: grammars, clauses, models.
