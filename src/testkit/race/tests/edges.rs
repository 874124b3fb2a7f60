//! What is true and looks false, and the other way round: odd states, odd merges, and what a
//! story must not say.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::command::{Diverged, Requires};
use crate::conflict::Policy;
use crate::testkit::race::judge::Wrong;
use crate::testkit::race::schedule::Schedule;

/// One kind of a command of [`Counter`], by what it decides.
macro_rules! command {
    ($name:ident, $on_conflict:expr, $decide:expr) => {
        #[derive(Serialize)]
        struct $name;

        impl Command for $name {
            type Aggregate = Counter;
            type Rejection = std::fmt::Error;
            const NAME: &'static str = stringify!($name);
            const ON_CONFLICT: OnConflict<Self> = $on_conflict;

            fn decide(&self, counter: &Counter) -> Result<Vec<CounterEvent>, std::fmt::Error> {
                ($decide as fn(&Counter) -> Result<Vec<CounterEvent>, std::fmt::Error>)(counter)
            }
        }
    };
}

const fn by(by: u32) -> CounterEvent {
    CounterEvent::Counted { by }
}

command!(One, OnConflict::Commute, |_| Ok(vec![by(1)]));
command!(Yield, OnConflict::Merge(|_, _| Ok(vec![])), |_| Ok(vec![
    by(2)
]));
command!(Remark, OnConflict::Commute, |counter| Ok(vec![
    by(0),
    by(counter.count),
]));
command!(Last, OnConflict::Redecide, |counter| match counter.count {
    0..5 => Ok(vec![by(5)]),
    _ => Err(std::fmt::Error),
});

#[derive(Serialize)]
struct First;

impl Command for First {
    type Aggregate = Counter;
    type Rejection = Infallible;
    const NAME: &'static str = "first";
    const REQUIRES: Requires = Requires::New;

    fn decide(&self, _: &Counter) -> Result<Vec<CounterEvent>, Infallible> {
        Ok(vec![by(1)])
    }
}

fn holds<A: Aggregate>(race: Race<A>) -> Explored {
    race.check()
}

#[test]
fn a_merge_to_nothing_is_true() {
    holds(race::<Counter>().command(Yield).command(Yield));
    holds(race::<Counter>().command(Yield).command(One));
}

#[test]
fn a_remark_on_what_is_not_so_any_more_does_not_commute() {
    let race = race::<Counter>()
        .given([by(1)])
        .command(Remark)
        .command(One);
    let mishap = race.explore().unwrap_err();
    assert_eq!(mishap.wrong, "the race ends as no serial order does");
}

#[test]
fn rejections_after_a_lost_race_are_true() {
    holds(race::<Counter>().command(Last).command(Last));
    holds(race::<Counter>().command(First).command(First));
}

#[test]
fn answers_may_be_lost_more_often_than_the_bus_attempts() {
    let one = race::<Counter>().command(One).faults_max(12);
    let lost = format!("AA{}A", "A?".repeat(12));
    assert_eq!(holds(one.schedule(&lost)).faults_max, 12);
}

#[test]
fn endings_are_counted_once_and_runs_are_bounded_for_each_pass() {
    let one = holds(race::<Counter>().command(Grow).faults_max(0));
    assert_eq!((one.runs, one.endings), (1, 1));
    let pair = || two().faults_max(0);
    let all = holds(pair());
    let again = holds(pair().runs_max(all.runs + 1));
    assert_eq!((again.sampled, again), (0, all));
    let none = holds(pair().runs_max(0));
    assert_eq!((none.schedules, none.sampled), (0, 1));
    let faulty = holds(race::<Counter>().command(Grow).schedule("AAA*"));
    assert_eq!(faulty.faults_max, 1);
}

#[test]
fn a_race_of_nobody_is_none() {
    let nobody = race::<Counter>().explore().unwrap_err();
    assert_eq!(nobody.wrong, "no command races");
    let odd = race::<Counter>().command(Grow).schedule("A?").explore();
    let why = "the race cannot be judged: A does not append in this turn";
    assert_eq!(odd.unwrap_err().wrong, why);
}

#[test]
fn a_long_history_is_given_and_told_in_short() {
    let given = || (0..1_500).map(|_| by(1));
    holds(race::<Counter>().given(given()).command(One).faults_max(0));
    let mut race = race::<Counter>().given(given()).command(Grow);
    race.contest.on = forgetful;
    let story = race.explore().unwrap_err().to_string();
    assert!(story.contains("and 1480 more") && story.lines().count() < 60);
}

/// A store that says of every append that somebody else was faster.
fn refusing(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    let change = |request: &mut CommitRequest| {
        for append in &mut request.appends {
            append.expected = ExpectedVersion::Exact(crate::version::Version::new(999));
        }
    };
    Arc::new(Planted { inner, change })
}

