//! The command line `annalist`, with a domain of nothing; see [`annalist::tool`].

use std::process::ExitCode;

fn main() -> ExitCode {
    annalist::tool::main(annalist::Domain::new())
}
