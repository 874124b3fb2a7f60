//! What the command line takes, and how a time is read.

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, Utc};
use clap::{Args, Parser, Subcommand};

use crate::ids::EventType;

/// Looks into Annalist store files and checks them.
#[derive(Debug, Parser)]
#[command(name = "annalist", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// Answer in JSON, one document a line.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check every row; exit code 3 if something is damaged.
    Verify {
        /// The store file.
        file: PathBuf,
    },
    /// Copy the store to a new file while it is in use, and check the copy.
    Backup {
        /// The store file.
        file: PathBuf,
        /// The file to write; there must be none yet.
        to: PathBuf,
    },
    /// Print the events of a stream.
    Show {
        /// The store file.
        file: PathBuf,
        /// The stream, such as account-42.
        stream: String,
        /// Begin with the last event.
        #[arg(long)]
        backwards: bool,
        /// Print so many events at most.
        #[arg(long, value_name = "EVENTS")]
        limit: Option<u64>,
    },
    /// Print the state of a stream, or its events where no aggregate folds them.
    Replay {
        /// The store file.
        file: PathBuf,
        /// The stream, such as account-42.
        stream: String,
        /// As it was at this version.
        #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
        at: Option<u64>,
        /// As it was recorded at this time, such as 2026-01-31T18:00:00+01:00.
        #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "at")]
        as_of: Option<DateTime<Utc>>,
    },
    /// List the streams.
    Streams {
        /// The store file.
        file: PathBuf,
        /// Only streams of this category.
        #[arg(long, conflicts_with = "prefix")]
        category: Option<String>,
        /// Only streams that begin so.
        #[arg(long)]
        prefix: Option<String>,
        /// List so many streams at most.
        #[arg(long, value_name = "STREAMS")]
        limit: Option<u64>,
    },
    /// Print what happened last over all streams: events, and what was removed.
    Tail(Tail),
    /// Print what has one correlation id, each event under the one that caused it.
    Trace {
        /// The store file.
        file: PathBuf,
        /// The correlation id.
        correlation_id: String,
    },
    /// List what follows the store, such as projections, and how far each has come.
    Projections {
        /// The store file.
        file: PathBuf,
        /// The file of read models beside the store; without it, those in the store.
        #[arg(long, value_name = "OTHER")]
        database: Option<PathBuf>,
    },
    /// Do something about one projection.
    #[command(subcommand)]
    Projection(Projection),
    /// Print how much the store holds.
    Stats {
        /// The store file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Projection {
    /// Make it anew beside the one that is read, which it replaces in one step.
    Rebuild(Rebuild),
    /// Drop it, with its tables and all that is recorded of it. An inline one need not be
    /// there to append any more.
    Drop(Drop),
}

#[derive(Debug, Args)]
pub(super) struct Drop {
    /// The store file.
    file: PathBuf,
    /// The projection, or whatever else follows under this name.
    pub(super) name: String,
    /// The file of read models beside the store; without it, those in the store.
    #[arg(long, value_name = "OTHER")]
    pub(super) database: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Rebuild {
    /// The store file.
    file: PathBuf,
    /// The projection.
    pub(super) name: String,
    /// Keep the tables of the build that is read now, under the name of that build.
    #[arg(long)]
    pub(super) keep_old: bool,
    /// The file of read models beside the store, where it is in none that the program names.
    #[arg(long, value_name = "OTHER")]
    pub(super) database: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Tail {
    /// The store file.
    file: PathBuf,
    /// Go on with what happens, in this process or another, until interrupted.
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only streams of this category; once more for another.
    #[arg(long = "category", value_name = "CATEGORY")]
    pub(super) categories: Vec<String>,
    /// Only streams that begin so; once more for another.
    #[arg(long = "prefix", value_name = "PREFIX")]
    pub(super) prefixes: Vec<String>,
    /// Only events of this type, and removals, which are of none; once more for another.
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) types: Vec<EventType>,
    /// Begin at this position.
    #[arg(long, value_name = "POSITION")]
    pub(super) from: Option<u64>,
    /// Begin so many before the end; 10, unless --from says where.
    #[arg(short = 'n', long, value_name = "EVENTS")]
    limit: Option<u64>,
}

impl Tail {
    /// How many to begin before the end; none for as many as there are.
    pub(super) fn last(&self) -> Option<u64> {
        self.limit.or(match self.from {
            Some(_) => None,
            None => Some(10),
        })
    }
}

impl Command {
    /// The store file, which every command is about.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::Verify { file }
            | Self::Backup { file, .. }
            | Self::Show { file, .. }
            | Self::Replay { file, .. }
            | Self::Streams { file, .. }
            | Self::Tail(Tail { file, .. })
            | Self::Trace { file, .. }
            | Self::Projections { file, .. }
            | Self::Projection(
                Projection::Rebuild(Rebuild { file, .. }) | Projection::Drop(Drop { file, .. }),
            )
            | Self::Stats { file } => file,
        }
    }
}

/// Reads a time as RFC 3339 has it.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let error = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => return Ok(time.to_utc()),
        Err(error) => error,
    };
    // The mistake that is easily made: it would mean another time on another machine.
    let without_offset = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .any(|form| NaiveDateTime::parse_from_str(text, form).is_ok());
    Err(match without_offset {
        true => format!("it has no offset; write {text}Z for UTC, or {text}+01:00"),
        false => format!(
            "{error}; write it as RFC 3339 has it, with an offset: 2026-01-31T18:00:00Z, or 2026-01-31T18:00:00+01:00"
        ),
    })
}
