//! In which order the commands of a race take their turns, and what fails meanwhile: plain
//! data, and its text.

use std::fmt;
use std::str::FromStr;

/// How a call of a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Through,
    /// It goes through, and its answer is lost.
    Unheard,
}

/// One turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) who: usize,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It makes the call that it waits with.
    Call,
    /// It makes it, and is told that nobody knows what became of it.
    Unheard,
    /// It crashes instead, and is sent again.
    Crash,
    /// It makes it, crashes before it is told, and is sent again.
    CallAndCrash,
    /// It crashes while its append is under way, and is sent again.
    CrashUnderWay,
    /// An append that was under way when its caller crashed arrives.
    Arrive,
}

impl How {
    pub(super) const fn is_fault(self) -> bool {
        !matches!(self, Self::Call | Self::Arrive)
    }

    const fn mark(self) -> &'static str {
        match self {
            Self::Call => "",
            Self::Unheard => "?",
            Self::Crash => "!",
            Self::CallAndCrash => "*",
            Self::CrashUnderWay => "~",
            Self::Arrive => "+",
        }
    }
}

/// The letter that a command goes by.
pub(super) fn letter(who: usize) -> char {
    let who = u8::try_from(who).unwrap_or(u8::MAX);
    char::from(b'A'.saturating_add(who))
}

/// The turns of one run, such as `AAB?B`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Schedule(pub(super) Vec<Turn>);

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for turn in &self.0 {
            write!(f, "{}{}", letter(turn.who), turn.how.mark())?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut turns: Vec<Turn> = Vec::new();
        for mark in text.chars() {
            let how = match mark {
                'A'..='Z' => {
                    let who = usize::from(u8::try_from(mark).unwrap_or(b'A') - b'A');
                    turns.push(Turn {
                        who,
                        how: How::Call,
                    });
                    continue;
                }
                '?' => How::Unheard,
                '!' => How::Crash,
                '*' => How::CallAndCrash,
                '~' => How::CrashUnderWay,
                '+' => How::Arrive,
                other => return Err(format!("{other:?} is no turn of a schedule")),
            };
            match turns.last_mut() {
                Some(turn) if turn.how == How::Call => turn.how = how,
                _ => return Err(format!("{mark:?} stands behind no letter")),
            }
        }
        Ok(Self(turns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_is_written() {
        let text = "AAB?A!C*B~CB+";
        let schedule: Schedule = text.parse().unwrap();
        assert_eq!(schedule.to_string(), text);
        assert_eq!(schedule.0.len(), 8);
        for (odd, why) in [
            ("a", "'a' is no turn of a schedule"),
            ("?A", "'?' stands behind no letter"),
            ("A?!", "'!' stands behind no letter"),
        ] {
            assert_eq!(odd.parse::<Schedule>().unwrap_err(), why);
        }
    }
}
