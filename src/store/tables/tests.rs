//! What is renamed and what is not, and that SQLite agrees.

use std::borrow::Cow;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;

fn tables(declared: &[&str], build: u32) -> Tables {
    Tables::new(declared.iter().copied(), build).expect("tables")
}

/// Statements as they are written, and as they run in build 3 of what fills
/// `balances`, `balance_notes` and `docs`.
const RENAMED: &[(&str, &str)] = &[
    ("SELECT * FROM balances", "SELECT * FROM balances__r3"),
    ("balances", "balances__r3"),
    ("DELETE FROM BALANCES;", "DELETE FROM balances__r3;"),
    (
        "SELECT balances.cents, b.balances FROM balances b, balance_notes",
        "SELECT balances__r3.cents, b.balances FROM balances__r3 b, balance_notes__r3",
    ),
    (
        "INSERT INTO balances(cents) VALUES(1) ON CONFLICT DO UPDATE SET cents = balances.cents + excluded.cents",
        "INSERT INTO balances__r3(cents) VALUES(1) ON CONFLICT DO UPDATE SET cents = balances__r3.cents + excluded.cents",
    ),
    // Schemas.
    ("FROM main.balances", "FROM main.balances__r3"),
    (
        "FROM \"Temp\" /* . */ . [balances]",
        "FROM \"Temp\" /* . */ . [balances__r3]",
    ),
    ("main.balances.balances", "main.balances__r3.balances"),
    ("x.main.balances, balances", "x.main.balances, balances__r3"),
    (
        ".5 balances 1.e balances",
        ".5 balances__r3 1.e balances__r3",
    ),
    // Quotes.
    (
        "\"balances\" `balances`[balances] [balances]",
        "\"balances__r3\" `balances__r3`[balances__r3] [balances__r3]",
    ),
    ("\"Balances\".cents", "\"balances__r3\".cents"),
    (
        "'balances' 'it''s balances' balances 'balances",
        "'balances' 'it''s balances' balances__r3 'balances",
    ),
    (
        "X'00'balances/*balances*/balances",
        "X'00'balances__r3/*balances*/balances__r3",
    ),
    (
        "-- balances, don't\nbalances--balances",
        "-- balances, don't\nbalances__r3--balances",
    ),
    (
        "/**/balances/*/balances*/docs",
        "/**/balances__r3/*/balances*/docs__r3",
    ),
    ("balances /* balances", "balances__r3 /* balances"),
    ("naïve_balances, balances", "naïve_balances, balances__r3"),
    (
        "balances\u{a0}balances balances",
        "balances\u{a0}balances balances__r3",
    ),
    // PostgreSQL.
    (
        "balances.tags[docs.n] = ARRAY['a]', balances.x]",
        "balances__r3.tags[docs__r3.n] = ARRAY['a]', balances__r3.x]",
    ),
    (
        "balances = E'it\\'s balances' OR docs",
        "balances__r3 = E'it\\'s balances' OR docs__r3",
    ),
    (
        "$f$ balances $$ ' $f$ balances $$balances$$ docs",
        "$f$ balances $$ ' $f$ balances__r3 $$balances$$ docs__r3",
    ),
    ("$1::text, $1$x, balances", "$1::text, $1$x, balances__r3"),
    ("NULL::balances @> docs", "NULL::balances__r3 @> docs__r3"),
    // Parameters.
    (
        "$balances :balances @balances ?1 balances",
        "$balances :balances @balances ?1 balances__r3",
    ),
    // What stands beside tables.
    (
        "CREATE INDEX by_cents ON balances (cents)",
        "CREATE INDEX by_cents__r3 ON balances__r3 (cents)",
    ),
    (
        "create unique index if not exists main.\"by \"\"cents\" on balances (cents)",
        "create unique index if not exists main.\"by \"\"cents__r3\" on balances__r3 (cents)",
    ),
    (
        "CREATE INDEX CONCURRENTLY ON balances (cents)",
        "CREATE INDEX CONCURRENTLY ON balances__r3 (cents)",
    ),
    (
        "CREATE TEMP TRIGGER noted AFTER INSERT ON balances BEGIN DELETE FROM docs; SELECT new.docs; END",
        "CREATE TEMP TRIGGER noted__r3 AFTER INSERT ON balances__r3 BEGIN DELETE FROM docs__r3; SELECT new.docs; END",
    ),
    (
        "DROP INDEX IF EXISTS by_cents",
        "DROP INDEX IF EXISTS by_cents__r3",
    ),
    (
        "DROP /* x */ TRIGGER [noted]",
        "DROP /* x */ TRIGGER [noted__r3]",
    ),
    ("DROP INDEX \"\"", "DROP INDEX \"__r3\""),
    ("DROP INDEX by_cents__R3", "DROP INDEX by_cents__R3"),
    ("DROP INDEX by_cents__r33", "DROP INDEX by_cents__r33__r3"),
    (
        " ; REINDEX by_cents; REINDEX; SELECT x",
        " ; REINDEX by_cents__r3; REINDEX; SELECT x",
    ),
    ("REINDEX main.balances", "REINDEX main.balances__r3"),
    (
        "SELECT reindex FROM balances AS b INDEXED BY by_cents WHERE x",
        "SELECT reindex FROM balances__r3 AS b INDEXED BY by_cents__r3 WHERE x",
    ),
    (
        "DROP TABLE x; CREATE TABLE y(z)",
        "DROP TABLE x; CREATE TABLE y(z)",
    ),
    (
        "SELECT t.create, index_of FROM docs NOT INDEXED ORDER BY x",
        "SELECT t.create, index_of FROM docs__r3 NOT INDEXED ORDER BY x",
    ),
    // Full text search has a column named after its table.
    (
        "INSERT INTO docs(docs) VALUES('rebuild')",
        "INSERT INTO docs__r3(docs__r3) VALUES('rebuild')",
    ),
    (
        "CREATE VIRTUAL TABLE docs USING fts5(body, content=balances, prefix='docs')",
        "CREATE VIRTUAL TABLE docs__r3 USING fts5(body, content=balances__r3, prefix='docs')",
    ),
];

