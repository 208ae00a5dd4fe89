//! Power cuts: a disk that keeps what was synced, and of the rest what it likes.

use super::numbered;
use crate::slow_log::Limits;
use crate::slow_log::disk::Disk;
use crate::slow_log::file::LogFile;
use crate::slow_log::files::Files;
use crate::slow_log::queue::Line;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the disk knows of a byte.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    Dirty,
    Durable,
    /// A sync failed, and the kernel believes that the byte is written.
    Forgotten,
}

type Names = BTreeMap<PathBuf, usize>;
type Inode = Vec<(u8, Kept)>;

#[derive(Debug, Default)]
struct World {
    names: Names,
    /// Each state of the directory since it was last synced, that one first.
    histories: Vec<Names>,
    inodes: Vec<Inode>,
    /// Operations until the power fails.
    left: u32,
    /// What becomes of each operation that may fail, again and again.
    fates: Vec<u8>,
    done: usize,
}

impl World {
    /// One step nearer to the cut; the fate of this operation.
    fn step(&mut self) -> io::Result<u8> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(io::ErrorKind::NotConnected)?;
        self.done += 1;
        Ok(self.fates[self.done % self.fates.len()])
    }

    fn named(&mut self) {
        self.histories.push(self.names.clone());
    }

    /// What is found when the power is back: of everything unsynced a part that `choice` says.
    fn cut(&self, choice: usize) -> World {
        let names = self.histories[choice % self.histories.len()].clone();
        let survives = |inode: &Inode| {
            let durable = inode.iter().rposition(|(_, kept)| *kept == Kept::Durable);
            let least = durable.map_or(0, |last| last + 1);
            let length = least + choice % (inode.len() - least + 1);
            let byte = |(byte, kept): &(u8, Kept)| match kept {
                Kept::Forgotten => (0, Kept::Durable),
                Kept::Dirty | Kept::Durable => (*byte, Kept::Durable),
            };
            inode[..length].iter().map(byte).collect()
        };
        World {
            histories: vec![names.clone()],
            names,
            inodes: self.inodes.iter().map(survives).collect(),
            left: u32::MAX,
            fates: vec![FINE],
            done: 0,
        }
    }

    fn lines(&self) -> Vec<String> {
        let texts = self.names.values().map(|inode| {
            let bytes: Vec<u8> = self.inodes[*inode].iter().map(|(byte, _)| *byte).collect();
            String::from_utf8(bytes).unwrap()
        });
        let whole = texts.flat_map(|text| {
            let lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
            lines.map(|l| l.trim_end().to_owned()).collect::<Vec<_>>()
        });
        whole.collect()
    }
}

/// Fates below that are trouble.
const FINE: u8 = 255;

#[derive(Clone, Debug)]
struct Cuttable(Rc<RefCell<World>>);

#[derive(Debug)]
struct Handle {
    world: Rc<RefCell<World>>,
    inode: usize,
}

impl Disk for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.world.borrow_mut();
        let taken = match world.step()? {
            0..20 => return Err(io::ErrorKind::StorageFull.into()),
            20..60 => 1.max(bytes.len() / 2),
            _ => bytes.len(),
        };
        world.inodes[self.inode].extend(bytes[..taken].iter().map(|b| (*b, Kept::Dirty)));
        Ok(taken)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.world.borrow().inodes[self.inode].len() as u64)
    }

    fn shorten(&mut self, size: u64, to: u64) -> bool {
        let mut world = self.world.borrow_mut();
        let may = world.step().is_ok_and(|fate| fate > 60)
            && size == world.inodes[self.inode].len() as u64;
        if may {
            world.inodes[self.inode].truncate(to as usize);
        }
        may
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let fails = world.step()? < 40;
        let to = if fails {
            Kept::Forgotten
        } else {
            Kept::Durable
        };
        let dirty = world.inodes[self.inode].iter_mut();
        for (_, kept) in dirty.filter(|(_, kept)| *kept == Kept::Dirty) {
            *kept = to;
        }
        if fails {
            return Err(io::ErrorKind::Other.into());
        }
        Ok(())
    }
}

impl Files for Cuttable {
    type File = Handle;