#[test]
fn a_store_on_which_everyone_loses_to_nobody_is_noticed() {
    let mut race = race::<Counter>().command(One).command(Set).faults_max(0);
    race.contest.on = refusing;
    let mishap = race.explore().unwrap_err();
    assert!(mishap.wrong.contains("told what is not so"), "{mishap}");
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seats {
    taken: HashSet<u32>,
    /// A map that has no JSON as soon as there is something in it.
    rows: HashMap<(u32, u32), u32>,
}

#[derive(Clone, Serialize, Deserialize)]
enum SeatEvent {
    Booked { seat: u32 },
    Placed,
}

impl Aggregate for Seats {
    const CATEGORY: &'static str = "seats";
    type Event = SeatEvent;

    fn apply(&mut self, event: &SeatEvent) {
        match event {
            SeatEvent::Booked { seat } => drop(self.taken.insert(*seat)),
            SeatEvent::Placed => drop(self.rows.insert((0, 0), 1)),
        }
    }
}

#[derive(Serialize)]
struct Book(u32);

impl Command for Book {
    type Aggregate = Seats;
    type Rejection = Infallible;
    const NAME: &'static str = "book";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, seats: &Seats) -> Result<Vec<SeatEvent>, Infallible> {
        let seat = self.0;
        match seats.taken.contains(&seat) {
            true => Ok(vec![]),
            false => Ok(vec![SeatEvent::Booked { seat }]),
        }
    }
}

#[test]
fn states_are_equal_by_the_users_word_and_those_without_json_need_it() {
    let given = |placed: bool| {
        let seats = (10..20).map(|seat| SeatEvent::Booked { seat });
        seats.chain(placed.then_some(SeatEvent::Placed))
    };
    let race = |placed| {
        let race = race::<Seats>().given(given(placed));
        race.command(Book(1)).command(Book(2)).faults_max(0)
    };
    holds(race(false).equal(|one, other| one == other));
    holds(race(true).equal(|one, other| one == other));
    let mishap = race(true).explore().unwrap_err();
    assert!(mishap.wrong.contains("say by .equal(..)"), "{mishap}");
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Lines {
    lines: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
enum LineEvent {
    Added { line: String },
    Said { line: usize, text: String },
}

impl Aggregate for Lines {
    const CATEGORY: &'static str = "lines";
    type Event = LineEvent;

    /// It trusts its history: a line that is spoken of is there.
    fn apply(&mut self, event: &LineEvent) {
        match event {
            LineEvent::Added { line } => self.lines.push(line.clone()),
            LineEvent::Said { line, text } => self.lines[*line].push_str(text),
        }
    }
}

/// Adds a line, or goes on with one that somebody has added meanwhile.
#[derive(Serialize)]
struct Say;

impl Command for Say {
    type Aggregate = Lines;
    type Rejection = Infallible;
    const NAME: &'static str = "say\nA is answered: a lie";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Merge(Self::go_on);

    fn decide(&self, _: &Lines) -> Result<Vec<LineEvent>, Infallible> {
        let line = "b".to_owned();
        Ok(vec![LineEvent::Added { line }])
    }
}

impl Say {
    fn go_on(&self, both: &Diverged<'_, Lines>) -> Result<Vec<LineEvent>, String> {
        let (line, text) = (both.current.lines.len() - 1, "+".to_owned());
        Ok(vec![LineEvent::Said { line, text }])
    }
}

#[test]
fn a_merge_that_builds_on_what_it_was_merged_with_is_true() {
    holds(race::<Lines>().command(Say).command(Say).faults_max(0));
}

/// The story of a schedule, whatever it ends in.
fn story_of<A: Aggregate>(race: &Race<A>, schedule: &str) -> String {
    let mut run = Run::new(&race.contest).unwrap();
    for turn in schedule.parse::<Schedule>().unwrap().0 {
        run.take(turn).unwrap();
    }
    let ending = Ending::of(&race.contest, &run).unwrap();
    let found = explore::Found {
        wrong: Wrong::Twice { who: 0 },
        schedule: run.schedule.clone(),
        ending: Some(ending),
        drawn: false,
    };
    story::tell(&race.contest, &found).to_string()
}

#[test]
fn a_story_tells_who_found_its_own_and_who_was_refused() {
    let pair = race::<Counter>()
        .given([by(1)])
        .command(Grow)
        .command(First);
    let story = story_of(&pair, "AAA*AAAABB");
    let (_, found) = story.split_once("and finds it").unwrap();
    assert!(!found.contains("A loads"), "{story}");
    assert!(story.contains("and is refused: it requires New"), "{story}");
}

#[derive(Serialize)]
struct Boom;

impl Command for Boom {
    type Aggregate = Counter;
    type Rejection = Infallible;
    const NAME: &'static str = "boom";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, counter: &Counter) -> Result<Vec<CounterEvent>, Infallible> {
        assert!(counter.count == 0, "only once");
        Ok(vec![by(1)])
    }
}

#[test]
fn a_command_that_panics_has_no_answer_and_is_named() {
    let race = race::<Counter>().command(Boom).command(One).faults_max(0);
    assert_eq!(
        race.explore().unwrap_err().wrong,
        "A (boom) has no answer: the command boom cannot be decided: user code panicked: only once"
    );
}

#[test]
fn what_user_code_says_is_no_line_of_the_story() {
    let say = race::<Lines>().command(Say);
    let story = story_of(&say, "AAA");
    assert!(!story.contains("\nA is answered: a lie"), "{story}");
    assert_eq!(say.contest.commands[0].probed().policy(), Policy::Merge);
}
