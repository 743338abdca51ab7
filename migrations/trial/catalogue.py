"""Compares a database's catalogue, after the migration, with ../schema.toml. Prints each difference.

    python catalogue.py TARGET        (as for run.py; the database is emptied first)
"""
import sys
import tomllib

from db import MIGRATIONS, connect

# what a kind of schema.toml is called in each catalogue: (kind, max) -> the type's text
TYPES = {
    "sqlite": lambda k, m: {"int64": "INTEGER", "int32": "INTEGER", "text": "TEXT", "bytes": "BLOB"}[k],
    "postgres": lambda k, m: {"int64": "bigint", "int32": "integer", "text": "text", "bytes": "bytea"}[k],
    "mysql": lambda k, m: {"int64": "bigint", "int32": "int", "text": f"varchar({m})",
                           "bytes": f"varbinary({m})" if m and m <= 2048 else "mediumblob"}[k],
    "oracle": lambda k, m: {"int64": "NUMBER(19)", "int32": "NUMBER(10)", "text": "VARCHAR2",
                            "bytes": f"RAW({m})" if m and m <= 2000 else "BLOB"}[k],
}


def found(db):
    """{table: ([(column, type, nullable)], [key columns])} as the catalogue has it."""
    tables = {}
    if db.folder == "sqlite":
        for (t,) in db.query("SELECT name FROM sqlite_master WHERE type = 'table'"):
            rows = db.query(f"PRAGMA table_info({t})")
            key = [r[1] for r in sorted((r for r in rows if r[5]), key=lambda r: r[5])]
            tables[t] = ([(r[1], r[2], not r[3]) for r in rows], key)
        return tables
    if db.folder == "oracle":
        cols = [(t.lower(), c.lower(), oracle_type(ty, length, precision), null == "Y")
                for t, c, ty, length, precision, null in db.query(
                    "SELECT table_name, column_name, data_type, data_length, data_precision, nullable"
                    " FROM user_tab_columns ORDER BY table_name, column_id")]
        keys = {}  # not compared: the stand-in has no USER_CONS_COLUMNS
    else:
        here = "current_schema()" if db.folder == "postgres" else "database()"
        kind = "data_type" if db.folder == "postgres" else "column_type"
        cols = [(t, c, ty.removesuffix("(20)").removesuffix("(11)"), null == "YES") for t, c, ty, null in db.query(
            f"SELECT table_name, column_name, {kind}, is_nullable FROM information_schema.columns"
            f" WHERE table_schema = {here} ORDER BY table_name, ordinal_position")]
        keys = {}
        for t, c in db.query(
                "SELECT k.table_name, k.column_name FROM information_schema.key_column_usage k"
                " JOIN information_schema.table_constraints c ON c.constraint_name = k.constraint_name"
                " AND c.table_name = k.table_name AND c.table_schema = k.table_schema"
                f" WHERE c.constraint_type = 'PRIMARY KEY' AND k.table_schema = {here}"
                " ORDER BY k.table_name, k.ordinal_position"):
            keys.setdefault(t, []).append(c)
    for t, c, ty, null in cols:
        tables.setdefault(t, ([], keys.get(t)))[0].append((c, ty, null))
    return tables


def oracle_type(kind, length, precision):
    """VARCHAR2 without its length: that is characters in the DDL and octets in the catalogue."""
    if kind == "NUMBER":
        return f"NUMBER({precision})"
    return f"RAW({length})" if kind == "RAW" else kind


def main():
    db = connect(sys.argv[1])
    db.apply()
    with open(f"{MIGRATIONS}/schema.toml", "rb") as f:
        wanted = tomllib.load(f)["table"]
    have, differences = found(db), []
    for t in sorted(set(wanted) | set(have)):
        if t not in have or t not in wanted:
            differences.append(f"{t}: only in {'schema.toml' if t in wanted else 'the database'}")
            continue
        want = [(c["name"], TYPES[db.folder](c["kind"], c.get("max")), c.get("nullable", False)) for c in wanted[t]["columns"]]
        got, key = have[t]
        differences += [f"{t}: {w} wanted, {g} found" for w, g in zip(want, got) if w != g]
        if len(want) != len(got):
            differences.append(f"{t}: {len(want)} columns wanted, {len(got)} found")
        if key is not None and key != wanted[t]["key"]:
            differences.append(f"{t}: key {wanted[t]['key']} wanted, {key} found")
    print("\n".join(differences) or f"{db.folder}: {len(wanted)} tables as described")
    raise SystemExit(bool(differences))


if __name__ == "__main__":
    main()