    fn open(&self, path: &Path) -> io::Result<Handle> {
        let mut world = self.0.borrow_mut();
        if !world.names.contains_key(path) {
            world.step()?;
            world.inodes.push(Vec::new());
            let inode = world.inodes.len() - 1;
            world.names.insert(path.to_owned(), inode);
            world.named();
        }
        let inode = world.names[path];
        drop(world);
        self.sync_directory_of(path);
        Ok(Handle {
            world: self.0.clone(),
            inode,
        })
    }

    fn ends_in_newline(&self, path: &Path) -> bool {
        let world = self.0.borrow();
        let inode = world.names.get(path).map(|inode| &world.inodes[*inode]);
        inode.is_some_and(|inode| inode.last().is_some_and(|(byte, _)| *byte == b'\n'))
    }

    fn leads_to(&self, path: &Path, file: &Handle) -> io::Result<bool> {
        let world = self.0.borrow();
        let found = world.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(*found == file.inode)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.borrow().names.contains_key(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        if world.step()? < 20 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let inode = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), inode);
        world.named();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        world.step()?;
        world.names.remove(path);
        world.named();
        Ok(())
    }

    fn sync_directory_of(&self, _: &Path) {
        let mut world = self.0.borrow_mut();
        if world.step().is_ok() {
            world.histories = vec![world.names.clone()];
        }
    }

    fn alone_in_directory_of(
        &self,
        _: &Path,
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        work()
    }
}

fn path() -> PathBuf {
    PathBuf::from("/power/log")
}

fn line(number: usize, length: usize) -> Line {
    let text = format!("{number:04} {}\n", "x".repeat(length));
    text.into_bytes().into()
}

fn text(line: &Line) -> String {
    String::from_utf8_lossy(line).trim_end().to_owned()
}

/// Writes lines, three at a time at most, until the power fails; says what was acknowledged.
fn write_until_dark(files: &Cuttable, limits: Limits, lengths: &[usize]) -> Vec<Line> {
    let Ok(mut log) = LogFile::open_with(files.clone(), path(), limits) else {
        return Vec::new();
    };
    let lines: Vec<Line> = (0..).zip(lengths).map(|(n, l)| line(n, *l)).collect();
    let mut durable = 0;
    for _ in 0..200 {
        let waiting = &lines[durable..lines.len().min(durable + 3)];
        if waiting.is_empty() {
            break;
        }
        durable += log.put(waiting).unwrap_or(0);
    }
    lines[..durable].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_was_acknowledged_survives_a_power_cut_anywhere(
        left in 0_u32..150,
        fates in proptest::collection::vec(0_u8..=255, 1..30),
        lengths in proptest::collection::vec(0_usize..30, 1..40),
        max_bytes in 0_u64..100,
        choice in 0_usize..1000,
    ) {
        let fates = if choice % 3 == 0 { vec![FINE] } else { fates };
        let world = World { left, fates, histories: vec![Names::new()], ..World::default() };
        let files = Cuttable(Rc::new(RefCell::new(world)));
        let limits = Limits { max_bytes, keep: 99, ..Limits::default() };
        let acknowledged = write_until_dark(&files, limits, &lengths);
        let after = Cuttable(Rc::new(RefCell::new(files.0.borrow().cut(choice))));
        let found = after.0.borrow().lines();
        for line in &acknowledged {
            prop_assert!(found.contains(&text(line)), "{:?} is not in {found:?}", text(line));
        }
        // The next process goes on, and a torn piece costs nobody else a line.
        let mut log = LogFile::open_with(after.clone(), path(), limits).unwrap();
        prop_assert_eq!(log.put(&[line(9999, 9)]).unwrap(), 1);
        let now = after.0.borrow().lines();
        prop_assert!(now.contains(&text(&line(9999, 9))), "{now:?}");
        prop_assert!(acknowledged.iter().all(|line| now.contains(&text(line))), "{now:?}");
    }
}

#[test]
fn the_double_loses_what_is_not_synced() {
    let world = World {
        left: 99,
        fates: vec![FINE],
        histories: vec![Names::new()],
        ..World::default()
    };
    let files = Cuttable(Rc::new(RefCell::new(world)));
    let mut file = files.open(&path()).unwrap();
    file.write(b"synced\n").unwrap();
    file.sync().unwrap();
    file.write(b"lost\n").unwrap();
    files.rename(&path(), &numbered(&path(), 1)).unwrap();
    let after = files.0.borrow().cut(0);
    assert_eq!(after.lines(), ["synced"]);
    assert!(after.names.contains_key(&path()), "the rename is lost, too");
}
