//! Serves one case of the factory: `factory CODE [--workers N] [--slow-after MS] [--log PATH | --without]`.

use redhanded::alloc::Counting;
use redhanded_factory::serve::{Options, serve};
use std::alloc::System;
use std::error::Error;
use std::process::ExitCode;

/// As a service does that wants to know who grows.
#[global_allocator]
static ALLOCATOR: Counting<System> = Counting::new(System);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("factory: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let code = args.next().ok_or("which case? give its code, such as A1")?;
    let case = redhanded_factory::by_code(&code).ok_or_else(|| {
        let codes: Vec<&str> = redhanded_factory::all()
            .iter()
            .map(|case| case.code)
            .collect();
        format!("there is no case {code:?}; there are {}", codes.join(", "))
    })?;
    serve(&case, &Options::from_args(args)?)
}