#[test]
fn declared_names_become_those_of_the_build() {
    let tables = tables(&["balances", "balance_notes", "docs"], 3);
    for (sql, expected) in RENAMED {
        let rewritten = tables.rewrite(sql);
        assert_eq!(rewritten, *expected, "of {sql}");
        assert_eq!(tables.rewrite(&rewritten), *expected, "again, of {sql}");
        let is_borrowed = matches!(rewritten, Cow::Borrowed(_));
        assert_eq!(is_borrowed, sql == expected, "of {sql}");
    }
}

#[test]
fn where_no_table_is_declared_nothing_is_renamed_or_owned() {
    let tables = tables(&[], 3);
    let sql = "CREATE INDEX by_cents ON balances (cents)";
    assert!(matches!(tables.rewrite(sql), Cow::Borrowed(same) if same == sql));
    assert!(!tables.owns("by_cents__r3"));
}

#[test]
fn a_build_owns_its_tables_and_what_stands_beside_them() {
    let tables = tables(&["docs", "Notes"], 3);
    for name in ["docs__r3", "DOCS__R3", "notes__r3", "docs__r3_data"] {
        assert!(tables.owns(name), "{name}");
    }
    for name in [
        "sqlite_autoindex_docs__r3_1",
        "by_cents__r3",
        "By_Cents__R3",
    ] {
        assert!(!tables.owns(name) && tables.may_own(name), "{name}");
    }
    for name in [
        "docs",
        "docs__r30",
        "docs__r2",
        "docs__r",
        "docs_data",
        "sqlite_schema",
        "sqlite_autoindex_docs_1",
        "events",
        "ä__r2",
        "",
    ] {
        assert!(!tables.owns(name) && !tables.may_own(name), "{name}");
    }
    assert_eq!(tables.declared(), ["docs", "Notes"]);
    assert_eq!(tables.physical("NOTES"), "Notes__r3");
    let pairs: Vec<_> = tables.pairs().collect();
    assert_eq!(pairs, [("docs", "docs__r3"), ("Notes", "Notes__r3")]);
}

#[test]
fn names_that_would_be_mistaken_are_refused() {
    let long = "a".repeat(Tables::NAME_BYTES_MAX + 1);
    for name in [
        "",
        "1a",
        "a b",
        "a.b",
        "a$",
        "ä",
        "\"a\"",
        "annalist_x",
        "SQLite_x",
        "a__r3",
        "a__R03",
        "__r1",
        "a__r1_b",
        "a__R20__b",
        "order",
        "KEY",
        "user",
        &long,
    ] {
        let refused = Tables::new([name], 1).expect_err(name);
        assert_eq!(refused.name, name);
    }
    for name in [
        "_", "a1", "a__r", "a_r3", "a__r3b", "a__r_1", "annalist", "sqlite", "orders", "document",
        "total", "users",
    ] {
        assert!(Tables::new([name], 1).is_ok(), "{name}");
    }
    assert!(Tables::new([&long[1..]], 1).is_ok());
    let twice = Tables::new(["a", "b", "A"], 1).expect_err("twice");
    assert_eq!(twice.to_string(), "the table name \"A\" is declared twice");
}

