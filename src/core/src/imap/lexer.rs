//! From octets to whole commands: lines, literals, limits.
