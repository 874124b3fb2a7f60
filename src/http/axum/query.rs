//! What a URI says: the parts of its path, and what its query asks for. A name that is not known is refused: what is asked for by a name
//! that is misspelt would otherwise be left out in silence.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query};
use chrono::{DateTime, Utc};
use http::Uri;

use super::answer::Refused;
use crate::http::Problem;

/// The parts of the path, without their escapes.
pub(super) fn parts<T>(path: Result<Path<T>, PathRejection>) -> Result<T, Refused> {
    match path {
        Ok(Path(parts)) => Ok(parts),
        Err(_) => {
            let said = "the path cannot be read: what it escapes is no UTF-8";
            Err(Problem::of_code("invalid_name", said).into())
        }
    }
}

/// The names that have not been taken yet, and what stands behind them.
pub(super) struct Asked(BTreeMap<String, String>);

impl Asked {
    pub(super) fn of(uri: &Uri) -> Result<Self, Refused> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(invalid("the query cannot be read"));
        };
        let mut asked = BTreeMap::new();
        for (name, value) in pairs {
            if asked.contains_key(&name) {
                return Err(invalid(format!("`{name}` is asked for twice")));
            }
            asked.insert(name, value);
        }
        Ok(Self(asked))
    }

    pub(super) fn take<T: FromStr>(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, Refused> {
        let read = |text: String| text.parse::<T>();
        match self.0.remove(name).map(read).transpose() {
            Ok(value) => Ok(value),
            Err(_) => Err(invalid(format!("`{name}` is not {what}"))),
        }
    }

    pub(super) fn nothing_else(&self, known: &[&str]) -> Result<(), Refused> {
        match (self.0.keys().next(), known) {
            (None, _) => Ok(()),
            (Some(name), []) => Err(invalid(format!("`{name}` is not known here"))),
            (Some(name), known) => Err(invalid(format!(
                "`{name}` is not known here, only {}",
                known.join(" and ")
            ))),
        }
    }
}

pub(super) fn invalid(said: impl Into<String>) -> Refused {
    Problem::of_code("invalid_query", said).into()
}

/// A time as in RFC 3339. A `+` that was not escaped has become a space on its way.
pub(super) struct Time(pub(super) DateTime<Utc>);

impl FromStr for Time {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = DateTime::parse_from_rfc3339(text);
        let time = time.or_else(|_| DateTime::parse_from_rfc3339(&text.replace(' ', "+")))?;
        Ok(Self(time.to_utc()))
    }
}
