//! The command line `annalist`; see [`annalist::tool`].

use std::process::ExitCode;

fn main() -> ExitCode {
    annalist::tool::main()
}
