//! A disk that loses its power: what it surely holds, what was written since it was last
//! flushed, and the states that may be found afterwards.
//!
//! Of a file's writes since its last flush each may have arrived or not, whatever its
//! order, and one that was under way may have left some of its sectors. Sectors are whole
//! and a write harms no neighbour, as SQLite's "powersafe overwrite" asks. Names that were
//! made or deleted since the folder was last flushed may be there or not, in their order.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::dice::Dice;
use crate::recording::{FileId, Op};

/// What a disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: u64 = 512;

/// What a failed flush leaves of the writes that it was to bring to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailedSync {
    /// The next flush brings them.
    Kept,
    /// They are gone, though reading shows them and the next flush says all is well, as
    /// Linux does.
    Forgotten,
}

/// A disk, and what it was told.
#[derive(Debug)]
pub(crate) struct Disk {
    files: Vec<File>,
    /// The names that are sure to be there.
    names: BTreeMap<String, FileId>,
    /// The changes of names that are not.
    renames: Vec<Rename>,
    failed_sync: FailedSync,
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    Truncate { size: u64 },
}

#[derive(Debug)]
enum Rename {
    Add(String, FileId),
    Remove(String),
}

/// Which of the changes that were not flushed are found.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Nothing,
    Everything,
    /// Each with a probability, in percent; of the rest some in part.
    Some(Dice, u64),
}

/// Files as they are found after the power is back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Writes of which some sectors arrived and others did not.
    pub(crate) torn: u64,
}

impl Disk {
    pub(crate) fn new(failed_sync: FailedSync) -> Self {
        Self {
            files: Vec::new(),
            names: BTreeMap::new(),
            renames: Vec::new(),
            failed_sync,
        }
    }

    /// One that holds an image, all of it for sure; its files are numbered in the order of
    /// their names.
    pub(crate) fn of(image: &Image) -> Self {
        let mut disk = Self::new(FailedSync::Kept);
        for (file, (name, bytes)) in image.files.iter().enumerate() {
            disk.names.insert(name.clone(), file);
            disk.files.push(File {
                durable: bytes.clone(),
                pending: Vec::new(),
            });
        }
        disk
    }

    /// Does one thing that was recorded.
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { file, name } => {
                assert_eq!(*file, self.files.len(), "files are numbered");
                self.files.push(File::default());
                self.renames.push(Rename::Add(name.clone(), *file));
            }
            Op::Write {
                file,
                offset,
                bytes,
            } => self.files[*file].pending.push(Change::Write {
                offset: *offset,
                bytes: Arc::clone(bytes),
            }),
            Op::Truncate { file, size } => {
                let size = *size;
                self.files[*file].pending.push(Change::Truncate { size });
            }
            Op::Sync { file } => self.files[*file].sync(),
            Op::SyncFailed { file } => match self.failed_sync {
                FailedSync::Kept => {}
                FailedSync::Forgotten => self.files[*file].pending.clear(),
            },
            Op::Delete { name } => self.renames.push(Rename::Remove(name.clone())),
            Op::SyncFolder => {
                let renames = std::mem::take(&mut self.renames);
                renames
                    .iter()
                    .for_each(|rename| rename.apply(&mut self.names));
            }
            Op::Note(_) => {}
        }
    }

    /// How many writes to a file were not flushed.
    pub(crate) fn pending(&self, name: &str) -> usize {
        let file = self.names.get(name).and_then(|file| self.files.get(*file));
        file.map_or(0, |file| file.pending.len())
    }

    /// What may be found if the power goes now.
    pub(crate) fn image(&self, mut kept: Kept) -> Image {
        let mut names = self.names.clone();
        let renamed = match &mut kept {
            Kept::Nothing => 0,
            Kept::Everything => self.renames.len(),
            Kept::Some(dice, _) => dice.below(self.renames.len() as u64 + 1) as usize,
        };
        for rename in &self.renames[..renamed] {
            rename.apply(&mut names);
        }
        let mut image = Image::default();
        for (name, file) in names {
            let file = &self.files[file];
            let mut bytes = file.durable.clone();
            for change in &file.pending {
                match kept.of(change) {
                    Part::Nothing => {}
                    Part::Whole => change.apply(&mut bytes),
                    Part::Of(change) => {
                        image.torn += 1;
                        change.apply(&mut bytes);
                    }
                }
            }
            image.files.insert(name, bytes);
        }
        image
    }
}

impl File {
    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }
}

impl Rename {
    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Self::Add(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Truncate { size } => {
                file.resize(usize::try_from(*size).expect("it fits memory"), 0);
            }
            Self::Write { offset, bytes } => {
                let at = usize::try_from(*offset).expect("it fits memory");
                let end = at + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[at..end].copy_from_slice(bytes);
            }
        }
    }

    /// The first or the last sectors of a write that has several.
    fn torn(&self, dice: &mut Dice) -> Option<Self> {
        let Self::Write { offset, bytes } = self else {
            return None;
        };
        let end = offset + bytes.len() as u64;
        let first_cut = offset / SECTOR_BYTES + 1;
        let cuts = end.div_ceil(SECTOR_BYTES).saturating_sub(first_cut);
        if cuts == 0 {
            return None;
        }
        let cut = (first_cut + dice.below(cuts)) * SECTOR_BYTES;
        let (first, last) = bytes.split_at(usize::try_from(cut - offset).expect("within"));
        Some(match dice.percent(50) {
            true => Self::Write {
                offset: *offset,
                bytes: first.into(),
            },
            false => Self::Write {
                offset: cut,
                bytes: last.into(),
            },
        })
    }
}

/// What arrived of one change.
enum Part {
    Nothing,
    Whole,
    Of(Change),
}

impl Kept {
    fn of(&mut self, change: &Change) -> Part {
        match self {
            Self::Nothing => Part::Nothing,
            Self::Everything => Part::Whole,
            Self::Some(dice, percent) => {
                if dice.percent(*percent) {
                    return Part::Whole;
                }
                let torn = dice.percent(25).then(|| change.torn(dice)).flatten();
                torn.map_or(Part::Nothing, Part::Of)
            }
        }
    }
}

impl Image {
    /// Writes the files to a folder of their own. What SQLite shares between processes in
    /// memory is not there after a power loss.
    pub(crate) fn write_to(&self, folder: &Path) {
        fs::create_dir(folder).expect("a folder");
        for (name, bytes) in &self.files {
            fs::write(folder.join(name), bytes).expect("room for an image");
        }
    }

    /// A number that tells images apart.
    pub(crate) fn digest(&self) -> u64 {
        let mut digest = 0;
        for (name, bytes) in &self.files {
            digest = mix(digest, name.len() as u64);
            digest = digest_of(digest_of(digest, name.as_bytes()), bytes);
        }
        digest
    }
}

fn digest_of(start: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut digest = mix(start, bytes.len() as u64);
    for word in words {
        digest = mix(digest, u64::from_le_bytes(*word));
    }
    rest.iter()
        .fold(digest, |digest, byte| mix(digest, u64::from(*byte)))
}

/// Folds the 128 bits of a product, as wyhash does.
fn mix(digest: u64, word: u64) -> u64 {
    let product =
        u128::from(digest ^ 0x9e37_79b9_7f4a_7c15) * u128::from(word ^ 0xbf58_476d_1ce4_e5b9);
    (product as u64) ^ ((product >> 64) as u64)
}
