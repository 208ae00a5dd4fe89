//! Which executable and libraries are loaded, and their unwind tables.
//!
//! Found through `/proc/self/maps` and the ELF headers in memory. The loader's own list would need the loader's lock, which
//! the target may hold. The tables are copied, so that a `dlclose` cannot pull them away from under the walker.

use super::memory;
use crate::Module;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// The modules, sorted by address.
#[derive(Default)]
pub(super) struct Modules {
    list: Vec<Loaded>,
    /// The maps file of the last refresh, kept for its buffer.
    maps: Vec<u8>,
}

/// One module in memory.
pub(super) struct Loaded {
    pub(super) module: Arc<Module>,
    start: u64,
    end: u64,
    /// Its executable segment.
    pub(super) text: std::ops::Range<u64>,
    /// `None` if it has no unwind tables, or none that we can read.
    pub(super) tables: Option<Tables>,
    /// Its ELF and program headers as they were read: a library loaded later at the same place has others.
    head: Vec<u8>,
    /// Where the build-id lies in memory.
    build_id_at: Option<u64>,
}

/// Copies of the unwind tables, with the addresses they were copied from.
pub(super) struct Tables {
    pub(super) index_at: u64,
    pub(super) index: Vec<u8>,
    pub(super) frames_at: u64,
    pub(super) frames: Vec<u8>,
}

/// One line of `/proc/self/maps` that begins a module's executable part.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    path: &'a str,
    /// Start of the module's first mapping.
    start: u64,
    end: u64,
}

impl Modules {
    pub(super) fn find(&self, address: u64) -> Option<&Loaded> {
        let after = self.list.partition_point(|loaded| loaded.start <= address);
        self.list[..after]
            .last()
            .filter(|loaded| address < loaded.end)
    }

    /// Whether the code at `address` is in a module that is still the one we read.
    pub(super) fn is_current(&self, address: u64) -> bool {
        self.find(address)
            .is_some_and(|loaded| loaded.module.is_main || loaded.is_unchanged())
    }

    /// Reads the list anew; `true` if it changed. Costs 30 to 120 µs, and 0.1 to 2 ms per new module.
    pub(super) fn refresh(&mut self) -> bool {
        let mut maps = std::mem::take(&mut self.maps);
        maps.clear();
        let read = File::open("/proc/self/maps").and_then(|mut file| file.read_to_end(&mut maps));
        let changed = read.is_ok() && self.update(&parse_maps(&String::from_utf8_lossy(&maps)));
        self.maps = maps;
        changed
    }

    fn update(&mut self, mappings: &[Mapping<'_>]) -> bool {
        let mut old = std::mem::take(&mut self.list);
        let before = old.len();
        let mut kept = 0;
        for mapping in mappings {
            match old.iter().position(|loaded| loaded.is(mapping)) {
                Some(at) => {
                    kept += 1;
                    self.list.push(old.swap_remove(at));
                }
                None => self.list.extend(Loaded::read(mapping)),
            }
        }
        self.list.sort_by_key(|loaded| loaded.start);
        kept != before || self.list.len() != before
    }
}

impl Loaded {
    fn is(&self, mapping: &Mapping<'_>) -> bool {
        self.start == mapping.start
            && self.module.path.as_os_str() == without_mark(mapping.path)
            && self.is_unchanged()
    }

    fn is_unchanged(&self) -> bool {
        memory::bytes(self.start, self.head.len() as u64).is_some_and(|head| head == self.head)
            && self.build_id_at.is_none_or(|at| {
                let expected = self.module.build_id.as_deref().unwrap_or_default();
                memory::bytes(at, expected.len() as u64 / 2).is_some_and(|id| hex(&id) == expected)
            })
    }

