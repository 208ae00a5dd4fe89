//! The command line.

use std::error::Error;
use std::path::PathBuf;

pub(crate) struct Options {
    pub(crate) pictures: PathBuf,
    /// `HOST:PORT` of the warehouse that answers.
    pub(crate) north: String,
    /// `HOST:PORT` of the one that does not.
    pub(crate) south: String,
    /// Where the slow-request log goes; without it nobody watches.
    pub(crate) log: Option<PathBuf>,
    pub(crate) core: Option<usize>,
}

impl Options {
    pub(crate) fn from_args(args: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut args = args;
        let (mut pictures, mut north, mut south) = (None, None, None);
        let (mut log, mut core) = (None, None);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--pictures" => pictures = Some(value.into()),
                "--north" => north = Some(value),
                "--south" => south = Some(value),
                "--log" => log = Some(value.into()),
                "--core" => core = Some(value.parse()?),
                _ => return Err(format!("{name} is not known").into()),
            }
        }
        Ok(Self {
            pictures: pictures.ok_or("--pictures is missing")?,
            north: north.ok_or("--north is missing")?,
            south: south.ok_or("--south is missing")?,
            log,
            core,
        })
    }
}
