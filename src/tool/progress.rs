//! How far something has come, told on standard error while it goes on: on a terminal one
//! line that changes, elsewhere a line now and then.

use std::io::Write;
use std::time::{Duration, Instant};

use super::answer::plain;
use crate::version::Position;

/// Where progress is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    /// A line can be written over.
    Terminal,
    /// Every line stays.
    Lines,
}

impl Screen {
    /// How long a line stands before the next one.
    const fn pause(self) -> Duration {
        match self {
            Self::Terminal => Duration::from_millis(200),
            Self::Lines => Duration::from_secs(5),
        }
    }
}

/// The progress of one thing.
pub(super) struct Progress<'a> {
    name: String,
    err: &'a mut dyn Write,
    screen: Screen,
    /// When something was told last.
    told: Option<Instant>,
    /// Where it was seen before it came on, and when.
    first: Option<(Position, Instant)>,
    /// Whether a line stands that the next one goes over.
    open: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(name: &str, err: &'a mut dyn Write, screen: Screen) -> Self {
        Self {
            name: plain(name),
            err,
            screen,
            told: None,
            first: None,
            open: false,
        }
    }

    /// Tells something once.
    pub(super) fn remark(&mut self, remark: &str) {
        self.end();
        // Whoever does not want to hear of it need not.
        let _ = writeln!(self.err, "{}: {remark}", self.name);
    }

    /// Tells where it is.
    pub(super) fn tell(&mut self, position: Position, head: Position, is_elsewhere: bool) {
        let now = Instant::now();
        // What it waited for before it came on is none of its pace; nor is what it did before
        // it was begun from the beginning.
        let first = self.first.filter(|(first, _)| *first < position);
        let (first, since) = *self.first.insert(first.unwrap_or((position, now)));
        let came = position.get().saturating_sub(first.get()) as f64;
        let rate = came / now.duration_since(since).as_secs_f64();
        let left = head.get().saturating_sub(position.get()) as f64;
        let pace = match rate.is_finite() && rate > 0.0 {
            true => format!(", {rate:.0}/s, {} left", duration(left / rate)),
            false => String::new(),
        };
        let percent = match head.get() {
            0 => 100,
            end => position.get().saturating_mul(100) / end,
        };
        let place = format!("position {position} of {head} ({percent} %){pace}");
        self.line(&place, is_elsewhere);
    }

    /// Tells that there is nothing to tell yet.
    pub(super) fn waits(&mut self, is_elsewhere: bool) {
        self.line("not begun", is_elsewhere);
    }

    fn line(&mut self, text: &str, is_elsewhere: bool) {
        let pause = self.screen.pause();
        if self.told.is_some_and(|told| told.elapsed() < pause) {
            return;
        }
        self.told = Some(Instant::now());
        let who = match is_elsewhere {
            true => ", held by another process",
            false => "",
        };
        let _ = match self.screen {
            // To the beginning of the line, and what stands there cleared.
            Screen::Terminal => write!(self.err, "\r\x1b[K{}: {text}{who}", self.name),
            Screen::Lines => writeln!(self.err, "{}: {text}{who}", self.name),
        };
        let _ = self.err.flush();
        self.open = self.screen == Screen::Terminal;
    }

    /// What comes next stands on a line of its own.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            let _ = writeln!(self.err);
        }
    }
}

/// How long something takes, for a person.
fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 100.0 => format!("{short:.0} s"),
        longer if longer < 6_000.0 => format!("{:.0} min", longer / 60.0),
        long => format!("{:.1} h", long / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(screen: Screen, positions: &[u64]) -> String {
        let mut out = Vec::new();
        let mut progress = Progress::new("sums", &mut out, screen);
        for position in positions {
            // As if the last line stood long enough.
            progress.told = None;
            progress.tell(Position::new(*position), Position::new(200), false);
            std::thread::sleep(Duration::from_millis(2));
        }
        progress.end();
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_terminal_is_shown_one_line_and_a_file_all_of_them() {
        let line = "sums: position 50 of 200 (25 %)";
        let lines = format!("{line}\n{line}\n");
        assert_eq!(told(Screen::Lines, &[50, 50]), lines);
        let over = format!("\r\x1b[K{line}\r\x1b[K{line}\n");
        assert_eq!(told(Screen::Terminal, &[50, 50]), over);
    }

    #[test]
    fn a_pace_is_told_once_it_comes_on() {
        let told = told(Screen::Lines, &[50, 50, 60, 20, 30]);
        let paced: Vec<_> = told.lines().map(|line| line.contains("/s, ")).collect();
        assert_eq!(paced, [false, false, true, false, true], "{told}");
    }

    #[test]
    fn a_line_is_not_told_again_at_once() {
        let mut out = Vec::new();
        let mut progress = Progress::new("sums", &mut out, Screen::Lines);
        progress.waits(true);
        progress.waits(true);
        assert_eq!(out, b"sums: not begun, held by another process\n");
    }
}