    fn read(mapping: &Mapping<'_>) -> Option<Self> {
        let elf = Elf::read(mapping.start)?;
        let text = elf
            .segments
            .iter()
            .find(|segment| segment.kind == PT_LOAD && segment.flags & PF_X != 0)?
            .range(elf.bias)?;
        let ends = elf
            .segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD)
            .filter_map(|segment| segment.range(elf.bias));
        let end = ends.map(|range| range.end).max()?.max(mapping.end);
        let build_id = elf.build_id();
        let path = without_mark(mapping.path);
        let module = Module {
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            path: PathBuf::from(path),
            build_id: build_id.as_ref().map(|(_, id)| hex(id)),
            bias: elf.bias,
            is_main: (mapping.start..end).contains(&main_headers()),
        };
        Some(Self {
            module: Arc::new(module),
            start: mapping.start,
            end,
            text,
            tables: elf.tables(),
            head: elf.head,
            build_id_at: build_id.map(|(at, _)| at),
        })
    }
}

/// Address of the executable's program headers, which the kernel tells every process.
fn main_headers() -> u64 {
    // SAFETY: getauxval only reads the auxiliary vector, which lives as long as the process.
    unsafe { libc::getauxval(libc::AT_PHDR) }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        })
}

fn without_mark(path: &str) -> &str {
    path.strip_suffix(" (deleted)").unwrap_or(path)
}

/// One mapping per module: from the first page of its file to the end of its executable part.
fn parse_maps(maps: &str) -> Vec<Mapping<'_>> {
    let mut modules: Vec<Mapping<'_>> = Vec::new();
    let mut first: Option<(&str, u64)> = None;
    for (path, range, executable, offset) in maps.lines().filter_map(parse_line) {
        if offset == 0 {
            first = Some((path, range.start));
        }
        let Some((_, start)) = first.filter(|(of, _)| executable && *of == path) else {
            continue;
        };
        match modules.last_mut().filter(|module| module.start == start) {
            Some(module) => module.end = range.end,
            None => modules.push(Mapping {
                path,
                start,
                end: range.end,
            }),
        }
    }
    modules
}

/// Path, address range, whether it is executable, and offset in the file; `None` if there is no file behind it.
fn parse_line(line: &str) -> Option<(&str, std::ops::Range<u64>, bool, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (permissions, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let path = rest.splitn(3, ' ').nth(2)?.trim_start();
    if !path.starts_with('/') && path != "[vdso]" {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((
        path,
        number(start)?..number(end)?,
        permissions.as_bytes().get(2) == Some(&b'x'),
        number(offset)?,
    ))
}

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const PF_X: u32 = 1;
const HEADER: u64 = 64;
const SEGMENT: usize = 56;
const PAGE: u64 = 4096;

/// An ELF image in memory.
struct Elf {
    bias: u64,
    segments: Vec<Segment>,
    head: Vec<u8>,
}

struct Segment {
    kind: u32,
    flags: u32,
    address: u64,
    size: u64,
}

impl Segment {
    fn range(&self, bias: u64) -> Option<std::ops::Range<u64>> {
        let start = bias.wrapping_add(self.address);
        Some(start..start.checked_add(self.size)?)
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    number(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    number(bytes, at).map(u64::from_le_bytes)
}

impl Elf {
    fn read(start: u64) -> Option<Self> {
        let header = memory::bytes(start, HEADER)?;
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return None; // not 64-bit little-endian
        }
        let table_at = u64_at(&header, 32)?;
        let count = usize::from(number(&header, 56).map(u16::from_le_bytes)?);
        let table = memory::bytes(start.checked_add(table_at)?, (count * SEGMENT) as u64)?;
        let segments: Vec<Segment> = table
            .chunks_exact(SEGMENT)
            .filter_map(parse_segment)
            .collect();
        let first = segments.iter().find(|segment| segment.kind == PT_LOAD)?;
        let bias = start.wrapping_sub(first.address & !(PAGE - 1));
        // Compared by one read later, so the table counts only if it follows the header, as every linker writes it.
        let head = if table_at == HEADER {
            [header, table].concat()
        } else {
            header
        };
        Some(Self {
            bias,
            segments,
            head,
        })
    }

    /// Address and bytes of the GNU build-id.
    fn build_id(&self) -> Option<(u64, Vec<u8>)> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == PT_NOTE)
            .find_map(|segment| {
                let at = self.bias.wrapping_add(segment.address);
                let notes = memory::bytes(at, segment.size.min(PAGE))?;
                let (offset, id) = find_build_id(&notes)?;
                Some((at + offset as u64, id.to_vec()))
            })
    }

    /// The unwind tables; `None` if there is no binary-search index of the one encoding that linkers write.
    fn tables(&self) -> Option<Tables> {
        let index = self
            .segments
            .iter()
            .find(|segment| segment.kind == PT_GNU_EH_FRAME)?;
        let index_at = self.bias.wrapping_add(index.address);
        let bytes = memory::bytes(index_at, index.size)?;
        const PC_RELATIVE_I32: u8 = 0x1b;
        if bytes.get(1) != Some(&PC_RELATIVE_I32) {
            return None;
        }
        let distance = i32::from_le_bytes(number(&bytes, 4)?);
        let frames_at = index_at
            .wrapping_add(4)
            .wrapping_add_signed(i64::from(distance));
        // The table ends with a mark of its own; where it lies, only its segment's end is known.
        let loads = self
            .segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD);
        let end = loads
            .filter_map(|segment| segment.range(self.bias))
            .find(|range| range.contains(&frames_at))?
            .end;
        Some(Tables {
            index_at,
            index: bytes,
            frames_at,
            frames: memory::bytes(frames_at, end - frames_at)?,
        })
    }
}

