//! Completions and manual pages.

use crate::args::Arguments;
use crate::exit::{CODES, Exit};
use crate::output::{Output, complain};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use std::io;

pub(crate) fn completions(shell: Shell, output: &mut Output) -> io::Result<Exit> {
    // Straight to the output it would panic when the reader goes away.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "redhanded", &mut script);
    output.bytes(&script)?;
    Ok(Exit::Fine)
}

/// The page of the whole command, or of one of its commands.
pub(crate) fn page(command: Option<&str>, output: &mut Output) -> io::Result<Exit> {
    let mut whole = Arguments::command();
    whole.build();
    let described = match command {
        None => whole,
        Some(name) => match whole.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                complain(&format!("there is no command {name:?} to print a page of"));
                return Ok(Exit::Usage);
            }
        },
    };
    let page = Man::new(described.after_help(None::<&str>));
    let mut roff = Vec::new();
    page.render(&mut roff)?;
    output.bytes(&roff)?;
    output.bytes(exit_status().as_bytes())?;
    Ok(Exit::Fine)
}

/// `.SH` and `.TP` are all it takes; none of the texts has a character that roff would read.
fn exit_status() -> String {
    let code = |(exit, means)| format!(".TP\n{}\n{means}\n", exit as u8);
    let codes: String = CODES.into_iter().map(code).collect();
    format!(".SH \"EXIT STATUS\"\n{codes}")
}
