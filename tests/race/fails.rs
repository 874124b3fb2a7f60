//! A race that ends wrong is a story, with the line that runs it alone.

use annalist::testkit::race::race;
use annalist::{Aggregate, NewEvent};
use serde_json::json;

use crate::shop::{Check, Fickle, Grab, Shelf, ShelfEvent, Stock};

fn panic_of(run: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(run).unwrap_err();
    *panic.downcast::<String>().unwrap()
}

#[test]
fn a_false_claim_to_commute_is_told_step_by_step() {
    let given = [ShelfEvent::Stocked { pieces: 5 }];
    let race = race::<Shelf>()
        .given(given)
        .command(Grab(3))
        .command(Grab(4));
    let mishap = race.explore().unwrap_err();
    insta::assert_snapshot!(mishap, @r#"
    the race ends as no serial order does

      given   Stocked {"pieces":5}
              version 1, {"label":"","pieces":5}
      A       grab 3, declared to commute
      B       grab 4, declared to commute

         1  A looks up its id, which is new
         2  A loads version 1, {"label":"","pieces":5}, and decides: Taken {"pieces":3}
         3  B looks up its id, which is new
         4  B loads version 1, {"label":"","pieces":5}, and decides: Taken {"pieces":4}
         5  B appends at version 1: Taken {"pieces":4} lands, which makes version 2, {"label":"","pieces":1}
         6  B is answered: appended at version 2
         7  A appends at version 1, and loses to B: it is at version 2
         8  A reads version 2: Taken {"pieces":4}
         9  A asks whether the stream was closed or removed
        10  A appends at version 2: Taken {"pieces":3} lands, which makes version 3, {"label":"","pieces":-2}
        11  A is answered: commuted at version 3

      one after another, which is
          A, B  B would be rejected (only 2 left), and was accepted with Taken {"pieces":4}
                the state would be {"label":"","pieces":2}, which differs in /pieces
          B, A  A would be rejected (only 1 left), and was accepted with Taken {"pieces":3}
                the state would be {"label":"","pieces":1}, which differs in /pieces

      keep it as a test of its own, with what is given and sent here:
      .schedule("AABBBAAAA").check();
    "#);
}

#[test]
fn a_command_that_cannot_make_up_its_mind_is_told() {
    let race = race::<Shelf>()
        .command(Fickle)
        .command(Stock(1))
        .faults_max(0);
    let mishap = race.explore().unwrap_err();
    let (decided, there) = mishap
        .wrong
        .split_once(", where its decision says ")
        .unwrap();
    assert!(decided.starts_with("A (fickle) did what it does not declare: it appended Labelled"));
    assert!(there.starts_with("Labelled"), "{there}");
}

#[test]
fn the_schedule_of_a_mishap_runs_alone() {
    let given = || [ShelfEvent::Stocked { pieces: 5 }];
    let race = || {
        race::<Shelf>()
            .given(given())
            .command(Grab(3))
            .command(Grab(4))
    };
    let mishap = race().explore().unwrap_err();
    let alone = race().schedule(&mishap.schedule).explore().unwrap_err();
    assert_eq!(mishap, alone);
    let told = panic_of(move || {
        race().schedule(&alone.schedule).check();
    });
    assert_eq!(told, mishap.to_string());
    // The same turns one after another are fine, and so is what is cut short.
    let one = race_one("AAABBB");
    assert_eq!((one.schedules, one.runs), (1, 1));
    race_one("AB");
    race_one("AAA?ABB!BBB");
    race_one("AAA~AABA+");
}

fn race_one(schedule: &str) -> annalist::testkit::race::Explored {
    let given = [ShelfEvent::Stocked { pieces: 5 }];
    let race = race::<Shelf>()
        .given(given)
        .command(Stock(3))
        .command(Stock(4));
    race.schedule(schedule).check()
}

#[test]
fn a_race_that_cannot_be_run_says_why() {
    let odd = panic_of(|| {
        let _ = race::<Shelf>().command(Check).schedule("A1");
    });
    assert_eq!(
        odd,
        "the schedule of the race: '1' is no turn of a schedule"
    );
    let absent = race::<Shelf>().command(Check).schedule("AB").explore();
    let wrong = absent.unwrap_err().wrong;
    assert_eq!(
        wrong,
        "the race cannot be judged: B has no turn left to take"
    );
    let stored = NewEvent::json("Unheard", &json!(1)).unwrap();
    let unreadable = race::<Shelf>().given_stored([stored]).command(Check);
    let wrong = unreadable.explore().unwrap_err().wrong;
    assert!(wrong.contains("Unheard"), "{wrong}");
    let many = panic_of(|| {
        let race = race::<Shelf>().command(Check).command(Check);
        let _ = race.command(Check).command(Check).command(Check);
    });
    assert_eq!(many, "a race has 4 commands at most");
    assert_eq!(Shelf::CATEGORY, "shelf");
}
