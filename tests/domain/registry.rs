//! What may be registered, and what is decoded.

use std::collections::BTreeMap;
use std::convert::Infallible;

use annalist::{Aggregate, Command, Domain, DomainError, Policy, Requires, Store};
use serde::{Deserialize, Serialize};

use crate::bank::{Account, AccountEvent, Deposit, domain, stream};

/// A command of the same name as another.
#[derive(Serialize, Deserialize)]
struct AlsoDeposit;

impl Command for AlsoDeposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![])
    }
}

/// A command whose name is none.
#[derive(Serialize, Deserialize)]
struct Nameless;

impl Command for Nameless {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![])
    }
}

/// An aggregate that is named, or declared, as it must not be.
macro_rules! misfit {
    ($name:ident, $category:literal, $event:ty) => {
        #[derive(Default, Clone, Serialize, Deserialize)]
        struct $name;

        impl Aggregate for $name {
            const CATEGORY: &'static str = $category;
            type Event = $event;

            fn apply(&mut self, _: &$event) {}
        }
    };
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Happened,
}

misfit!(AlsoAccount, "account", AccountEvent);
misfit!(Dashed, "a-b", AccountEvent);
misfit!(Untellable, "untellable", Tagged);

fn refused(domain: Domain) -> String {
    domain.checked().expect_err("no domain").to_string()
}

#[test]
fn two_commands_never_share_a_name_nor_two_aggregates_a_category() {
    insta::assert_snapshot!(refused(domain().command::<AlsoDeposit>()), @"domain::bank::Deposit and domain::registry::AlsoDeposit are both named \"deposit\"; give each command a name of its own");
    insta::assert_snapshot!(refused(domain().aggregate::<AlsoAccount>()), @"domain::bank::Account and domain::registry::AlsoAccount both have the category \"account\"; give each aggregate a category of its own");
    let twice = domain().command::<Deposit>().aggregate::<Account>();
    assert!(twice.checked().is_ok(), "the same one twice is one");
}

#[test]
fn what_cannot_be_named_or_stored_is_refused() {
    insta::assert_snapshot!(refused(Domain::new().command::<Nameless>()), @r#""" cannot be a command name: it is empty"#);
    insta::assert_snapshot!(refused(Domain::new().aggregate::<Dashed>()), @r#""a-b" cannot be a category: it holds a `-`, which is where the key begins"#);
    let tagged = refused(Domain::new().aggregate::<Untellable>());
    assert!(tagged.contains("Untellable"), "{tagged}");
}

#[tokio::test]
async fn a_domain_that_is_none_answers_so_to_every_call() {
    let domain = domain().command::<AlsoDeposit>().aggregate::<Dashed>();
    let code = |error: DomainError| error.code();
    let decoded = domain.decode("withdraw", r#"{"cents":1}"#).map_err(code);
    assert_eq!(decoded.err(), Some("command_name_taken"));
    let loaded = domain.load(&Store::memory(), &stream("1")).await;
    assert_eq!(loaded.map_err(code).err(), Some("command_name_taken"));
}

#[test]
fn a_domain_tells_what_it_knows() {
    let domain = domain();
    assert_eq!(Vec::from_iter(domain.categories()), ["account"]);
    let known = domain.commands();
    let known = known.map(|info| (info.name, info.category, info.requires, info.policy));
    let expected = [
        ("deposit", "account", Requires::Any, Policy::Commute),
        ("withdraw", "account", Requires::Existing, Policy::Surface),
    ];
    assert_eq!(Vec::from_iter(known), expected);
    let shown = format!("{domain:?}");
    assert!(shown.contains("withdraw"), "{shown}");
}

#[test]
fn the_field_that_does_not_fit_is_told_as_a_json_pointer() {
    #[derive(Serialize, Deserialize)]
    struct DepositAll {
        coins: Vec<BTreeMap<String, i64>>,
    }

    impl Command for DepositAll {
        type Aggregate = Account;
        type Rejection = Infallible;
        const NAME: &'static str = "deposit_all";

        fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
            let cents = self.coins.iter().flat_map(BTreeMap::values).sum();
            Ok(vec![AccountEvent::Deposited { cents }])
        }
    }

    let domain = Domain::new().command::<DepositAll>();
    let field = |json: &str| match domain.decode("deposit_all", json) {
        Err(DomainError::Malformed { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let second = r#"{ "coins": [{}, { "a/b~": "5" }] }"#;
    assert_eq!(field(second).as_deref(), Some("/coins/1/a~1b~0"));
    assert_eq!(field(r#"{ "coins": 5 }"#).as_deref(), Some("/coins"));
    assert_eq!(field("{}").as_deref(), Some("/coins"));
    assert_eq!(field("5"), None, "it is the whole that does not fit");
}

#[test]
fn what_is_no_command_is_told_with_the_place() {
    let refused = |domain: Domain, name: &str, json: &str| {
        let error = domain.decode(name, json).expect_err("no command");
        let cause = std::error::Error::source(&error);
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{}: {error}{cause}", error.code())
    };
    insta::assert_snapshot!(refused(domain(), "deposti", "{}"), @r#"unknown_command: no command is named "deposti", only deposit, withdraw"#);
    insta::assert_snapshot!(refused(Domain::new(), "deposit", "{}"), @r#"unknown_command: no command is named "deposit", none is registered"#);
    insta::assert_snapshot!(refused(domain(), "deposit", "{\n  \"cents\": \"5\" }"), @r#"malformed_command: the JSON is no command deposit: invalid type: string "5", expected i64 at line 2 column 14"#);
    insta::assert_snapshot!(refused(domain(), "deposit", "{}"), @"malformed_command: the JSON is no command deposit: missing field `cents` at line 1 column 2");
    insta::assert_snapshot!(refused(domain(), "deposit", r#"{"cents":5"#), @"malformed_command: the JSON is no command deposit: EOF while parsing an object at line 1 column 10");
    insta::assert_snapshot!(refused(domain(), "deposit", r#"{"cents":5} 6"#), @"malformed_command: the JSON is no command deposit: trailing characters at line 1 column 13");
    assert!(
        domain().decode("deposit", [b'"', 0xff, b'"']).is_err(),
        "bytes that are no text"
    );
}
