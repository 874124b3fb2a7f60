//! What is declared truly holds in every schedule, and how much was explored is told.

use annalist::testkit::race::race;

use crate::shop::{Check, Grab, Label, Open, Shelf, ShelfEvent, Stock, Take, TakeInLine};

fn five() -> [ShelfEvent; 1] {
    [ShelfEvent::Stocked { pieces: 5 }]
}

#[test]
fn every_policy_holds_in_every_schedule_of_two() {
    let takes = || race::<Shelf>().given(five()).command(Take(3));
    for explored in [
        takes().command(Take(3)).check(),
        takes().command(Stock(3)).check(),
        takes().command(TakeInLine(3)).check(),
        race::<Shelf>()
            .given(five())
            .command(TakeInLine(3))
            .command(TakeInLine(3))
            .check(),
        takes().command(Check).check(),
        takes().command(Label("cups")).check(),
        race::<Shelf>().command(Open).command(Open).check(),
        race::<Shelf>()
            .command(Label("cups"))
            .command(Label("plates"))
            .check(),
        race::<Shelf>().command(Stock(1)).command(Stock(1)).check(),
    ] {
        assert!(explored.schedules > 1_000, "{explored}");
        assert_eq!(
            (explored.faults_max, explored.sampled),
            (1, 0),
            "{explored}"
        );
        assert!(explored.runs < explored.schedules, "{explored}");
    }
}

#[test]
fn three_commands_race_in_more_schedules_than_anyone_could_run() {
    let three = || {
        race::<Shelf>()
            .given(five())
            .command(Take(3))
            .command(Stock(1))
    };
    let explored = three().command(Check).faults_max(0).check();
    assert!(explored.schedules > 10_000, "{explored}");
    assert_eq!(
        explored.to_string(),
        format!(
            "all {} schedules with up to 0 faults, in {} runs to {} endings",
            explored.schedules, explored.runs, explored.endings
        )
    );
}

#[test]
fn what_an_invariant_refuses_after_a_lost_race_has_done_nothing() {
    // Nothing is taken beyond what may be owed: the second of these is refused.
    let given = [ShelfEvent::Stocked { pieces: 5 }];
    let pushed = race::<Shelf>()
        .given(given)
        .command(Grab(5))
        .command(Grab(5));
    let mishap = pushed.explore().unwrap_err();
    assert_eq!(mishap.wrong, "the race ends as no serial order does");
    let given = [ShelfEvent::Stocked { pieces: 5 }];
    let beyond = race::<Shelf>()
        .given(given)
        .command(Grab(5))
        .command(Grab(4));
    assert!(
        beyond.equal(|_, _| true).explore().is_err(),
        "answers differ, too"
    );
}

#[test]
fn equality_is_of_the_users_choice() {
    let race = || {
        race::<Shelf>()
            .given(five())
            .command(Stock(1))
            .command(Label("x"))
    };
    race().check();
    assert!(race().equal(|_, _| false).explore().is_err());
    race()
        .equal(|one, other| one.pieces == other.pieces)
        .check();
}

#[test]
fn beyond_the_bound_schedules_are_drawn_by_a_seed_that_is_told() {
    let three = |seed| {
        let race = race::<Shelf>()
            .given(five())
            .command(Take(3))
            .command(Stock(1));
        race.command(Take(2)).runs_max(200).seed(seed)
    };
    let explored = three(7).check();
    assert_eq!((explored.schedules, explored.sampled), (0, 20));
    assert_eq!(
        explored.to_string(),
        "20 schedules drawn at random by seed 7, after 400 runs that did not cover all"
    );
    let false_one = || {
        let race = race::<Shelf>()
            .given(five())
            .command(Grab(4))
            .command(Stock(1));
        race.command(Grab(4)).runs_max(300)
    };
    for seed in 0..10 {
        let mishap = false_one().seed(seed).explore().unwrap_err();
        let again = false_one().seed(seed).explore().unwrap_err();
        assert_eq!(mishap, again, "the same seed");
    }
}

#[test]
fn a_command_alone_takes_effect_once_wherever_it_crashes() {
    let explored = race::<Shelf>()
        .given(five())
        .command(Take(3))
        .faults_max(2)
        .check();
    assert!(explored.schedules > 15, "{explored}");
}
