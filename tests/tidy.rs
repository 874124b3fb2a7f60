//! The house rules that a compiler does not know: who may import whom, how long a
//! file may be, and that nobody who comes in by `lib.rs` is left without a map.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src/` in floor order: each imports only what stands above it.
const ROOMS: &[&str] = &[
    "ids",
    "version",
    "payload",
    "event",
    "retry",
    "conflict",
    "token",
    "clock",
    "caught",
    "metrics",
    "sample",
    "upcast",
    "aggregate",
    "codec",
    "store",
    "trace",
    "subscription",
    "follow",
    "projection",
    "snapshot",
    "repository",
    "command",
    "reaction",
    "domain",
    "http",
    "tool",
    "performance",
    "testkit",
];

/// The same inside of `src/store/`.
const STORE_ROOMS: &[&str] = &[
    "limits",
    "receipt",
    "fence",
    "checkpoint",
    "error",
    "commit",
    "facts",
    "removal",
    "report",
    "scan",
    "filter",
    "fold",
    "feed",
    "changes",
    "tables",
    "tx",
    "database",
    "backend",
    "recent",
    "wrapper",
    "verdict",
    "derived",
    "followers",
    "hook",
    "memory",
    "sqlite",
    "read",
    "lease",
    "handle",
];

/// The same inside of `src/store/sqlite/`.
const SQLITE_ROOMS: &[&str] = &[
    "options",
    "fault",
    "lock",
    "row",
    "guard",
    "head",
    "identity",
    "migrate",
    "schema",
    "removals",
    "leases",
    "names",
    "keys",
    "tail",
    "transaction",
    "streams",
    "append",
    "snapshots",
    "remove",
    "statements",
    "code",
    "walk",
    "positions",
    "inline",
    "ear",
    "bell",
    "hooks",
    "job",
    "inlet",
    "known",
    "writer",
    "pen",
    "verify",
    "backup",
    "info",
    "versions",
    "reader",
    "glance",
    "pool",
    "access",
    "database",
    "listen",
    "backend",
];

/// Rooms that never import each other, whatever their order.
const STRANGERS: &[[&str; 2]] = &[["memory", "sqlite"]];

const LINES_MAX: usize = 500;

struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// Lines of code: neither comments nor documentation.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"))
    }

    /// The folders and the file's own name below a folder of the crate.
    fn below(&self, folder: &str) -> Option<Vec<String>> {
        let path = self
            .path
            .strip_prefix(root().join(folder))
            .ok()?
            .with_extension("");
        Some(
            path.iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect(),
        )
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the crate") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push(File { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// The rooms that a line imports by `prefix`, such as `crate::store::`.
fn imports<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix).filter_map(move |(at, _)| {
        let rest = line.get(at + prefix.len()..)?;
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        rest.get(..end).filter(|name| !name.is_empty())
    })
}

/// Checks the order of the rooms in one folder and answers what breaks it.
fn out_of_order(folder: &str, prefixes: &[&str], rooms: &[&str]) -> Vec<String> {
    let place = |room: &str| rooms.iter().position(|known| *known == room);
    let mut broken = Vec::new();
    for room in rooms {
        let path = root().join(folder).join(room);
        let exists = path.with_extension("rs").exists() || path.join("mod.rs").exists();
        assert!(exists, "{folder} has no room {room}");
    }
    for file in files(folder) {
        let Some(room) = file.below(folder).and_then(|path| path.first().cloned()) else {
            continue;
        };
        let is_door = ["lib", "mod", "bin"].contains(&room.as_str());
        if is_door {
            continue;
        }
        let Some(own) = place(&room) else {
            broken.push(format!(
                "{}: room {room} is in no list of tidy.rs",
                file.path.display()
            ));
            continue;
        };
        for line in file.code() {
            for name in prefixes.iter().flat_map(|prefix| imports(line, prefix)) {
                let stranger = STRANGERS.iter().any(|pair| {
                    pair.contains(&room.as_str()) && pair.contains(&name) && room != name
                });
                if stranger || place(name).is_some_and(|imported| imported > own) {
                    broken.push(format!("{}: imports {name}", file.path.display()));
                }
            }
        }
    }
    broken
}