fn parse_segment(bytes: &[u8]) -> Option<Segment> {
    Some(Segment {
        kind: u32_at(bytes, 0)?,
        flags: u32_at(bytes, 4)?,
        address: u64_at(bytes, 16)?,
        size: u64_at(bytes, 40)?,
    })
}

/// Offset and bytes of the build-id among ELF notes.
fn find_build_id(notes: &[u8]) -> Option<(usize, &[u8])> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let mut at = 0usize;
    loop {
        let (name, size) = (u32_at(notes, at)? as usize, u32_at(notes, at + 4)? as usize);
        let name_at = at + 12;
        let value_at = name_at.checked_add(name.checked_next_multiple_of(4)?)?;
        let value = notes.get(value_at..value_at.checked_add(size)?)?;
        if u32_at(notes, at + 8)? == NT_GNU_BUILD_ID
            && notes.get(name_at..name_at + name)? == b"GNU\0"
        {
            return Some((value_at, value));
        }
        at = value_at.checked_add(size.checked_next_multiple_of(4)?)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_grouped_by_module() {
        let maps = "\
1000-2000 r--p 00000000 fe:01 12 /opt/a b/app
2000-5000 r-xp 00001000 fe:01 12 /opt/a b/app
5000-6000 rw-p 00000000 00:00 0 [heap]
7000-8000 r-xp 00000000 fe:01 13 /lib/x.so (deleted)
9000-a000 r-xp 00000000 00:00 0                          [vdso]
b000-c000 r-xp 00000000 00:00 0 ";
        let modules = parse_maps(maps);
        assert_eq!(
            modules,
            [
                Mapping {
                    path: "/opt/a b/app",
                    start: 0x1000,
                    end: 0x5000
                },
                Mapping {
                    path: "/lib/x.so (deleted)",
                    start: 0x7000,
                    end: 0x8000
                },
                Mapping {
                    path: "[vdso]",
                    start: 0x9000,
                    end: 0xa000
                },
            ]
        );
        assert_eq!(without_mark(modules[1].path), "/lib/x.so");
    }

    #[test]
    fn this_function_is_found_in_the_executable() {
        let mut modules = Modules::default();
        assert!(modules.refresh());
        assert!(!modules.refresh(), "nothing was loaded in between");
        let here = this_function_is_found_in_the_executable as fn() as usize as u64;
        let loaded = modules.find(here).expect("the test binary is a module");
        assert!(loaded.module.is_main && loaded.text.contains(&here) && loaded.tables.is_some());
        assert!(modules.is_current(here));
        assert!(modules.find(8).is_none());
    }

    #[test]
    fn a_build_id_is_found_behind_other_notes() {
        let mut notes = vec![4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];
        notes.extend(b"GNU\0\x01\x02\0\0");
        notes.extend([4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        notes.extend(b"GNU\0\xaa\xbb\xcc");
        assert_eq!(find_build_id(&notes), Some((36, &[0xaa, 0xbb, 0xcc][..])));
        assert_eq!(find_build_id(&notes[..38]), None, "cut in the middle");
    }
}
