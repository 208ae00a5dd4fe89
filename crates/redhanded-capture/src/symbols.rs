//! Names for addresses, from the executable's and libraries' own files.
//!
//! Nothing here runs on the watchdog's thread: the first look into a large executable takes 20 to 70 ms and tens of megabytes.

use crate::names::{self, Origin};
use crate::{Module, RawFrame, RawStack, sys};
use addr2line::Loader;
use redhanded_report::Frame;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// How many addresses keep their names. A stack has some 50, and a process few different ones.
const MOST_CACHED: usize = 16 << 10;
/// How many files stay open for names.
const MOST_FILES: usize = 16;

/// Turns addresses into functions, files and lines, and remembers them.
///
/// A file that cannot be read, or has no symbols, costs its own names and nothing else: the frame keeps module, build-id and offset.
#[derive(Default)]
pub struct Symbolizer {
    files: HashMap<u64, File>,
    cache: HashMap<u64, Cached>,
}

struct File {
    module: Arc<Module>,
    loader: Option<Loader>,
}

struct Cached {
    module: Option<Arc<Module>>,
    frames: Vec<Frame>,
}

impl Symbolizer {
    /// An empty one; files are opened when their first address is asked for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every address of the stack has been named before, so that [`Symbolizer::symbolize`] takes microseconds.
    pub fn is_warm(&self, stack: &RawStack) -> bool {
        stack
            .frames
            .iter()
            .all(|frame| self.cached(frame).is_some())
    }

    /// Names every frame, innermost first, with a frame of its own for each inlined function.
    pub fn symbolize(&mut self, stack: &RawStack) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(stack.frames.len() * 2);
        for raw in &stack.frames {
            if self.cached(raw).is_none() {
                let cached = Cached {
                    module: raw.module.clone(),
                    frames: self.look_up(raw),
                };
                if self.cache.len() >= MOST_CACHED {
                    self.cache.clear(); // a process that shows this many addresses is not one that repeats itself
                }
                self.cache.insert(raw.address, cached);
            }
            frames.extend(self.cached(raw).into_iter().flatten().cloned());
        }
        frames
    }

    /// The stack without names: module, build-id and offset, from which names can be found later. Costs no look-up.
    pub fn raw(&self, stack: &RawStack) -> Vec<Frame> {
        stack.frames.iter().map(without_name).collect()
    }

    /// Closes the files and gives their memory back; names that were found stay.
    pub fn release_files(&mut self) {
        self.files.clear();
    }

    fn cached(&self, raw: &RawFrame) -> Option<&Vec<Frame>> {
        // Another library may have been loaded at the address since.
        let cached = self
            .cache
            .get(&raw.address)
            .filter(|cached| cached.module == raw.module)?;
        Some(&cached.frames)
    }

    fn look_up(&mut self, raw: &RawFrame) -> Vec<Frame> {
        let mut frames = match (&raw.module, raw.offset()) {
            (Some(module), Some(offset)) => self
                .file(module)
                .loader
                .as_ref()
                .map(|loader| look_up(loader, offset)),
            _ => Some(sys::name_without_module(raw.address)),
        }
        .unwrap_or_default();
        let physical = without_name(raw);
        match frames.last_mut() {
            Some(outermost) => {
                outermost.module = physical.module;
                outermost.build_id = physical.build_id;
                outermost.offset = physical.offset;
            }
            None => frames.push(physical),
        }
        let last = frames.len() - 1;
        for (at, frame) in frames.iter_mut().enumerate() {
            frame.inlined = at < last;
            finish(frame);
        }
        frames
    }

    fn file(&mut self, module: &Arc<Module>) -> &File {
        let is_other = self
            .files
            .get(&module.bias)
            .is_some_and(|file| file.module != *module);
        if is_other || (self.files.len() >= MOST_FILES && !self.files.contains_key(&module.bias)) {
            self.files.clear();
        }
        self.files.entry(module.bias).or_insert_with(|| File {
            module: module.clone(),
            loader: open(module),
        })
    }
}

impl fmt::Debug for Symbolizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbolizer")
            .field("files", &self.files.len())
            .field("cached", &self.cache.len())
            .finish()
    }
}

fn open(module: &Module) -> Option<Loader> {
    Loader::new(sys::file_of(module)).ok()
}

/// The functions at one address, inlined ones first.
fn look_up(loader: &Loader, offset: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    if let Ok(mut found) = loader.find_frames(offset) {
        while let Ok(Some(found)) = found.next() {
            let mut frame = Frame::default();
            frame.function = found
                .function
                .as_ref()
                .and_then(|name| name.raw_name().ok())
                .map(|name| name.into_owned());
            if let Some(location) = found.location {
                frame.file = location.file.map(str::to_owned);
                frame.line = location.line;
                frame.column = location.column;
            }
            frames.push(frame);
        }
    }
    // The symbol table knows the outermost function's full name whatever the level of debug information.
    if let Some(symbol) = loader.find_symbol(offset) {
        if frames.is_empty() {
            frames.push(Frame::default());
        }
        if let Some(outermost) = frames.last_mut() {
            outermost.function = Some(symbol.to_owned());
        }
    }
    frames
}

fn without_name(raw: &RawFrame) -> Frame {
    let mut frame = Frame::default();
    match &raw.module {
        Some(module) => {
            frame.module = Some(module.name.clone());
            frame.build_id = module.build_id.clone();
            frame.offset = raw.offset();
        }
        None => frame.offset = Some(raw.address),
    }
    frame
}

/// Makes the name presentable and tells whose code it is.
fn finish(frame: &mut Frame) {
    let mangled = frame.function.take();
    let demangled = mangled
        .as_deref()
        .map(|name| format!("{:#}", rustc_demangle::demangle(name)));
    frame.user = demangled
        .as_deref()
        .is_some_and(|name| names::origin(name, frame.file.as_deref()) == Origin::User);
    frame.function = demangled.map(|name| names::pretty(&name));
}