/// Text made of what matters to the rewriter.
fn sql() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "balances", "DOCS", "x", "e", "main", "temp", "create", "drop", "index", "trigger",
            "reindex", "indexed", "by", "if", "on", "by_cents", "by_cents__r3", "12", "ü",
        ]),
        6 => prop::sample::select(vec![
            " ", "\n", ".", ";", "'", "\"", "`", "[", "]", "--", "/*", "*/", "$", "$$", ":", "::",
            "@", "?", "(", ")", ",", "\\", "-", "/",
        ]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn tokens_lose_nothing(text in prop_oneof![sql(), any::<String>()]) {
        let tokens: String = Tokens::new(&text).map(|token| token.text).collect();
        prop_assert_eq!(tokens, text);
    }

    #[test]
    fn rewriting_twice_is_rewriting_once(text in prop_oneof![sql(), any::<String>()]) {
        let tables = tables(&["balances", "docs"], 3);
        let once = tables.rewrite(&text).into_owned();
        let twice = tables.rewrite(&once);
        prop_assert_eq!(&twice, &once);
        prop_assert!(matches!(twice, Cow::Borrowed(_)));
        let removed = once.replace("balances__r3", "balances").replace("__r3", "");
        prop_assert_eq!(removed.to_lowercase(), text.replace("__r3", "").to_lowercase());
    }

    #[test]
    fn names_that_do_not_occur_are_not_found(text in "[a-z .,;'\"\\[\\]$/*-]*") {
        prop_assume!(!["create", "drop", "reindex", "indexed"].iter().any(|word| text.contains(word)));
        let tables = tables(&["B_1"], 3);
        prop_assert!(matches!(tables.rewrite(&text), Cow::Borrowed(same) if same == text));
    }
}

/// What a projection may run, in order.
const RUN: &[&str] = &[
    "CREATE TABLE balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL, UNIQUE (cents, account))",
    "CREATE TABLE balance_notes (id INTEGER PRIMARY KEY, account REFERENCES balances (account), note)",
    "CREATE UNIQUE INDEX IF NOT EXISTS main.\"by cents\" ON balances (cents, account)",
    "CREATE INDEX by_note ON [balance_notes] (note) WHERE note <> 'balances'",
    "CREATE TRIGGER noted AFTER UPDATE OF cents ON balances BEGIN \
       INSERT INTO balance_notes (account, note) SELECT account, 'was ' || old.cents FROM balances \
       WHERE balances.account = new.account; END",
    "CREATE TRIGGER dropped AFTER DELETE ON balances BEGIN SELECT 1; END",
    "CREATE INDEX dropped ON balances (account)",
    "DROP TRIGGER IF EXISTS main.dropped",
    "DROP INDEX dropped",
    "INSERT INTO balances AS b (account, cents) VALUES ('a', 1)",
    "INSERT INTO balances VALUES ('a', 2) ON CONFLICT (account) DO UPDATE SET cents = balances.cents + excluded.cents",
    "UPDATE main.balances SET cents = cents + 1",
    "REINDEX \"by cents\"",
    "REINDEX balances",
    "CREATE VIRTUAL TABLE docs USING fts5(note, content=balance_notes, content_rowid=id)",
    "INSERT INTO docs(docs) VALUES('rebuild')",
];

#[test]
fn builds_stand_side_by_side_in_a_database() {
    let db = Connection::open_in_memory().expect("a database");
    let builds = [3, 4].map(|build| tables(&["balances", "balance_notes", "docs"], build));
    for tables in &builds {
        for sql in RUN {
            let run = db.execute_batch(&tables.rewrite(sql));
            run.unwrap_or_else(|error| panic!("{error} in {}", tables.rewrite(sql)));
        }
        let read = "SELECT balances.cents, (SELECT group_concat(note) FROM balance_notes INDEXED BY by_note \
             WHERE note <> 'balances'), (SELECT count(*) FROM docs WHERE docs MATCH 'was') FROM balances";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: (i64, String, i64) = db.query_row(&tables.rewrite(read), [], row).expect(read);
        assert_eq!(found, (4, "was 1,was 3".to_owned(), 2));
    }
    let mut names = db
        .prepare("SELECT name FROM sqlite_schema")
        .expect("a query");
    let names = names.query_map([], |row| row.get(0)).expect("names");
    let names: Vec<String> = names.map(|name| name.expect("a name")).collect();
    assert_eq!(names.len() % 2, 0, "{names:?}");
    for name in &names {
        let owners = builds.iter();
        let owners = owners.filter(|tables| tables.owns(name) || tables.may_own(name));
        let owners = owners.count();
        assert_eq!(owners, 1, "{name}");
    }
    assert!(names.iter().any(|name| name == "by cents__r4"), "{names:?}");
    assert!(!names.iter().any(|name| name == "dropped__r4"), "{names:?}");
}
