//! How many cases, from which seed, kept where: what the caller says, else the environment,
//! else the default.

use std::num::NonZeroU32;
use std::path::PathBuf;

use super::error::HuntError;

const CASES: u32 = 1_000;

/// What the caller says.
#[derive(Clone, Default)]
pub(super) struct Said {
    pub(super) cases: Option<u32>,
    pub(super) seed: Option<u64>,
    pub(super) fixtures: Option<PathBuf>,
    pub(super) regressions: Option<PathBuf>,
    pub(super) recording: bool,
}

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) cases: u32,
    pub(super) seed: u64,
    /// Where recorded histories are; nowhere outside of cargo.
    pub(super) fixtures: Option<PathBuf>,
    pub(super) regressions: Option<PathBuf>,
    pub(super) recording: bool,
    pub(super) keeps_regressions: bool,
}

impl Said {
    /// Reads the rest from the environment.
    pub(super) fn settings(&self) -> Result<Settings, HuntError> {
        self.settings_of(|name| std::env::var(name).ok())
    }

    fn settings_of(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings, HuntError> {
        let cases: Option<NonZeroU32> =
            number(&variable, "ANNALIST_CASES", "it takes a number from 1 on")?;
        let seed = number(
            &variable,
            "ANNALIST_SEED",
            "it takes a number, as a failure tells it",
        )?;
        let record = flag(
            &variable,
            "ANNALIST_RECORD",
            ("1", "0"),
            "1 records, 0 does not",
        )?;
        let keeps = flag(
            &variable,
            "ANNALIST_REGRESSIONS",
            ("on", "off"),
            "it takes on or off",
        )?;
        // Set by cargo for the tests that it runs.
        let crate_folder = variable("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let within = |name| crate_folder.as_ref().map(|folder| folder.join(name));
        Ok(Settings {
            cases: self
                .cases
                .or(cases.map(NonZeroU32::get))
                .unwrap_or(CASES)
                .max(1),
            seed: self.seed.or(seed).unwrap_or_else(|| fastrand::u64(..)),
            fixtures: self
                .fixtures
                .clone()
                .or_else(|| within("annalist-fixtures")),
            regressions: self
                .regressions
                .clone()
                .or_else(|| within("annalist-regressions")),
            recording: self.recording || record.unwrap_or(false),
            keeps_regressions: keeps.unwrap_or(true),
        })
    }
}

fn number<N: std::str::FromStr>(
    variable: impl Fn(&str) -> Option<String>,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<N>, HuntError> {
    let Some(value) = variable(name) else {
        return Ok(None);
    };
    match value.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(HuntError::Setting {
            name,
            value,
            expected,
        }),
    }
}

fn flag(
    variable: impl Fn(&str) -> Option<String>,
    name: &'static str,
    (yes, no): (&str, &str),
    expected: &'static str,
) -> Result<Option<bool>, HuntError> {
    match variable(name) {
        None => Ok(None),
        Some(value) if value == yes => Ok(Some(true)),
        Some(value) if value == no => Ok(Some(false)),
        Some(value) => Err(HuntError::Setting {
            name,
            value,
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &Said, set: &[(&str, &str)]) -> Result<Settings, String> {
        let found = |name: &str| set.iter().find(|(known, _)| *known == name);
        let settings = said.settings_of(|name| found(name).map(|(_, value)| (*value).to_owned()));
        settings.map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_speaks_where_the_caller_does_not() {
        let said = Said::default();
        let plain = read(&said, &[("ANNALIST_SEED", "7")]).unwrap();
        assert_eq!(
            (plain.cases, plain.seed, plain.recording),
            (1_000, 7, false)
        );
        assert_eq!((plain.fixtures, plain.keeps_regressions), (None, true));

        let set = [
            ("ANNALIST_CASES", "5"),
            ("ANNALIST_RECORD", "1"),
            ("ANNALIST_REGRESSIONS", "off"),
            ("CARGO_MANIFEST_DIR", "/bank"),
        ];
        let settings = read(&said, &set).unwrap();
        assert_eq!((settings.cases, settings.recording), (5, true));
        assert!(!settings.keeps_regressions);
        assert_eq!(settings.fixtures, Some("/bank/annalist-fixtures".into()));
        assert_eq!(
            settings.regressions,
            Some("/bank/annalist-regressions".into())
        );

        let said = Said {
            cases: Some(9),
            ..Said::default()
        };
        assert_eq!(read(&said, &set).unwrap().cases, 9);
    }

    #[test]
    fn nonsense_is_told_with_what_is_meant() {
        let refused = |name, value| read(&Said::default(), &[(name, value)]).unwrap_err();
        assert_eq!(
            refused("ANNALIST_CASES", "many"),
            r#"ANNALIST_CASES is "many"; it takes a number from 1 on"#
        );
        assert_eq!(
            refused("ANNALIST_CASES", "0"),
            r#"ANNALIST_CASES is "0"; it takes a number from 1 on"#
        );
        assert_eq!(
            refused("ANNALIST_SEED", "-1"),
            r#"ANNALIST_SEED is "-1"; it takes a number, as a failure tells it"#
        );
        assert_eq!(
            refused("ANNALIST_RECORD", "yes"),
            r#"ANNALIST_RECORD is "yes"; 1 records, 0 does not"#
        );
        assert_eq!(
            refused("ANNALIST_REGRESSIONS", "1"),
            r#"ANNALIST_REGRESSIONS is "1"; it takes on or off"#
        );
    }
}