#[test]
fn modules_import_only_the_floors_below() {
    let none: Vec<String> = Vec::new();
    assert_eq!(out_of_order("src", &["crate::"], ROOMS), none);
}

#[test]
fn the_rooms_of_the_store_import_only_those_before() {
    let none: Vec<String> = Vec::new();
    assert_eq!(
        out_of_order("src/store", &["crate::store::"], STORE_ROOMS),
        none
    );
    let prefixes = ["super::", "crate::store::sqlite::"];
    assert_eq!(
        out_of_order("src/store/sqlite", &prefixes, SQLITE_ROOMS),
        none
    );
}

#[test]
fn imports_are_found_in_every_form() {
    let line = "use crate::store::{self, x}; let y = crate::event::z(crate::ids::A);";
    assert_eq!(
        imports(line, "crate::").collect::<Vec<_>>(),
        ["store", "event", "ids"]
    );
    assert_eq!(
        imports("use super::row::Fields;", "super::").collect::<Vec<_>>(),
        ["row"]
    );
}

#[test]
fn one_import_names_one_room() {
    // A list such as `crate::{a, b}` would hide its rooms from this test.
    for (folder, list) in [("src", "crate::{"), ("src/store", "crate::store::{")] {
        for file in files(folder) {
            let listed = file.code().any(|line| line.contains(list));
            assert!(!listed, "{} lists rooms in braces", file.path.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    for file in ["src", "tests", "examples", "benches"]
        .into_iter()
        .flat_map(files)
    {
        let lines = file.text.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines",
            file.path.display()
        );
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in ["src", "tests", "examples", "benches"]
        .into_iter()
        .flat_map(files)
    {
        assert!(
            file.text.starts_with("//!"),
            "{} opens without //!",
            file.path.display()
        );
    }
}

#[test]
fn every_module_is_on_the_tour_in_floor_order() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let tour: Vec<_> = lib
        .lines()
        .filter(|line| line.starts_with("//! |"))
        .collect();
    let place = |room: &str| {
        let cells = [format!("//! | `{room}` |"), format!("//! | [`{room}`] |")];
        tour.iter()
            .position(|line| cells.iter().any(|cell| line.starts_with(cell)))
    };
    let places: Vec<_> = ROOMS
        .iter()
        .map(|room| place(room).unwrap_or_else(|| panic!("{room} is not on the tour in lib.rs")))
        .collect();
    assert!(
        places.is_sorted(),
        "the tour in lib.rs is not in floor order"
    );

    for entry in fs::read_dir(root().join("src")).expect("src") {
        let path = entry.expect("an entry").path();
        let room = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        assert!(
            ["lib", "bin"].contains(&room.as_str()) || ROOMS.contains(&room.as_str()),
            "{room} is in no list of tidy.rs"
        );
    }
}

#[test]
fn the_fault_rig_is_linted_like_the_crate() {
    let lints = |manifest: &str| {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
        let lines = text.lines().skip_while(|line| *line != "[lints.rust]");
        let lints = lines.take_while(|line| !line.starts_with("[profile"));
        let lints = lints.filter(|line| !line.contains("unsafe") && !line.is_empty());
        lints.map(str::to_owned).collect::<Vec<_>>()
    };
    let own = lints("Cargo.toml");
    assert!(own.len() > 5, "no lints found: {own:?}");
    assert_eq!(lints("tests/power/Cargo.toml"), own);
}

#[test]
fn unsafe_code_stands_in_one_file_of_the_fault_rig() {
    for file in ["src", "tests", "examples", "benches"]
        .into_iter()
        .flat_map(files)
    {
        let is_unsafe = |line: &str| line.contains(concat!("unsa", "fe ")) && !line.contains('"');
        let allowed = file.path.ends_with("tests/power/src/vfs.rs");
        let found = file.code().any(is_unsafe);
        assert!(!found || allowed, "{} is unsafe", file.path.display());
    }
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    assert!(readme.lines().count() < 200);
}
