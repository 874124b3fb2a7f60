//! States that are kept beside their events: by what one is recognised, and how it is written
//! and read. The repository asks; where they are kept is the store's business.
//!
//! A snapshot is a cache of the fold and never more: whatever is odd about one, it is taken
//! for none.

use crate::aggregate::Aggregate;
use crate::caught::caught;
use crate::codec::Codec;
use crate::payload::Payload;
use crate::store::Fingerprint;

/// By what a state of this aggregate is recognised: its type, its version, and how its old
/// events are read. None where none are kept.
pub(crate) fn fingerprint<A: Aggregate>(codec: &Codec<A>) -> Option<Fingerprint> {
    if A::SNAPSHOTS.is_never() {
        return None;
    }
    let upcasters = codec.upcasters().ok()?.fingerprint();
    let name = std::any::type_name::<A>();
    let mut parts = b"annalist snapshot 1".to_vec();
    parts.extend(A::STATE_VERSION.to_be_bytes());
    parts.extend(upcasters);
    parts.extend(name.as_bytes());
    Some(Fingerprint::of(parts))
}

/// A state as it is kept. None if JSON would not hold it, as with a number that is none.
pub(crate) fn write<A: Aggregate>(state: &A) -> Option<Box<str>> {
    let written = caught(|| Payload::from_value(state).ok()).ok().flatten()?;
    Some(written.as_str().into())
}

/// A state as it was kept.
pub(crate) fn read<A: Aggregate>(state: &str) -> Option<A> {
    caught(|| serde_json::from_str(state).ok()).ok().flatten()
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::aggregate::Snapshots;
    use crate::upcast::Upcasters;

    /// A level of this version of its state and this revision of its upcasters.
    #[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
    struct Level<const VERSION: u32, const REVISION: u32>(f64);

    #[derive(Clone, Serialize, Deserialize)]
    enum Rose {
        By(f64),
    }

    impl<const VERSION: u32, const REVISION: u32> Aggregate for Level<VERSION, REVISION> {
        const CATEGORY: &'static str = "level";
        const STATE_VERSION: u32 = VERSION;
        const SNAPSHOTS: Snapshots = match VERSION {
            0 => Snapshots::NEVER,
            _ => Snapshots::every(10),
        };
        type Event = Rose;

        fn apply(&mut self, Rose::By(by): &Rose) {
            self.0 += by;
        }

        fn upcasters() -> Upcasters {
            Upcasters::new().revision(REVISION)
        }
    }

    fn of<A: Aggregate>() -> Option<Fingerprint> {
        fingerprint(&Codec::<A>::new())
    }

    #[test]
    fn whatever_changes_the_fold_changes_the_fingerprint() {
        assert_eq!(of::<Level<0, 0>>(), None);
        assert_eq!(of::<Level<1, 0>>(), of::<Level<1, 0>>());
        let all = [
            of::<Level<1, 0>>(),
            of::<Level<2, 0>>(),
            of::<Level<1, 1>>(),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(one.is_some() && !all[..index].contains(one), "{index}");
        }
    }

    #[test]
    fn a_state_is_kept_only_if_json_holds_it() {
        let written = write(&Level::<1, 0>(0.1)).expect("a number");
        assert_eq!(read(&written), Some(Level::<1, 0>(0.1)));
        assert_eq!(write(&Level::<1, 0>(f64::NAN)), None);
        assert_eq!(read::<Level<1, 0>>("null"), None);
        assert_eq!(read::<Level<1, 0>>("not even JSON"), None);
    }

    #[test]
    fn snapshots_are_due_when_enough_events_came_since() {
        use crate::version::Version;

        let every = Snapshots::every(10);
        let is_due = |from, to| every.is_passed(Version::new(from), Version::new(to));
        assert!(is_due(9, 10) && is_due(0, 25) && is_due(19, 21));
        assert!(!is_due(0, 9) && !is_due(10, 19) && !is_due(10, 10));
        let is_enough = |from, to| every.is_enough(Version::new(from), Version::new(to));
        assert!(is_enough(3, 13) && !is_enough(3, 12) && !is_enough(5, 3));
        assert!(!Snapshots::NEVER.is_passed(Version::ZERO, Version::new(1_000)));
        assert!(!Snapshots::NEVER.is_enough(Version::ZERO, Version::new(1_000)));
    }
}
